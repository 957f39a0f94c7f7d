"""The terms that the networks are trained with (paper 3.4, eq. 6-13): one pure function each, without weights.

What each term counts for stands in the training config, so that logs show every term by itself. All are means over
clips, which count alike, so that none depends on the number of pixels, clips or frames; all are 0 where the answer is
the truth, but for the adversarial ones and `flow_smoothness`. Eq. 12 and 13 are the weighted sums, and stand in the
training.

Logits are those before the sigmoid or softmax; masks and colours lie in [0, 1]; flows are in pixels, and the masks
beside them (pairs of them) are those of the frames in which flow starts. `amodal` and `truth` are the true ones.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from voin.core.types import Flows, Frames, Masks
from voin.core.warp import warp

Scalar = Float[Tensor, ""]
Classes = Float[Tensor, "b classes"]


# Shape (eq. 6)


def bce_amodal(logits: Masks, amodal: Masks) -> Scalar:
    """Compare the whole mask by binary cross entropy (nats a pixel)."""
    # Paper 3.4, eq. 6: L_BCE(M', M-hat).
    return F.binary_cross_entropy_with_logits(logits, amodal)


def bce_occluded(logits: Masks, amodal: Masks, visible: Masks) -> Scalar:
    """Compare the mask by binary cross entropy where nothing of the object is seen (nats a pixel)."""
    # Not in the paper: visible pixels are left out, because the answer is united with the visible mask anyway.
    return _mean(F.binary_cross_entropy_with_logits(logits, amodal, reduction="none"), 1 - visible)


def dice_occluded(logits: Masks, amodal: Masks, visible: Masks, *, smooth: float = 1.0) -> Scalar:
    """Compare the hidden part's mask by overlap, in [0, 1].

    `smooth` pixels are added above and below, so that nothing hidden and nothing found is no loss.
    """
    # Paper 3.4, eq. 6: L_Dice(M'_occ, M-hat_occ), with the squares of the paper's source [63] (V-Net).
    found = (logits.sigmoid() * (1 - visible)).flatten(1)
    truth = (amodal * (1 - visible)).flatten(1)
    both = 2 * (found * truth).sum(dim=1)
    areas = (found**2).sum(dim=1) + (truth**2).sum(dim=1)
    return (1 - (both + smooth) / (areas + smooth)).mean()


# Flow (eq. 7, 8)


def flow_l1(completed: Flows, truth: Flows, amodal: Masks) -> Scalar:
    """Compare flows; the object counts double (pixels)."""
    # Paper 3.4, eq. 7: ||(1 + M-hat) (O-hat - O)||_1. Outside the object nothing is predicted: completed flow is the
    # given one there, nobody follows it, and the contour comes from the mask. So the weight is a factor of 2.
    return ((1 + amodal) * (completed - truth)).abs().mean()


def laplacian_pyramid(completed: Flows, truth: Flows, *, levels: int = 5) -> Scalar:
    """Compare flows at several scales, each by itself, so that coarse errors do not drown fine ones (pixels)."""
    # Paper 3.4, eq. 7: L_Lap(O, O-hat) as in [64]. A pyramid is linear: that of the difference is the difference.
    # Sums weighted by 4^level, as in the source, are these means.
    difference = rearrange(completed - truth, "b t c h w -> (b t) c h w")
    return torch.stack([band.abs().mean() for band in laplacian_bands(difference, levels=levels)]).sum()


def laplacian_bands(x: Float[Tensor, "n c h w"], *, levels: int) -> list[Tensor]:
    """Part maps into bands of detail, finest first; the last is the rest. Enlarged by `enlarge` they add up to `x`."""
    bands = []
    for _ in range(levels - 1):
        coarse = _blur(x)[..., ::2, ::2]
        bands.append(x - enlarge(coarse, x.shape[-2:]))
        x = coarse
    return [*bands, x]


def enlarge(coarse: Float[Tensor, "n c h w"], size: torch.Size) -> Float[Tensor, "n c h2 w2"]:
    """Bring a coarser level of a pyramid to the size of the level below it."""
    return F.interpolate(coarse, size=size, mode="bilinear")


def flow_gradient(completed: Flows, truth: Flows, amodal: Masks) -> Scalar:
    """Compare how flows change from pixel to pixel inside the object (pixels a pixel)."""
    # Paper 3.4, eq. 8, first term: M-hat ||G(O) - G(O-hat)||_1.
    return flow_smoothness(completed - truth, amodal)


def flow_smoothness(completed: Flows, amodal: Masks) -> Scalar:
    """Measure how much flow changes from pixel to pixel inside the object, away from its contour (pixels a pixel)."""
    # Paper 3.4, eq. 8, second term: M-hat ||G(O)||_1, "for non-edge pixels": both neighbours must be the object.
    # Eq. 8 as printed takes the true flow's gradients, which are constant; the prediction's are meant.
    ways = [
        _mean(completed.diff(dim=axis).abs(), amodal.narrow(axis, 1, n - 1) * amodal.narrow(axis, 0, n - 1))
        for axis, n in ((-1, amodal.shape[-1]), (-2, amodal.shape[-2]))
    ]
    return ways[0] + ways[1]


def flow_warp(completed: Flows, frames: Frames, amodal: Masks) -> Scalar:
    """Compare the object's colours with those that flow leads to in the next frame; masks are of all frames."""
    # Paper 3.4, eq. 7: L_w, image warping consistency; only where the object is led to itself.
    now, after = amodal[:, :-1], torch.cat([frames, amodal], dim=2)[:, 1:]
    flows = rearrange(completed, "b t c h w -> (b t) c h w")
    found = warp(rearrange(after, "b t c h w -> (b t) c h w"), flows)
    found = rearrange(found, "(b t) c h w -> b t c h w", t=completed.shape[1])
    # The mask only says where to look: flow must not gain by leading off the object.
    return _mean((found[:, :, :3] - frames[:, :-1]).abs(), now * found[:, :, 3:].detach())


