"""All three networks in a chain (paper 3.4, eq. 13)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from einops import rearrange
from torch import Tensor, nn

from voin.method.fill.colours import with_gradient_of
from voin.method.propagation.propagate import propagate_clips
from voin.training import losses
from voin.training.batch.config import Batch
from voin.training.flow_targets import both_ways
from voin.training.tasks.base import Inputs, Task, Terms, compute_terms, take
from voin.training.tasks.critics import make_critics
from voin.training.tasks.fill import fill, fill_terms
from voin.training.tasks.flow import find_truth, flow_terms
from voin.training.tasks.shape import complete_shape, find_evidence, shape_terms

# The terms of each stage.
TERMS = {
    "shape": ("bce_amodal", "bce_occluded", "dice_occluded"),
    "flow": ("flow_l1", "laplacian_pyramid", "flow_gradient", "flow_smoothness", "flow_warp"),
    "fill": (
        *("reconstruction_hidden", "reconstruction_amodal", "reconstruction_rest"),
        *("blend", "perceptual", "patch", "category"),
    ),
}


class JointTask(Task):
    """All three networks in a chain (eq. 13): each is given what the one before it made, and all learn by the result.

    What comes out reaches the flow through the colours that follow it, and the mask through what is pasted and through
    the generator's gates. Values are those of the pipeline: the mask is cut at one half, and its gradient is that of
    its probability. Which frames tracks lead to, how far they are believed, and what the flow network is told of the
    mask have no gradient.
    """

    kinds = ("shape", "flow", "generator")

    def prepare(self, batch: Batch, seeds: Sequence[int]) -> Inputs:  # noqa: D102
        # Both ways side by side, so that the first axis is that of the clips.
        pairs = {name: rearrange(x, "(way b) ... -> b way ...", way=2) for name, x in find_truth(self, batch).items()}
        clips = take(batch, "frames", "truth", "visible", "amodal", "occluder", "category", "label")
        return {**clips, **find_evidence(self.config, batch), **pairs}

    def predict(self, x: Inputs) -> Inputs:  # noqa: D102
        frames, visible = x["frames"], x["visible"]
        logits = complete_shape(self.networks["shape"], x).float()
        whole = torch.maximum((logits > 0).to(visible), visible)
        found = self.find_motion(frames, visible, whole)
        flow = self.networks["flow"](found.frames, found.initial, found.prior, found.visible, found.amodal).float()
        forward, backward = flow.chunk(2)
        form = self.config.generator.propagation
        propagated, confidence = propagate_clips(frames, visible, whole, forward, backward.flip(1), form)
        amodal = with_gradient_of(whole, logits.sigmoid() * (visible <= 0.5))
        inputs = {**x, "frames": propagated, "amodal": amodal, "confidence": confidence}
        y = fill(self.networks["generator"], inputs)
        given = {"prior": found.prior, "initial": found.initial}
        return {"logits": logits, "found": whole, "flow": flow, **given, **y, "confidence": confidence}

    def terms(self, y: Inputs, x: Inputs) -> Terms:  # noqa: D102
        amodal = x["amodal"]
        shape = shape_terms(self.config, y["logits"], amodal, x["visible"])
        true_flow, trusted = (
            rearrange(x[name], "b way t c h w -> (way b) t c h w") for name in ("true_flow", "trusted")
        )
        flow = flow_terms(self.config, y["flow"], true_flow, trusted, both_ways(x["truth"]), both_ways(amodal))
        # Colours count where the object truly is: elsewhere the truth is not the object's.
        region = {**y, "hidden": y["hidden"].detach() * amodal}
        fill = fill_terms(self.config, region, x["truth"], amodal, self.estimators.perceptual)
        pasted = compute_terms(self.config.loss, {"reconstruction_hidden": lambda: compare_paste(y, x)})
        return {**shape, **flow, **fill, **pasted}

    def critics(self) -> nn.Module | None:  # noqa: D102
        # They see the truth where the mask says nothing, so that a mask must not learn from them what it leaves out:
        # `fill` cuts what they are shown by it without gradients.
        return make_critics(self.config)

    def weights(self) -> dict[str, float]:  # noqa: D102
        loss = self.config.loss
        return {name: getattr(loss, stage) * getattr(loss, name) for stage, names in TERMS.items() for name in names}


def compare_paste(y: Inputs, x: Inputs) -> Tensor:
    """Compare what is seen after the paste (eq. 11): in the hidden part, and where masks reach into plain background.

    What is behind the occluder beside the object does not count. The generator learns nothing from paint beside the
    object: that is the mask's fault alone.
    """
    hidden = y["hidden"].detach() > 0.5
    truly = (x["amodal"] > 0.5) & (x["visible"] <= 0.5)
    beside = hidden & (x["amodal"] <= 0.5) & (x["occluder"] <= 0.5)
    # Where the mask leaves the occluder, what would be painted there is what the generator makes.
    painted = torch.where(hidden, y["completed"], y["made"])
    painted = torch.where(truly, painted, painted.detach())
    return losses.reconstruction_pasted(painted, x["frames"], y["hidden"], x["truth"], (truly | beside).to(painted))
