"""Make one clip many: looked at from elsewhere, in other colours, with imperfect masks; batched, on the clip's device.

All is drawn from uniform numbers, one row a clip, so that a clip depends on its own numbers alone. Not in the paper,
which crops whole frames at random and flips them (4.1; `batch/crop.py`), because windows around few objects must stand
for many; the numbers are ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from voin.core.config import Checked, setting
from voin.core.errors import ValueRefusal
from voin.core.types import Frames, Masks

Numbers = Float[Tensor, "b numbers"]  # uniform in [0, 1), float64, on the CPU
Places = Float[Tensor, "b t h w 2"]  # x y in [-1, 1], from edge to edge of a square picture
Offsets = Float[Tensor, "b t 2"]  # x y, over the window's side, float64, on the CPU
Edges = Float[Tensor, "b t"]  # in [-1, 1] from the side where the edge is, float64, on the CPU
Sides = Int[Tensor, " b"]  # left, right, top, bottom

_BENDS = 5  # side of the grid on which a bend is drawn
_PIECES = 7  # side of the grid on which lost pieces are drawn
PLACE_NUMBERS, COLOUR_NUMBERS, DAMAGE_NUMBERS = 13 + 2 * _BENDS**2, 7, 6 + 2 * _PIECES**2
DRIFT_NUMBERS = SLIDE_NUMBERS = 6
LEAVE_NUMBERS = 4


@dataclass(frozen=True)
class AugmentConfig(Checked):
    """How far clips are changed; lengths are over the window's side, colours over [0, 1]."""

    scale: tuple[float, float] = setting((0.75, 1.05), "Least and most side of the part that is shown.", above=0)
    turn: float = setting(0.15, "Most rotation, radians.", least=0)
    shift: float = setting(0.07, "Most way of the shown part from the window's middle.", least=0)
    drift: float = setting(0.35, "Share of scale, turn and shift that changes within the clip.", least=0, most=1)
    bend: float = setting(0.025, "Most smooth deformation, the same in all frames.", least=0, most=0.05)
    mirrored: float = setting(0.5, "Share of clips with left and right exchanged.", least=0, most=1)
    light: float = setting(0.12, "Most change of brightness.", least=0)
    contrast: float = setting(0.25, "Most change of contrast, share of it.", least=0, most=1)
    saturation: float = setting(0.4, "Most change of saturation, share of it.", least=0, most=1)
    tint: float = setting(0.06, "Most change of one colour against the others, share of it.", least=0, most=1)

    def check(self) -> None:
        """Refuse a scale that is no span."""
        check_span("scale", self.scale, "(0.75, 1.05)")


def check_span(name: str, span: tuple[float | int, float | int], usual: str) -> None:
    """Refuse a least above a most."""
    if span[0] > span[1]:
        raise ValueRefusal(f"{name} is {span}", "it must be 0 < least <= most", f"use {usual}")


@dataclass(frozen=True)
class DamageConfig(Checked):
    """How imperfect the visible masks are that users give."""

    clips: float = setting(0.0, "Share of clips with damage; half of those get each kind.", least=0, most=1)
    grown: int = setting(2, "Most pixels by which a mask is too large or too small.", least=0, most=8)
    shift: int = setting(2, "Most pixels by which a mask lies beside its object, each way.", least=0, most=8)
    pieces: float = setting(0.2, "Most share of the window in which pieces are lost.", least=0, most=1)


def sway(phase: Float[Tensor, " b"], turns: Float[Tensor, " b"], count: int) -> Float[Tensor, "b t"]:
    """Draw a smooth curve over `count` frames in [-1, 1]: a tenth to seven tenths of a wave."""
    times = torch.arange(count) / max(count - 1, 1)
    return torch.sin(6.2831853 * (phase[:, None] + (0.1 + 0.6 * turns[:, None]) * times))


def draw_drift(numbers: Numbers, count: int, share: float, reach: float) -> Offsets:
    """Draw how the whole picture drifts in its window: smoothly, by at most `reach`, in a `share` of the clips."""
    u = numbers[:, :DRIFT_NUMBERS]
    swing = torch.stack([sway(u[:, 2 + i], u[:, 4 + i], count) for i in range(2)], dim=-1)
    return reach * (u[:, :1] < share)[:, None] * u[:, 1:2, None] * swing


def draw_slide(numbers: Numbers, count: int, reach: float) -> Offsets:
    """Draw how something passes through the window: its way from the middle, and as much again by its motion.

    Up and down it goes half as far.
    """
    u = (2 * numbers[:, :SLIDE_NUMBERS] - 1) * reach * torch.tensor([1, 0.5, 1, 0.5, 0.1, 0.1])
    times = torch.linspace(-0.5, 0.5, count, dtype=u.dtype)[:, None]
    # Hardly any of it at an even speed.
    return u[:, None, :2] + u[:, None, 2:4] * times + u[:, None, 4:] * torch.sin(6.2831853 * times)


