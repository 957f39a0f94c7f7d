"""Set photographed objects in motion before a background that moves otherwise: the amodal mask and the flow are exact.

    picture of the object  --sways, turns, tilts, grows-->  window  <--pans, zooms--  picture of the background

Not in the paper: real clips of whole objects are scarce, and no real clip has exact flow. Deformations are shears along
waves, whose inverse is as simple as they are, so that flow needs no search.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from voin.core.errors import ValueRefusal
from voin.core.types import Flows, Frames, Masks
from voin.training.augment import Numbers, Offsets, sway

Points = Float[Tensor, "b n h w 2"]  # x y; [-1, 1] is from edge to edge of a square picture
Planes = Float[Tensor, "b t 3 3"]  # homographies, float64, on the CPU

_SHEARS = 4
OBJECT_NUMBERS, _BACKGROUND_NUMBERS = 25 + 5 * _SHEARS, 14
MOVE_NUMBERS = OBJECT_NUMBERS + _BACKGROUND_NUMBERS


@dataclass(frozen=True)
class MoveConfig:
    """How cutouts move. Lengths are over the window's side.

    Args:
        scale: least and most side of the cutout's picture.
        stretch: most change of its width against its height, share.
        shift: most way of its middle from the window's, for good; and as much again by its motion.
        turn: most rotation, radians, for good; and as much again by its motion.
        grow: most change of its size, and of the background's, within the clip, share.
        tilt: most perspective: how much nearer one edge of the picture is than its middle, share.
        sway: most way of a point by each of four waves of the deformation.
        zoom: least and most side of the part of the background that is shown.
        pan: most way of the background between two frames.
        aside: most way of the background's middle from the window's to the sides; a third of it up and down.
        background_turn: most rotation of the background, radians.
    """

    scale: tuple[float, float] = (0.6, 0.85)
    stretch: float = 0.12
    shift: float = 0.08
    turn: float = 0.2
    grow: float = 0.12
    tilt: float = 0.15
    sway: float = 0.03
    zoom: tuple[float, float] = (0.6, 0.95)
    pan: float = 0.06
    aside: float = 0.5
    background_turn: float = 0.06

    def __post_init__(self) -> None:
        for name in ("scale", "zoom"):
            least, most = getattr(self, name)
            if not 0 < least <= most:
                raise ValueRefusal(f"{name} is {(least, most)}", "it must be 0 < least <= most", "use (0.6, 0.85)")
        for name in ("stretch", "grow"):
            if not 0 <= getattr(self, name) <= 0.5:
                raise ValueRefusal(f"{name} is {getattr(self, name)}", "it must be 0 to 0.5", "use 0.1")
        for name, most in (("tilt", 0.2), ("sway", 0.05)):
            if not 0 <= getattr(self, name) <= most:
                raise ValueRefusal(
                    f"{name} is {getattr(self, name)}", f"beyond {most} pictures would fold", f"give 0 to {most}"
                )
        for name in ("shift", "turn", "pan", "aside", "background_turn"):
            if getattr(self, name) < 0:
                raise ValueRefusal(f"{name} is {getattr(self, name)}", "it must not be negative", "use 0 for none")


@dataclass(frozen=True)
class Moved:
    """Clips of moving cutouts, on the device of their pictures.

    Attributes:
        frames: (b, t, 3, h, w) in [0, 1].
        amodal: (b, t, 1, h, w), 0 or 1.
        forward: (b, t-1, 2, h, w), pixels; exact: of the object where it is, elsewhere of what is seen there.
        backward: as `forward`, from frame i+1 to i.
    """

    frames: Frames
    amodal: Masks
    forward: Flows
    backward: Flows


@dataclass(frozen=True)
class Distractors:
    """Cutouts that pass behind the objects.

    Attributes:
        pictures: (b, 3, s, s) in [0, 1].
        masks: (b, 1, s, s) in [0, 1]; 0 where a clip has none.
        numbers: at least `OBJECT_NUMBERS`, each clip's own.
        offsets: their way.
    """

    pictures: Float[Tensor, "b 3 s s"]
    masks: Float[Tensor, "b 1 s s"]
    numbers: Numbers
    offsets: Offsets


@torch.no_grad()
def move_cutouts(
    pictures: Float[Tensor, "b 3 s s"],
    masks: Float[Tensor, "b 1 s s"],
    backgrounds: Float[Tensor, "b 3 n n"],
    count: int,
    size: int,
    numbers: Numbers,
    config: MoveConfig = MoveConfig(),
    *,
    drift: Offsets | None = None,
    distractors: Distractors | None = None,
) -> Moved:
    """Set one cutout a clip in motion.

    Args:
        pictures: of the objects, in [0, 1]; what is around an object is not shown.
        masks: of the objects, in [0, 1].
        backgrounds: in [0, 1]; continued by their mirror images.
        count: number of frames.
        size: side of the frames, pixels.
        numbers: at least `MOVE_NUMBERS`, each clip's own.
        config: how far and how fast they move.
        drift: of the whole picture in its window.
        distractors: what passes between the object and the background.
    """
    device = pictures.device
    if drift is None:
        drift = torch.zeros(len(pictures), count, 2, dtype=torch.float64)
    ground = _background_layer(numbers[:, OBJECT_NUMBERS:MOVE_NUMBERS], count, config, drift, device)
    things = [(pictures, masks, _object_layer(numbers, count, config, drift, device))]
    if distractors is not None:
        layer = _object_layer(distractors.numbers, count, config, drift + distractors.offsets, device)
        things.insert(0, (distractors.pictures, distractors.masks, layer))
    lines = (torch.arange(size, device=device) + 0.5) * 2 / size - 1
    grid = torch.stack(torch.meshgrid(lines, lines, indexing="xy"), dim=-1)  # h w 2
    points = grid.expand(len(pictures), count, -1, -1, -1)
    # From each frame to the next, and back.
    ways = ((slice(0, count - 1), slice(1, count)), (slice(1, count), slice(0, count - 1)))
    at = ground.find(points, slice(0, count))
    frames = _look_up(backgrounds, at, "reflection")
    inside = torch.zeros_like(frames[:, :, :1], dtype=torch.bool)
    moved = [ground.place(at[:, start], end) for start, end in ways]
    for picture, mask, layer in things:
        at = layer.find(points, slice(0, count))
        # Colours are weighted by the mask, so that nothing of the photo's own background is mixed in.
        found = _look_up(torch.cat([picture * mask, mask], dim=1), at, "zeros")
        alpha = found[:, :, 3:].clamp(0, 1)
        frames = found[:, :, :3] + (1 - alpha) * frames
        inside = alpha > 0.5
        moved = [
            torch.where(inside[:, start, 0, ..., None], layer.place(at[:, start], end), below)
            for (start, end), below in zip(ways, moved, strict=True)
        ]
    forward, backward = (((end - grid) * (size / 2)).permute(0, 1, 4, 2, 3) for end in moved)
    return Moved(frames.clamp(0, 1), inside.float(), forward, backward)


def _look_up(pictures: Float[Tensor, "b c s s"], at: Points, outside: str) -> Float[Tensor, "b n c h w"]:
    # All frames of a clip are one tall picture to look up.
    found = F.grid_sample(pictures, at.flatten(1, 2), padding_mode=outside, align_corners=False)
    return found.unflatten(2, (at.shape[1], -1)).transpose(1, 2)


@dataclass(frozen=True)
class _Layer:
    """How a picture lies in the window in each frame: deformed within itself, then seen as a plane.

    Attributes:
        planes: from the picture to the window.
        inverse: from the window to the picture.
        waves: (b, shears, 2), length (radians over half the picture) and phase of each shear; device.
        heights: (b, t, shears), how far each shear moves in each frame; device.
    """

    planes: Float[Tensor, "b t 3 3"]
    inverse: Float[Tensor, "b t 3 3"]
    waves: Float[Tensor, "b k 2"]
    heights: Float[Tensor, "b t k"]

    def find(self, points: Points, frames: slice) -> Points:
        """Find the places in the picture that lie at `points` of the window in these frames."""
        at = _project(self.inverse[:, frames], points)
        return self._shear(at, frames, range(self.waves.shape[1]), 1)

    def place(self, points: Points, frames: slice) -> Points:
        """Place points of the picture in the window in these frames: the inverse of `find`."""
        at = self._shear(points, frames, range(self.waves.shape[1] - 1, -1, -1), -1)
        return _project(self.planes[:, frames], at)

    def _shear(self, points: Points, frames: slice, order: range, sign: int) -> Points:
        x, y = points[..., 0], points[..., 1]
        for k in order:
            length, phase = (self.waves[:, k, i, None, None, None] for i in range(2))
            height = sign * self.heights[:, frames, k, None, None]
            if k % 2:
                y = y + height * torch.sin(length * x + phase)
            else:
                x = x + height * torch.sin(length * y + phase)
        return torch.stack([x, y], dim=-1)


def _project(planes: Float[Tensor, "b n 3 3"], points: Points) -> Points:
    m = planes[:, :, None, None]
    x, y = points[..., 0], points[..., 1]
    # Far outside the picture, where nothing is looked at, a tilted plane would end.
    depth = (m[..., 2, 0] * x + m[..., 2, 1] * y + m[..., 2, 2]).clamp(min=0.1)
    return torch.stack(
        [
            (m[..., 0, 0] * x + m[..., 0, 1] * y + m[..., 0, 2]) / depth,
            (m[..., 1, 0] * x + m[..., 1, 1] * y + m[..., 1, 2]) / depth,
        ],
        dim=-1,
    )


def _object_layer(numbers: Numbers, count: int, config: MoveConfig, offsets: Offsets, device: torch.device) -> _Layer:
    u = numbers[:, :OBJECT_NUMBERS]
    still = 2 * u[:, :5] - 1
    moving = torch.stack([sway(u[:, 5 + i], u[:, 11 + i], count) for i in range(6)], dim=-1)  # b t 6
    moving = moving * u[:, 17:23][:, None]  # some move much, some little
    scale = config.scale[0] + (config.scale[1] - config.scale[0]) * u[:, 23:24]
    scale = scale * (1 + config.grow * moving[..., 0])  # b t
    wide = 1 + config.stretch * still[:, 3:4]
    mirror = torch.where(u[:, 24:25] < 0.5, -1.0, 1.0)
    angle = config.turn * (still[:, 2:3] + moving[..., 1])
    shift = 2 * config.shift * (still[:, None, :2] + moving[..., 2:4]) + 2 * offsets
    tilt = config.tilt * moving[..., 4:6]
    planes = _planes(scale * wide * mirror, scale / wide, angle, shift, tilt)
    waves = u[:, 25:].unflatten(1, (_SHEARS, 5))
    heights = torch.stack([sway(waves[:, k, 2], waves[:, k, 3], count) for k in range(_SHEARS)], dim=-1)
    heights = 2 * config.sway * waves[:, None, :, 4] * heights
    # Half a wave to one and a half from edge to edge.
    lengths = torch.stack([1.6 + 3.2 * waves[..., 0], 6.2831853 * waves[..., 1]], dim=-1)
    return _layer(planes, lengths, heights, device)


def _background_layer(u: Numbers, count: int, config: MoveConfig, offsets: Offsets, device: torch.device) -> _Layer:
    times = torch.arange(count) - (count - 1) / 2
    swing = torch.stack([sway(u[:, 9 + i], u[:, 11 + i], count) for i in range(2)], dim=-1)  # b t 2
    zoom = config.zoom[0] + (config.zoom[1] - config.zoom[0]) * u[:, 0:1]
    zoom = zoom * (1 + config.grow * u[:, 1:2] * swing[..., 0])
    mirror = torch.where(u[:, 2:3] < 0.5, -1.0, 1.0)
    angle = config.background_turn * ((2 * u[:, 3:4] - 1) + swing[..., 1]) / 2
    # Steady in the main; slow pans are more frequent than fast ones.
    speed = 2 * config.pan * (2 * u[:, 4:6] - 1) * u[:, 6:7]
    # Another part of the background each time: what stands in its middle is not to be always behind the object.
    shift = (2 * u[:, None, 7:9] - 1) * torch.tensor([2.0, 2 / 3]) * config.aside + speed[:, None] * times[:, None]
    shift = shift + 2 * offsets
    planes = _planes(mirror / zoom, 1 / zoom, angle, shift, torch.zeros_like(shift))
    none = torch.zeros(len(u), 0, 2, dtype=torch.float64), torch.zeros(len(u), count, 0, dtype=torch.float64)
    return _layer(planes, *none, device)


def _planes(wide: Tensor, high: Tensor, angle: Tensor, shift: Tensor, tilt: Tensor) -> Planes:
    """Build homographies from a picture to the window: scaled, tilted, turned, then shifted."""
    cos, sin = angle.cos(), angle.sin()
    first, second, one = tilt[..., 0], tilt[..., 1], torch.ones_like(angle)
    # The shift is added after the division by depth.
    rows = [
        [wide * cos + shift[..., 0] * first, -high * sin + shift[..., 0] * second, shift[..., 0]],
        [wide * sin + shift[..., 1] * first, high * cos + shift[..., 1] * second, shift[..., 1]],
        [first, second, one],
    ]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def _layer(planes: Planes, waves: Tensor, heights: Tensor, device: torch.device) -> _Layer:
    inverse = torch.linalg.inv(planes)
    inverse = inverse / inverse[..., 2:, 2:]  # so that depth is positive
    return _Layer(*(each.to(device, torch.float32) for each in (planes, inverse, waves, heights)))
