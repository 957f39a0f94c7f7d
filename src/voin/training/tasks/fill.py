"""Generation of what is hidden in training (paper 3.3, eq. 10-12)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from voin.core.errors import ValueRefusal
from voin.core.lpips import LPIPS
from voin.method.fill.colours import mix
from voin.method.propagation.propagate import propagate_clips
from voin.training import losses
from voin.training.batch.choose import mix_seed
from voin.training.batch.config import Batch
from voin.training.config import TrainConfig
from voin.training.simulated_propagation import simulate_propagation
from voin.training.tasks.base import Inputs, Task, Terms, compute_terms, take
from voin.training.tasks.critics import make_critics
from voin.training.tasks.flow import known_masks

_PERCEPTUAL_SIDE = 80  # pixels of the squares that LPIPS compares: about as large as objects in videos


class FillTask(Task):
    """The generator (eq. 10-12); what the discriminators say is added by the training, which holds them."""

    kinds = ("generator",)

    def prepare(self, batch: Batch, seeds: Sequence[int]) -> Inputs:  # noqa: D102
        config, form = self.config.simulated_propagation, self.config.generator.propagation
        clips = take(batch, "truth", "visible", "amodal", "category", "label")
        if form == "none":
            return {"frames": batch.frames, **clips, "confidence": torch.zeros_like(batch.amodal)}
        frames, confidence = simulate_propagation(batch.frames, batch.truth, batch.visible, batch.amodal, config, seeds)
        draws = [torch.rand(1, generator=torch.Generator().manual_seed(mix_seed(seed, "carry"))) for seed in seeds]
        carried = (torch.cat(draws) >= config.share).to(frames.device)
        if carried.any():
            hidden = (batch.frames[carried], batch.visible[carried], batch.amodal[carried])
            found = self.find_motion(*hidden, known_masks(seeds)[carried.cpu()])
            forward, backward = found.prior.chunk(2)
            frames[carried], confidence[carried] = propagate_clips(*hidden, forward, backward.flip(1), form)
        return {"frames": frames, **clips, "confidence": confidence}

    def predict(self, x: Inputs) -> Inputs:  # noqa: D102
        return fill(self.networks["generator"], x)

    def terms(self, y: Inputs, x: Inputs) -> Terms:  # noqa: D102
        return fill_terms(self.config, y, x["truth"], x["amodal"], self.estimators.perceptual)

    def critics(self) -> nn.Module | None:  # noqa: D102
        return make_critics(self.config)


def fill(generator: Callable[..., tuple[Tensor, Tensor]], x: Inputs) -> Inputs:
    """Generate colours and mix them with what was propagated, as `NetworkFill` does."""
    made, weight = generator(x["frames"], x["visible"], x["amodal"], x["confidence"], x["category"])
    made, weight = made.float(), weight.float()
    hidden = x["amodal"] * (x["visible"] <= 0.5)
    completed = mix(x["frames"], made, weight)
    # Not in the paper: beyond the hidden part critics see the truth, because what is left of the occluder there would
    # tell them what was made, and no generator can help it.
    shown = torch.where(hidden > 0.5, completed, x["truth"])
    weighed = hidden * (x["confidence"] > 0) * (x["confidence"] < 1)
    weights = {"propagated": x["frames"], "weight": weight, "weighed": weighed.detach()}
    return {"made": made, "completed": completed, "shown": shown, "hidden": hidden, **weights}


def fill_terms(config: TrainConfig, y: Inputs, truth: Tensor, amodal: Tensor, perceptual: LPIPS | None = None) -> Terms:
    """Compare colours (eq. 11)."""

    def look_unlike() -> Tensor:
        if perceptual is None:
            raise ValueRefusal(
                "loss.perceptual counts, but there is no LPIPS", remedy="give it to the task, or set it to 0"
            )
        return perceptual.compare_hidden(y["shown"], truth, y["hidden"] > 0.5, _PERCEPTUAL_SIDE)

    weighed = {}
    if config.generator.weigh:
        weighed["blend"] = lambda: losses.blend(y["weight"], y["propagated"], y["made"], truth, y["weighed"] * amodal)
    return compute_terms(
        config.loss,
        {
            # Not in the paper: what will be seen counts most; the rest teaches what things look like.
            "reconstruction_hidden": lambda: losses.reconstruction(y["completed"], truth, y["hidden"]),
            "reconstruction_amodal": lambda: losses.reconstruction(y["made"], truth, amodal),
            "reconstruction_rest": lambda: losses.reconstruction(y["made"], truth, 1 - amodal),
            "perceptual": look_unlike,
            **weighed,
        },
    )
