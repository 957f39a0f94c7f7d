"""Hide an object behind a moving occluder, as YouTube-VOI does (paper 4.1, Figure 6): pure, seeded, batched.

    shapes (an object, strokes, a blob)  ->  paths (several tries)  ->  search for the rate  ->  compose

The paper gives the range of rates (10 % to 70 %); the other numbers are ours. Benchmarks and training data are made so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from voin.core.config import Checked, setting
from voin.core.errors import ValueRefusal
from voin.core.types import Frames, Masks, check_clip
from voin.data.occluders.paths import PATH_NUMBERS, PathConfig, draw_paths, find_track
from voin.data.occluders.search import Choice, Motion, Wishes, points_of, search
from voin.data.occluders.shapes import (
    SHAPE_NUMBERS,
    Kind,
    Material,
    ShapeConfig,
    between,
    draw_shapes,
    shapes_of_objects,
    usable,
)

_MOST_TRIES = 16  # so many paths are drawn for each clip, of which `tries` are looked at
_CELL = 8  # the deformation is computed on every eighth pixel and is linear in between


@dataclass(frozen=True)
class OccluderConfig(Checked):
    """What occlusions look like; a rate is the share of the object that is hidden, over the frames in which it is."""

    rates: tuple[float, float] = setting(
        (0.1, 0.7), "Least and most mean rate of a clip, drawn uniformly.", least=0, most=0.9
    )
    tolerance: float = setting(0.03, "How near the rate must come; else the nearest is kept.", above=0)
    # The others are strokes and blobs, and so are clips whose object is too ragged for their rate.
    objects: float = setting(
        0.5, "Share of clips whose occluder is an object, where there is material.", least=0, most=1
    )
    strokes: float = setting(0.5, "Share of strokes among the occluders that are drawn.", least=0, most=1)
    # More clips have free frames because of how their occluder moves.
    free_clips: float = setting(0.4, "Share of clips whose occluder is sent away for a time.", least=0, most=1)
    free_frames: float = setting(0.12, "Least share of their frames in which nothing is hidden.", least=0, most=1)
    # Where the rate is too low for it or the occluder too ragged, no frame is wholly hidden: the rate comes first.
    hidden_clips: float = setting(
        0.2, "Share of clips whose occluder is brought right before the object.", least=0, most=1
    )
    hidden_frames: float = setting(
        0.04, "Least share of their frames, or one, in which all is hidden.", least=0, most=1
    )
    tries: int = setting(10, "Paths tried for each clip.", least=1, most=_MOST_TRIES)
    points: int = setting(128, "Points of the object, in each frame, at which rates are estimated.", least=16)
    shape: ShapeConfig = setting(factory=ShapeConfig, help="Outlines of the occluders that are drawn.")
    path: PathConfig = setting(factory=PathConfig, help="How occluders move.")

    def check(self) -> None:  # noqa: D102
        if self.rates[0] > self.rates[1]:
            raise ValueRefusal(f"rates are {self.rates}", "they must be least <= most", "use (0.1, 0.7)")
        if self.points & (self.points - 1):
            raise ValueRefusal(f"points is {self.points}", "it must be a power of two", "use 128")


@dataclass(frozen=True)
class Occlusion:
    """Clips with their occluders, on the clips' device.

    Attributes:
        frames: the input: `pixels` where `occluder`, else the true frames.
        visible: 0 or 1; the amodal mask without the occluder.
        occluder: 0 or 1.
        pixels: the occluder's colours; 0 where there is none.
        rates: share of the object that is hidden; nan where there is no object.
        kinds: for each clip what hides it.
        aims: the rates that were aimed at.
    """

    frames: Frames
    visible: Masks
    occluder: Masks
    pixels: Frames
    rates: Float[Tensor, "b t"]
    kinds: tuple[Kind, ...]
    aims: Float[Tensor, " b"]


@torch.no_grad()
def occlude(
    frames: Frames,
    amodal: Masks,
    material: Material | None = None,
    config: OccluderConfig = OccluderConfig(),
    *,
    seed: int | Sequence[int],
) -> Occlusion:
    """Put a moving occluder before each clip's object.

    Args:
        frames: the true frames, (b, t, 3, h, w) in [0, 1].
        amodal: the whole object, (b, t, 1, h, w); above 0.5 is object.
        material: one donor for each clip, on the same device; None: strokes and blobs only.
        config: what occlusions look like.
        seed: one for each clip, or one from which those are drawn. A clip depends on its own seed alone, not on its
            neighbours in the batch; the same seed gives the same bytes on CPUs.

    Raises:
        ValueError: frames and mask are no clip, or material or seeds are not one for each clip.
    """
    b = len(frames)
    if material is not None and len(material.frames) != b:
        raise ValueRefusal(f"material has {len(material.frames)} donors for {b} clips", remedy="give one for each clip")
    if frames.shape[:2] != amodal.shape[:2] or frames.shape[-2:] != amodal.shape[-2:] or 0 in frames.shape:
        check_clip(frames, amodal, "amodal")  # says what is wrong
    # One pass, where `check_clip` takes several; NaN lies in no range.
    if not all(low >= 0 and high <= 1 for low, high in map(torch.aminmax, (frames, amodal))):
        check_clip(frames, amodal, "amodal")
    drawn = _draw_numbers(seed, b)
    kinds, others = _draw_kinds(drawn[:, 0], usable(material, b), config)
    wishes = _draw_wishes(drawn[:, 1:4], config)
    object_ = amodal[:, :, 0] > 0.5
    alpha = torch.empty_like(amodal, dtype=torch.bool)
    pixels = torch.empty_like(frames)
    # Two groups: shapes that move by themselves, and such as do not.
    for objects in (True, False):
        group = [i for i, kind in enumerate(kinds) if (kind == "object") == objects]
        if not group:
            continue
        # No copies where the group is the whole batch.
        index = torch.tensor(group) if len(group) < b else slice(None)
        donors = material if material is None else Material(material.frames[index], material.masks[index])
        sort: list[Kind] = [kinds[i] for i in group]
        found = _occlude_group(object_[index], donors, drawn[index, 4:], sort, wishes.at(index), config)
        if len(group) == b:
            alpha, pixels = found[:2]
        else:
            alpha[index], pixels[index] = found[:2]
        for i, missed in zip(group, found[2].tolist(), strict=True):
            if objects and missed:  # too ragged an object for its rate: a stroke or a blob instead
                kinds[i] = others[i]
    occluder = alpha.to(frames.dtype)
    visible = object_[:, :, None].to(frames.dtype) * (1 - occluder)
    whole = object_.flatten(2).view(torch.uint8).sum(dim=2, dtype=torch.float32)
    hidden = whole - visible.flatten(2).sum(dim=2, dtype=torch.float32)  # whole numbers, so exact in any order
    return Occlusion(
        # A true pixel times 1 plus 0, or times 0 plus the occluder's: exact, and quicker than a choice.
        frames=torch.addcmul(pixels, frames, 1 - occluder),
        visible=visible,
        occluder=occluder,
        pixels=pixels,
        rates=torch.where(whole > 0, hidden / whole.clamp(min=1), torch.nan).to(frames.dtype),
        kinds=tuple(kinds),
        aims=wishes.rates.to(frames),
    )


def _draw_numbers(seed: int | Sequence[int], count: int) -> Float[Tensor, "b numbers"]:
    if isinstance(seed, int):
        spread = torch.Generator().manual_seed(seed % 2**63)
        seeds = torch.randint(2**62, (count,), generator=spread).tolist()
    else:
        seeds = [int(number) for number in seed]
        if len(seeds) != count:
            raise ValueRefusal(
                f"there are {len(seeds)} seeds for {count} clips", remedy="give one for each clip, or one number"
            )
    total = 4 + SHAPE_NUMBERS + _MOST_TRIES * PATH_NUMBERS
    generators = [torch.Generator().manual_seed(number % 2**63) for number in seeds]
    return torch.stack([torch.rand(total, generator=generator, dtype=torch.float64) for generator in generators])


def _draw_kinds(
    numbers: Float[Tensor, " b"], can: Bool[Tensor, " b"], config: OccluderConfig
) -> tuple[list[Kind], list[Kind]]:
    """Return what hides each clip, and what takes the place of an object; `can` says which have a donor."""
    kinds: list[Kind] = []
    others: list[Kind] = []
    for number, has_donor in zip(numbers.tolist(), can.tolist(), strict=True):
        object_ = number < config.objects
        # The same number says what a clip gets whose donor does not serve.
        first, share = (0.0, config.objects) if object_ else (config.objects, 1 - config.objects)
        others.append("strokes" if (number - first) / max(share, 1e-9) < config.strokes else "blob")
        kinds.append("object" if object_ and has_donor else others[-1])
    return kinds, others


def _draw_wishes(numbers: Float[Tensor, "b 3"], config: OccluderConfig) -> Wishes:
    free = torch.where(numbers[:, 1] < config.free_clips, config.free_frames, 0.0).double()
    hidden = torch.where(numbers[:, 2] < config.hidden_clips, config.hidden_frames, 0.0).double()
    return Wishes(between(numbers[:, 0], *config.rates), free, hidden)


def _occlude_group(
    object_: Bool[Tensor, "b t h w"],
    material: Material | None,
    numbers: Float[Tensor, "b numbers"],
    kinds: Sequence[Kind],
    wishes: Wishes,
    config: OccluderConfig,
) -> tuple[Bool[Tensor, "b t 1 h w"], Frames, Bool[Tensor, " b"]]:
    """Return occluders and pixels of clips that are all of objects or all of others, and which missed their rate."""
    device, (b, t, h, w) = object_.device, object_.shape
    path_numbers = numbers[:, SHAPE_NUMBERS:].unflatten(1, (-1, PATH_NUMBERS))[:, : config.tries]
    objects = kinds[0] == "object"
    if material is not None and objects:
        shapes = shapes_of_objects(material, t, numbers[:, :SHAPE_NUMBERS])
    else:
        shapes = draw_shapes(kinds, material, numbers[:, :SHAPE_NUMBERS], config.shape, device)
    track = find_track(object_, config.path)
    paths = draw_paths(path_numbers, track, wishes.free, wishes.hidden, objects, config.path)
    motion = Motion(track, paths, shapes, objects, device)
    choice = search(motion, points_of(object_, config.points), wishes, config.tolerance)
    if objects and choice.missed.all():  # none of them will be shown
        return object_.new_zeros(b, t, 1, h, w), torch.zeros(b, t, 3, h, w, device=device), choice.missed
    return *_render(motion, choice, (h, w)), choice.missed


def _render(motion: Motion, choice: Choice, shape: tuple[int, int]) -> tuple[Bool[Tensor, "b t 1 h w"], Frames]:
    h, w = shape
    b, t = motion.half.shape[0], motion.half.shape[2]
    rows, columns = -(-(h - 1) // _CELL) + 1, -(-(w - 1) // _CELL) + 1
    # A grid of at least two cells each way, between which pixels lie.
    rows, columns = max(rows, 2), max(columns, 2)
    y, x = torch.meshgrid(torch.arange(rows) * _CELL, torch.arange(columns) * _CELL, indexing="ij")
    cells = torch.stack([x, y], dim=-1).reshape(1, 1, -1, 2).to(choice.size)
    down = torch.arange(h, device=cells.device) * (2 / (_CELL * (rows - 1))) - 1
    across = torch.arange(w, device=cells.device) * (2 / (_CELL * (columns - 1))) - 1
    between = torch.stack(torch.meshgrid(across, down, indexing="xy"), dim=-1)  # (h, w, 2), in [-1, 1]
    occluder = torch.empty(b, t, 1, h, w, dtype=torch.bool, device=cells.device)
    pixels = torch.empty(b, t, 3, h, w, device=cells.device)
    # On a CPU few frames at a time, which stay in its cache; on other devices all at once, within 2 GB.
    step = max((2**17 if cells.device.type == "cpu" else 2**26) // (b * h * w), 1)
    for start in range(0, t, step):
        part = slice(start, start + step)
        places = motion.locate(cells, choice.k, choice.size, choice.distance, part)[:, :, 0]  # (b, frames, cells, 2)
        count = places.shape[1]
        fine = places.reshape(b * count, rows, columns, 2).permute(0, 3, 1, 2)
        # Not by `interpolate`, which rounds otherwise with another number of threads.
        fine = F.grid_sample(fine, between.expand(b * count, -1, -1, -1), align_corners=True).permute(0, 2, 3, 1)
        pictures = motion.pictures if motion.pictures.shape[1] == 1 else motion.pictures[:, part]
        found = motion.look_up(pictures, fine.reshape(b, count, h, w, 2))  # (b, frames, 4, h, w)
        alpha = found[:, :, 3:]
        inside = alpha > 0.5
        occluder[:, part] = inside
        # The colours were weighted by alpha, so that nothing of the donor's background is mixed in.
        weight = inside.to(alpha).div_(alpha.clamp_(min=0.5))
        pixels[:, part] = found[:, :, :3].mul_(weight).clamp_(0, 1)
    return occluder, pixels