def draw_edges(numbers: Numbers, count: int, share: float) -> tuple[Edges, Sides]:
    """Draw which edge of the picture comes into the window and how, in a `share` of the clips; else it is at -1."""
    u = numbers[:, :LEAVE_NUMBERS]
    edges = 0.9 * sway(u[:, 1], u[:, 2], count) - 0.1
    return torch.where(u[:, :1] < share, edges, -1.0), (4 * u[:, 3]).long()


def end_pictures(
    clips: Float[Tensor, "b t c s s"], edges: Edges, sides: Sides, repeat: bool
) -> Float[Tensor, "b t c s s"]:
    """End square pictures at an edge: beyond it they `repeat` their border, as windows do, or are 0, as masks are."""
    size = clips.shape[-1]
    lines = torch.arange(size, device=clips.device)
    first = ((edges + 1) / 2 * size).round().long().clamp(0, size - 1).to(clips.device)[:, :, None]
    # From the side where the edge is; upright ones are columns.
    at = torch.maximum(lines, first)
    beyond = (lines < first).to(clips)
    far = (sides % 2 == 1).to(clips.device)[:, None, None]
    at, beyond = torch.where(far, size - 1 - at.flip(-1), at), torch.where(far, beyond.flip(-1), beyond)
    level = (sides >= 2).to(clips.device)[:, None, None, None, None]
    if not repeat:
        return clips * (1 - torch.where(level, beyond[:, :, None, :, None], beyond[:, :, None, None, :]))
    rows = torch.where(level, at[:, :, None, :, None], lines[:, None])
    columns = torch.where(level, lines, at[:, :, None, None, :])
    return clips.gather(-2, rows.expand(clips.shape)).gather(-1, columns.expand(clips.shape))


def draw_places(
    numbers: Numbers,
    count: int,
    shape: tuple[int, int],
    config: AugmentConfig,
    device: torch.device,
    offsets: Offsets | None = None,
) -> Places:
    """Draw where in the window each pixel of `count` frames of `shape` is looked up; `offsets` move it in the end."""
    u = numbers[:, :PLACE_NUMBERS]
    # Scale, turn, x and y: each a base and a drift about it.
    base, drift = 2 * u[:, 1:5] - 1, config.drift * u[:, 12:13]
    curve = torch.stack([sway(u[:, 5 + i], u[:, 8 + i], count) for i in range(4)], dim=-1)  # b t 4
    value = (1 - drift)[:, None] * base[:, None] + drift[:, None] * curve
    middle, reach = sum(config.scale) / 2, (config.scale[1] - config.scale[0]) / 2
    scale, angle = middle + reach * value[..., 0], config.turn * value[..., 1]
    mirror = torch.where(u[:, :1] < config.mirrored, -1.0, 1.0)
    cos, sin = scale * angle.cos(), scale * angle.sin()
    rows = [
        torch.stack([mirror * cos, -sin, 2 * config.shift * value[..., 2]], dim=-1),
        torch.stack([mirror * sin, cos, 2 * config.shift * value[..., 3]], dim=-1),
    ]
    affine = torch.stack(rows, dim=-2)  # b t 2 3
    if offsets is not None:
        affine[..., 2:] -= affine[..., :2] @ (2 * offsets[..., None])
    affine = affine.flatten(0, 1).to(device, torch.float32)
    places = F.affine_grid(affine, [len(affine), 1, *shape], align_corners=False).unflatten(0, (-1, count))
    if config.bend == 0:
        return places
    grid = (2 * u[:, 13:] - 1).reshape(-1, 2, _BENDS, _BENDS).to(device, torch.float32)
    return places + 2 * config.bend * _spread(grid, shape).permute(0, 2, 3, 1)[:, None]


def _spread(grid: Float[Tensor, "b c n n"], shape: tuple[int, int]) -> Float[Tensor, "b c h w"]:
    """Interpolate a grid smoothly; its outer values lie on the picture's edges."""
    # Not by `interpolate`, which rounds otherwise with another number of threads.
    lines = [torch.linspace(-1, 1, side, device=grid.device) for side in shape]
    y, x = torch.meshgrid(*lines, indexing="ij")
    between = torch.stack([x, y], dim=-1).expand(len(grid), -1, -1, -1)
    return F.grid_sample(grid, between, mode="bicubic", padding_mode="border", align_corners=True)


