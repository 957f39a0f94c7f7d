"""What is trained: shape, flow and fill, each by itself, and all three jointly (paper 3.4).

A task holds its networks, makes their inputs of a batch (`prepare`, without gradients, beside the training), runs them
as the pipeline does (`predict`), and compares (`forward`: one value a term of `losses.py`).
All terms are means over clips, so that processes which share a batch have the gradients of one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn

from voin.core.errors import ValueRefusal
from voin.core.lpips import LPIPS
from voin.method.fill.colours import mix
from voin.method.fill.generator import Generator
from voin.method.flow.network import FlowNetwork
from voin.method.flow.smooth import SmoothFlow
from voin.method.motion import DIS, Motion
from voin.method.propagation.propagate import propagate_clips
from voin.method.shape.network import ShapeNetwork
from voin.training import losses
from voin.training.config import Stage, TrainConfig
from voin.training.discriminators import ClassDiscriminator, TemporalPatchDiscriminator
from voin.training.flow_targets import HiddenMotion, both_ways, find_hidden_motion, find_true_motion
from voin.training.sampler import Batch, mix_seed
from voin.training.simulated_propagation import simulate_propagation

Inputs = dict[str, Tensor]  # what a network and its losses need; first axis clips
Terms = dict[str, Tensor]  # name of a loss to its value


@dataclass(frozen=True)
class Estimators:
    """What training needs besides its networks.

    Attributes:
        motion: finds motion in the frames with the occluder.
        truth: finds motion in the frames without.
        paint: paint the hidden part over for `motion`.
        perceptual: how unlike pictures look; needed where `loss.perceptual` counts.
    """

    motion: Motion
    truth: Motion
    paint: bool = True
    perceptual: LPIPS | None = None


# The terms of each stage.
TERMS = {
    "shape": ("bce_amodal", "bce_occluded", "dice_occluded"),
    "flow": ("flow_l1", "laplacian_pyramid", "flow_gradient", "flow_smoothness", "flow_warp"),
    "fill": (
        *("reconstruction_hidden", "reconstruction_amodal", "reconstruction_rest"),
        *("perceptual", "patch", "category"),
    ),
}
_PERCEPTUAL_SIDE = 80  # pixels of the squares that LPIPS compares: about as large as objects in videos
# DIS down to single pixels: windows in training are small.
ESTIMATORS = Estimators(DIS(), DIS(finest=0))


class Task(nn.Module, ABC):
    """Networks in training; `networks` are those that are saved, each under the name of its kind."""

    networks: nn.ModuleDict

    def __init__(self, config: TrainConfig, estimators: Estimators = ESTIMATORS) -> None:
        super().__init__()
        self.config, self.estimators = config, estimators

    @abstractmethod
    def prepare(self, batch: Batch, seeds: Sequence[int]) -> Inputs:
        """Make what the networks are given, and what they are compared with."""

    @abstractmethod
    def predict(self, x: Inputs) -> Inputs:
        """Run the networks."""

    @abstractmethod
    def terms(self, y: Inputs, x: Inputs) -> Terms:
        """Compare what `predict` gave."""

    def _find_motion(
        self, frames: Tensor, visible: Tensor, amodal: Tensor, given: Tensor | None = None
    ) -> HiddenMotion:
        motion, paint = self.estimators.motion, self.estimators.paint
        return find_hidden_motion(frames, visible, amodal, motion, SmoothFlow(), paint, given)

    def _find_truth(self, batch: Batch) -> Inputs:
        flow, trusted = find_true_motion(
            batch.truth, batch.amodal, batch.forward, batch.backward, batch.flow_known, self.estimators.truth
        )
        return {"true_flow": flow, "trusted": trusted}

    def weights(self) -> dict[str, float]:
        """Return what each term counts for."""
        return {name: getattr(self.config.loss, name) for names in TERMS.values() for name in names}

    def forward(self, x: Inputs) -> tuple[Terms, Inputs]:
        """Return the terms, and what the networks gave."""
        y = self.predict(x)
        return self.terms(y, x), y


def _take(batch: Batch, *names: str) -> Inputs:
    return {name: getattr(batch, name) for name in names}


def _known_masks(seeds: Sequence[int]) -> Tensor:
    """Draw whose masks count as known; the others pass for completed ones, whose outlines tell nothing of motion."""
    return torch.tensor([seed % 2 == 0 for seed in seeds])


class ShapeTask(Task):
    """Shape completion (eq. 6)."""

    def __init__(self, config: TrainConfig, estimators: Estimators = ESTIMATORS) -> None:
        super().__init__(config, estimators)
        self.networks = nn.ModuleDict({"shape": ShapeNetwork(config.shape)})

    def prepare(self, batch: Batch, seeds: Sequence[int]) -> Inputs:  # noqa: D102
        return _take(batch, "frames", "visible", "amodal", "category")

    def predict(self, x: Inputs) -> Inputs:  # noqa: D102
        return {"logits": self.networks["shape"](x["frames"], x["visible"], x["category"])}

    def terms(self, y: Inputs, x: Inputs) -> Terms:  # noqa: D102
        return shape_terms(self.config, y["logits"].float(), x["amodal"], x["visible"])


def shape_terms(config: TrainConfig, logits: Tensor, amodal: Tensor, visible: Tensor) -> Terms:
    """Compare completed masks."""
    return _terms(
        config.loss,
        {
            "bce_amodal": lambda: losses.bce_amodal(logits, amodal),
            "bce_occluded": lambda: losses.bce_occluded(logits, amodal, visible),
            "dice_occluded": lambda: losses.dice_occluded(logits, amodal, visible),
        },
    )


class FlowTask(Task):
    """Flow completion (eq. 7, 8)."""

    def __init__(self, config: TrainConfig, estimators: Estimators = ESTIMATORS) -> None:
        super().__init__(config, estimators)
        self.networks = nn.ModuleDict({"flow": FlowNetwork(config.flow)})

    def prepare(self, batch: Batch, seeds: Sequence[int]) -> Inputs:  # noqa: D102
        found = self._find_motion(batch.frames, batch.visible, batch.amodal, _known_masks(seeds))
        return {**vars(found), **self._find_truth(batch), "truth": both_ways(batch.truth)}

    def predict(self, x: Inputs) -> Inputs:  # noqa: D102
        network = self.networks["flow"]
        return {"flow": network(x["frames"], x["initial"], x["prior"], x["visible"], x["amodal"])}

    def terms(self, y: Inputs, x: Inputs) -> Terms:  # noqa: D102
        return flow_terms(self.config, y["flow"].float(), x["true_flow"], x["trusted"], x["truth"], x["amodal"])


def flow_terms(config: TrainConfig, flow: Tensor, true_flow: Tensor, trusted: Tensor, truth: Tensor, amodal: Tensor):
    """Compare completed flow; where the true one is not trusted, nothing but colours and smoothness counts."""
    true_flow = torch.where(trusted > 0.5, true_flow, flow.detach())
    start = amodal[:, :-1]
    return _terms(
        config.loss,
        {
            "flow_l1": lambda: losses.flow_l1(flow, true_flow, start),
            "laplacian_pyramid": lambda: losses.laplacian_pyramid(flow, true_flow),
            "flow_gradient": lambda: losses.flow_gradient(flow, true_flow, start),
            "flow_smoothness": lambda: losses.flow_smoothness(flow, start),
            "flow_warp": lambda: losses.flow_warp(flow, truth, amodal),
        },
    )


class FillTask(Task):
    """The generator (eq. 10-12); what the discriminators say is added by the training, which holds them."""

    def __init__(self, config: TrainConfig, estimators: Estimators = ESTIMATORS) -> None:
        super().__init__(config, estimators)
        self.networks = nn.ModuleDict({"generator": Generator(config.generator)})

    def prepare(self, batch: Batch, seeds: Sequence[int]) -> Inputs:  # noqa: D102
        config = self.config.simulated_propagation
        frames, confidence = simulate_propagation(batch.frames, batch.truth, batch.visible, batch.amodal, config, seeds)
        draws = [torch.rand(1, generator=torch.Generator().manual_seed(mix_seed(seed, "carry"))) for seed in seeds]
        carried = (torch.cat(draws) >= config.share).to(frames.device)
        if carried.any():
            hidden = (batch.frames[carried], batch.visible[carried], batch.amodal[carried])
            found = self._find_motion(*hidden, _known_masks(seeds)[carried.cpu()])
            forward, backward = found.prior.chunk(2)
            frames[carried], confidence[carried] = propagate_clips(*hidden, forward, backward.flip(1))
        clips = _take(batch, "truth", "visible", "amodal", "category")
        return {"frames": frames, **clips, "confidence": confidence}

    def predict(self, x: Inputs) -> Inputs:  # noqa: D102
        return fill(self.networks["generator"], x)

    def terms(self, y: Inputs, x: Inputs) -> Terms:  # noqa: D102
        return fill_terms(self.config, y, x["truth"], x["amodal"], self.estimators.perceptual)


def fill(generator: Callable[..., tuple[Tensor, Tensor]], x: Inputs) -> Inputs:
    """Generate colours and mix them with what was propagated, as `NetworkFill` does."""
    made, weight = generator(x["frames"], x["visible"], x["amodal"], x["confidence"], x["category"])
    made, weight = made.float(), weight.float()
    hidden = x["amodal"] * (x["visible"] <= 0.5)
    completed = mix(x["frames"], made, weight)
    # Not in the paper: beyond the hidden part critics see the truth, because what is left of the occluder there would
    # tell them what was made, and no generator can help it.
    shown = torch.where(hidden > 0.5, completed, x["truth"])
    return {"made": made, "completed": completed, "shown": shown, "hidden": hidden}


def fill_terms(config: TrainConfig, y: Inputs, truth: Tensor, amodal: Tensor, perceptual: LPIPS | None = None) -> Terms:
    """Compare colours (eq. 11)."""

    def look_unlike() -> Tensor:
        if perceptual is None:
            raise ValueRefusal(
                "loss.perceptual counts, but there is no LPIPS", remedy="give it to the task, or set it to 0"
            )
        return perceptual.compare_hidden(y["shown"], truth, y["hidden"] > 0.5, _PERCEPTUAL_SIDE)

    return _terms(
        config.loss,
        {
            # Not in the paper: what will be seen counts most; the rest teaches what things look like.
            "reconstruction_hidden": lambda: losses.reconstruction(y["completed"], truth, y["hidden"]),
            "reconstruction_amodal": lambda: losses.reconstruction(y["made"], truth, amodal),
            "reconstruction_rest": lambda: losses.reconstruction(y["made"], truth, 1 - amodal),
            "perceptual": look_unlike,
        },
    )


class JointTask(Task):
    """All three networks in a chain (eq. 13): each is given what the one before it made.

    Masks and tracks are not differentiable, so that each network learns by its own terms, on inputs as they will be.
    """

    def __init__(self, config: TrainConfig, estimators: Estimators = ESTIMATORS) -> None:
        super().__init__(config, estimators)
        self.networks = nn.ModuleDict(
            {
                "shape": ShapeNetwork(config.shape),
                "flow": FlowNetwork(config.flow),
                "generator": Generator(config.generator),
            }
        )

    def prepare(self, batch: Batch, seeds: Sequence[int]) -> Inputs:  # noqa: D102
        # Both ways side by side, so that the first axis is that of the clips.
        pairs = {name: rearrange(x, "(way b) ... -> b way ...", way=2) for name, x in self._find_truth(batch).items()}
        return {**_take(batch, "frames", "truth", "visible", "amodal", "category"), **pairs}

    def predict(self, x: Inputs) -> Inputs:  # noqa: D102
        frames, visible = x["frames"], x["visible"]
        logits = self.networks["shape"](frames, visible, x["category"]).float()
        amodal = torch.maximum((logits > 0).to(visible), visible)
        found = self._find_motion(frames, visible, amodal)
        flow = self.networks["flow"](found.frames, found.initial, found.prior, found.visible, found.amodal).float()
        forward, backward = flow.detach().chunk(2)
        propagated, confidence = propagate_clips(frames, visible, amodal, forward, backward.flip(1))
        inputs = {**x, "frames": propagated, "amodal": amodal, "confidence": confidence}
        y = fill(self.networks["generator"], inputs)
        return {"logits": logits, "found": amodal, "flow": flow, **y, "confidence": confidence}

    def terms(self, y: Inputs, x: Inputs) -> Terms:  # noqa: D102
        amodal = x["amodal"]
        shape = shape_terms(self.config, y["logits"], amodal, x["visible"])
        true_flow, trusted = (
            rearrange(x[name], "b way t c h w -> (way b) t c h w") for name in ("true_flow", "trusted")
        )
        flow = flow_terms(self.config, y["flow"], true_flow, trusted, both_ways(x["truth"]), both_ways(amodal))
        # Colours count where the object truly is: elsewhere the truth is not the object's.
        region = {**y, "hidden": y["hidden"] * amodal}
        fill = fill_terms(self.config, region, x["truth"], amodal, self.estimators.perceptual)
        return {**shape, **flow, **fill}

    def weights(self) -> dict[str, float]:  # noqa: D102
        loss = self.config.loss
        return {name: getattr(loss, stage) * getattr(loss, name) for stage, names in TERMS.items() for name in names}


TASKS: dict[Stage, Callable[..., Task]] = {"shape": ShapeTask, "flow": FlowTask, "fill": FillTask, "joint": JointTask}


class Critics(nn.Module):
    """The discriminators (paper 3.3.2), those that count."""

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        self.patch = TemporalPatchDiscriminator(config.patch_discriminator) if config.loss.patch else None
        self.category = ClassDiscriminator(config.class_discriminator) if config.loss.category else None

    def forward(self, completed: Tensor, x: Inputs) -> Terms:
        """Return the terms by which the discriminators learn (eq. 9)."""
        terms = {}
        truth, amodal = x["truth"], x["amodal"]
        if self.patch is not None:
            terms["patch_real_fake"] = losses.hinge_discriminator(
                self.patch(truth, amodal).float(), self.patch(completed, amodal).float()
            )
        if self.category is not None:
            terms["category_real_fake"] = losses.class_discriminator(
                self.category(truth, amodal).float(), self.category(completed, amodal).float(), x["category"]
            )
        return terms

    def judge(self, completed: Tensor, x: Inputs) -> Terms:
        """Return the terms by which the generator learns (eq. 10)."""
        terms = {}
        if self.patch is not None:
            terms["patch"] = losses.hinge_generator(self.patch(completed, x["amodal"]).float())
        if self.category is not None:
            terms["category"] = losses.class_generator(self.category(completed, x["amodal"]).float(), x["category"])
        return terms


def _terms(weights: object, terms: Mapping[str, Callable[[], Tensor]]) -> Terms:
    """Compute the terms that count."""
    return {name: term() for name, term in terms.items() if getattr(weights, name)}