# Fill (eq. 9-11)


def reconstruction(generated: Frames, truth: Frames, region: Masks) -> Scalar:
    """Compare colours in a region."""
    # Paper 3.4, eq. 11: ||M-hat (Y' - Y)||_1 and ||(1 - M-hat) (Y' - Y)||_1, each as a mean over its region, which is
    # `amodal` or `1 - amodal`.
    return _mean((generated - truth).abs(), region)


def reconstruction_pasted(painted: Frames, given: Frames, mask: Masks, truth: Frames, region: Masks) -> Scalar:
    """Compare colours in a region in which a `mask` says what is painted and what stays as `given`.

    For a soft mask it is the mean over masks drawn from it, so that its gradient says how much nearer to the truth a
    pixel comes by being painted.
    """
    # Not in the paper: errors are mixed, not colours, because in a mix the occluder's colours could make good for
    # errors of the paint.
    painted_error, given_error = (painted - truth).abs(), (given - truth).abs()
    return _mean(mask * painted_error + (1 - mask) * given_error, region)


def blend(weight: Masks, found: Frames, made: Frames, truth: Frames, region: Masks) -> Scalar:
    """Compare how far found colours count with what brings the mix with those made nearest to the truth (nats).

    Each pixel of the region counts as far as both colours differ; neither has a gradient, the weight alone.
    """
    # Not in the paper, which takes what was found as it is: in training it is known which of both is nearer, and to
    # the colours' own error a weight that is sure and wrong hardly has a gradient.
    gap = (found - made).detach()
    power = gap.square().sum(dim=2, keepdim=True)
    best = (((truth - made.detach()) * gap).sum(dim=2, keepdim=True) / power.clamp(min=1e-6)).clamp(0, 1)
    given = weight.clamp(1e-4, 1 - 1e-4)
    least = torch.special.entr(best) + torch.special.entr(1 - best)
    lost = -best * given.log() - (1 - best) * (1 - given).log() - least
    return _mean((power / 3).sqrt() * lost, region)


def hinge_discriminator(real: Float[Tensor, "*r"], fake: Float[Tensor, "*f"]) -> Scalar:
    """Teach the patch discriminator to score true clips above 1 and generated ones below -1."""
    # Paper 3.4, eq. 9: [1 - D_p(x)] + [1 + D_p(G(z))], with the ReLU that is left out there.
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def hinge_generator(fake: Float[Tensor, "*f"]) -> Scalar:
    """Teach the generator to be scored high."""
    # Paper 3.4, eq. 10: -D_p(G(z)).
    return -fake.mean()


def class_discriminator(real: Classes, fake: Classes, label: Int[Tensor, " b"]) -> Scalar:
    """Teach the class discriminator to name what true clips show, and to tell generated ones, the last class (nats).

    Where the label is 0 nobody knows it: "an object" is never told to be the true class.
    """
    # Paper 3.4, eq. 9: log D_cls(y|x) + log D_cls(K+1|G(z)). Eq. 9 as printed has no sign before them, though they
    # are to grow while L_Dis falls; cross entropy is meant.
    return _name(real, label) + F.cross_entropy(fake, torch.full_like(label, fake.shape[1] - 1))


def class_generator(fake: Classes, label: Int[Tensor, " b"]) -> Scalar:
    """Teach the generator to have its clips named as what they show, where that is known (nats)."""
    # Paper 3.4, eq. 10: as printed, -D_cls(K+1|G(z)) falls as generated clips are told to be fake; the generator must
    # be pushed to the true class y instead.
    return _name(fake, label)


def _name(scores: Classes, label: Int[Tensor, " b"]) -> Scalar:
    return (F.cross_entropy(scores, label, reduction="none") * (label > 0)).mean()


def _mean(error: Float[Tensor, "b t c h w"], region: Float[Tensor, "b t 1 h w"]) -> Scalar:
    """Take the mean over a region, 0 where it is empty; each clip counts alike, however large its region is."""
    total, size = (x.flatten(1).sum(dim=1) for x in (error * region, region))
    return (total / (size * error.shape[2]).clamp(min=1)).mean()


def _blur(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Smooth by the binomial kernel 1 4 6 4 1; the border repeats."""
    kernel = x.new_tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    channels = x.shape[1]
    padded = F.pad(x, (2, 2, 2, 2), mode="replicate")
    across = F.conv2d(padded, kernel.view(1, 1, 1, 5).expand(channels, -1, -1, -1), groups=channels)
    return F.conv2d(across, kernel.view(1, 1, 5, 1).expand(channels, -1, -1, -1), groups=channels)