def look_up(
    frames: UInt8[Tensor, "b t s s 3"], masks: UInt8[Tensor, "b t s s"], places: Places, mirrored: bool = False
) -> tuple[Frames, Masks]:
    """Look frames and their masks, 0 to 255, up at the same places; they come back in [0, 1].

    Outside the window frames repeat their border (or are `mirrored` there), and masks are 0.
    """
    b, t = masks.shape[:2]
    own = torch.cat([frames, masks[..., None]], dim=-1).flatten(0, 1).permute(0, 3, 1, 2)
    outside = "reflection" if mirrored else "border"
    found = F.grid_sample(own.float() / 255, places.flatten(0, 1), padding_mode=outside, align_corners=False)
    found = found.clamp(0, 1).unflatten(0, (b, t))
    inside = (places.abs() <= 1).all(dim=-1)[:, :, None]
    return found[:, :, :3], found[:, :, 3:] * inside


def jitter(frames: Frames, numbers: Numbers, config: AugmentConfig) -> Frames:
    """Change light, contrast, saturation and tint, in each clip otherwise."""
    u = 2 * numbers[:, :COLOUR_NUMBERS] - 1
    luma = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64).expand(3, 3)
    saturation = (1 + config.saturation * u[:, 0])[:, None, None]
    gain = 1 + config.tint * u[:, 1:4] - config.tint * u[:, 1:4].mean(dim=1, keepdim=True)
    contrast = (1 + config.contrast * u[:, 4])[:, None, None]
    matrix = contrast * gain[:, :, None] * (saturation * torch.eye(3) + (1 - saturation) * luma)  # b 3 3
    offset = 0.5 + config.light * u[:, 5] - 0.5 * contrast[:, 0, 0]
    matrix, offset = matrix.to(frames), offset.to(frames)
    changed = torch.matmul(matrix[:, None], frames.flatten(3)) + offset[:, None, None, None]
    return changed.clamp(0, 1).view_as(frames)


def damage(visible: Masks, numbers: Numbers, config: DamageConfig) -> Masks:
    """Make some clips' visible masks as imperfect as users' are: too large or small, shifted, with pieces lost.

    No frame loses all of its mask by that.
    """
    u = numbers[:, :DAMAGE_NUMBERS]
    chosen, result = u[:, 0] < config.clips, visible
    # Half of the chosen clips get each damage.
    grown = _whole(u[:, 1], config.grown) * chosen
    shift = _whole(u[:, 2:4], config.shift) * chosen[:, None]
    lost = config.pieces * (2 * u[:, 4] - 1).clamp(min=0) * chosen
    if grown.any():
        result = _grow(result, grown)
    if shift.any():
        result = _shift(result, shift)
    if lost.any():
        result = result * ~_pieces(u[:, 6:], lost, visible)
    there = result.flatten(2).any(dim=2)[:, :, None, None, None]
    return torch.where(there, result, visible)


def _whole(number: Float[Tensor, "*b"], most: int) -> Tensor:
    """Turn half of the numbers into whole ones from -`most` to `most`, and half into 0."""
    return (((2 * number - 1.5) * 2) * (most + 0.5)).round().clamp(-most, most).long() * (number > 0.5)


def _grow(masks: Masks, by: Tensor) -> Masks:
    """Grow (or, where `by` is negative, shrink) each clip's masks by that many pixels."""
    by = by.to(masks.device)[:, None, None, None, None]
    # Shrinking a mask is growing what is outside it.
    result = step = torch.where(by < 0, 1 - masks, masks)
    for radius in range(1, int(by.abs().max()) + 1):
        step = F.max_pool2d(step.flatten(0, 1), 3, stride=1, padding=1).view_as(masks)
        result = torch.where(by.abs() == radius, step, result)
    return torch.where(by < 0, 1 - result, result)


def _shift(masks: Masks, by: Tensor) -> Masks:
    """Shift each clip's masks by whole pixels x y; what comes in from outside is 0."""
    moved = torch.zeros_like(masks)
    h, w = masks.shape[-2:]
    for mask, result, (x, y) in zip(masks, moved, by.tolist(), strict=True):
        result[..., max(y, 0) : h + min(y, 0), max(x, 0) : w + min(x, 0)] = mask[
            ..., max(-y, 0) : h + min(-y, 0), max(-x, 0) : w + min(-x, 0)
        ]
    return moved


def _pieces(numbers: Tensor, share: Float[Tensor, " b"], like: Masks) -> Bool[Tensor, "b t 1 h w"]:
    """Draw pieces that move a little with time and cover about `share` of each clip's frames."""
    t, (h, w) = like.shape[1], like.shape[-2:]
    # From one noise to another within the clip.
    noise = _spread(numbers.reshape(-1, 2, _PIECES, _PIECES).to(like), (h, w))
    times = torch.linspace(0, 1, t, device=like.device)[:, None, None]
    mixed = noise[:, :1] * (1 - times) + noise[:, 1:] * times  # b t h w
    ordered = mixed[:, :, ::8, ::8].flatten(1).sort(dim=1).values
    at = ((1 - share) * (ordered.shape[1] - 1)).long().to(like.device)
    least = ordered.gather(1, at[:, None])[:, :, None, None]
    return ((mixed > least) & (share > 0).to(like.device)[:, None, None, None])[:, :, None]
