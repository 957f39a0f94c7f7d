"""Batches for training, made wholly on the device out of packs that lie in its memory.

    numbers of (seed, step, place in the batch)  ->  frames of a pack  ->  augment  ->  occlude  ->  damage masks

A batch is a pure function of the seed and the step: there is no state to save, and processes that share a batch make
its parts without asking each other. Much of what is seen is invented: objects of one video pasted before another's
background, and photographed objects set in motion, with exact flow.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from voin.core.errors import ValueRefusal
from voin.core.types import Flows, Frames, Masks
from voin.data.categories import CATEGORIES
from voin.data.occluders.occlude import Material, OccluderConfig, occlude
from voin.data.pack import Pack
from voin.training.augment import (
    COLOUR_NUMBERS,
    DAMAGE_NUMBERS,
    DRIFT_NUMBERS,
    PLACE_NUMBERS,
    SLIDE_NUMBERS,
    AugmentConfig,
    DamageConfig,
    Offsets,
    damage,
    draw_drift,
    draw_places,
    draw_slide,
    jitter,
    look_up,
)
from voin.training.device_pack import DevicePack, to_unit
from voin.training.moving_cutouts import MOVE_NUMBERS, OBJECT_NUMBERS, Distractors, MoveConfig, move_cutouts

_CHOICES, _MORE_CHOICES = 14, 6  # numbers that choose clips and frames
_PARTS = {
    "choices": _CHOICES,
    "place": PLACE_NUMBERS,
    "other place": PLACE_NUMBERS,
    "colour": COLOUR_NUMBERS,
    "other colour": COLOUR_NUMBERS,
    "donor colour": COLOUR_NUMBERS,
    "damage": DAMAGE_NUMBERS,
    "move": MOVE_NUMBERS,
    "more choices": _MORE_CHOICES,
    "drift": DRIFT_NUMBERS,
    "slide": SLIDE_NUMBERS,
    "distractor place": PLACE_NUMBERS,
    "distractor colour": COLOUR_NUMBERS,
    "distractor move": OBJECT_NUMBERS,
}


@dataclass(frozen=True)
class SamplerConfig:
    """What batches are like.

    Args:
        batch: clips in a batch, over all processes.
        frames: of a clip.
        size: side of the frames, pixels.
        strides: least and most frames of the video from one frame to the next; a short video takes smaller ones.
        reversed: share of clips in which time runs backward.
        pasted: share of clips whose object stands before another video's window.
        aside: most way to the side of what is pasted upon, over the window's side.
        cutouts: share of clips that are photographed objects in motion, where cutouts are given.
        distractors: share of clips in which another object passes behind the object: it touches the object as an
            occluder would, and hides nothing of it.
        clear: share of clips without an occluder.
        drift: share of clips in which the whole picture drifts in its window, as windows lag behind objects that turn.
        drifted: most way of it, over the window's side.
        unknown: share of clips whose category is not told.
        partial: videos whose own objects are hidden in part: they serve as backgrounds and occluders only.
        augment: see there.
        occluder: see there.
        damage: see there.
        move: see there.
    """

    batch: int = 4
    frames: int = 8
    size: int = 192
    strides: tuple[int, int] = (1, 3)
    reversed: float = 0.5
    pasted: float = 0.2
    aside: float = 0.5
    cutouts: float = 0.3
    distractors: float = 0.0
    clear: float = 0.0
    drift: float = 0.0
    drifted: float = 0.18
    unknown: float = 0.3
    partial: tuple[str, ...] = ()
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    occluder: OccluderConfig = field(default_factory=OccluderConfig)
    damage: DamageConfig = field(default_factory=DamageConfig)
    move: MoveConfig = field(default_factory=MoveConfig)

    def __post_init__(self) -> None:
        if self.batch < 1 or self.frames < 2:
            raise ValueRefusal(
                f"batch and frames are {self.batch}, {self.frames}", "at least 1 and 2 are needed", "use 4, 8"
            )
        if self.size < 32 or self.size % 8:
            raise ValueRefusal(f"size is {self.size}", "it must be a multiple of 8, at least 32", "use 192")
        if not 1 <= self.strides[0] <= self.strides[1]:
            raise ValueRefusal(f"strides are {self.strides}", "they must be 1 <= least <= most", "use (1, 3)")
        shares = ("reversed", "pasted", "aside", "cutouts", "distractors", "clear", "drift", "drifted", "unknown")
        for name in shares:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueRefusal(f"{name} is {getattr(self, name)}", "it is a share", "give a number from 0 to 1")
        if self.pasted + self.cutouts > 1:
            raise ValueRefusal(
                f"pasted and cutouts are {self.pasted}, {self.cutouts}",
                "together they must be at most 1",
                "give smaller shares",
            )


@dataclass(frozen=True)
class Batch:
    """What networks are trained on; on the sampler's device.

    Attributes:
        frames: (b, t, 3, h, w) in [0, 1], the input: the truth with an occluder before it.
        truth: (b, t, 3, h, w) in [0, 1].
        visible: (b, t, 1, h, w), 0 or 1; the object without the occluder, in some clips damaged.
        amodal: (b, t, 1, h, w), 0 or 1.
        occluder: (b, t, 1, h, w), 0 or 1.
        category: (b,), the place in `CATEGORIES` plus 1; 0 where it is unknown or not told.
        strides: (b,), frames of the video from one frame to the next; negative where time runs backward, and 0 in
            clips made of a photo.
        present: (b, t), whether the frame holds any of the object.
        forward: (b, t-1, 2, h, w), pixels, the true flow of `truth`; 0 where it is not known.
        backward: as `forward`, from frame i+1 to i.
        flow_known: (b,).
    """

    frames: Frames
    truth: Frames
    visible: Masks
    amodal: Masks
    occluder: Masks
    category: Int[Tensor, " b"]
    strides: Int[Tensor, " b"]
    present: Bool[Tensor, "b t"]
    forward: Flows
    backward: Flows
    flow_known: Bool[Tensor, " b"]


@dataclass(frozen=True)
class Choice:
    """What one clip of a batch is made of.

    Attributes:
        cutout: the photo that is its object; None: `clip` is.
        clip: of the pack, and the `frames` of it; the background, where there is a cutout.
        other: a clip of another video before which the object is pasted; None: it stays where it was.
        donor: a clip of yet another video (where there are three) whose object may become the occluder.
        distractor: what passes behind the object: a photo where `cutout` is one, else a clip of another video.
        clear: whether nothing stands before the object.
        stride: of `frames`.
        category: index, as in `Batch`.
    """

    cutout: int | None
    clip: int
    frames: Tensor
    other: int | None
    other_frames: Tensor
    donor: int | None
    donor_frames: Tensor
    distractor: int | None
    distractor_frames: Tensor
    clear: bool
    stride: int
    category: int


class Sampler:
    """Batches of a pack.

    Args:
        pack: laid into the device's memory as it is, uint8; on the CPU it stays a memory-mapped file.
        config: see there.
        device: where batches are made.
        seed: of all batches.
        cutouts: a pack of photographed objects (`voin.data.cutouts`), laid beside it.

    Raises:
        ValueError: a pack has no clips, or `partial` does not fit the pack.
    """

    def __init__(
        self,
        pack: Pack,
        config: SamplerConfig = SamplerConfig(),
        device: torch.device | str = "cpu",
        seed: int = 0,
        cutouts: Pack | None = None,
    ) -> None:
        for each in (pack, cutouts):
            if each is not None and len(each) == 0:
                raise ValueRefusal(f"{each.path} has no clips", "sampling needs at least one", "make the pack again")
        self.config, self.device, self.seed = config, torch.device(device), seed
        self._clips = DevicePack(pack, self.device)
        self._whole = [i for i, video in enumerate(self._clips.videos) if video not in config.partial]
        unknown = sorted(set(config.partial) - set(self._clips.videos))
        if unknown or not self._whole:
            raise ValueRefusal(
                f"partial names {', '.join(unknown) or 'all videos'}",
                f"it must name some of {pack.path}'s: {', '.join(sorted(set(self._clips.videos)))}",
                "name those whose objects are hidden in part",
            )
        self._cutouts = None if cutouts is None else DevicePack(cutouts, self.device)

    def choose(self, step: int, rank: int = 0, ranks: int = 1) -> list[Choice]:
        """Say what the clips of a batch are made of."""
        return [self._choose(step, place) for place in self._places(rank, ranks)]

    @torch.no_grad()
    def batch(self, step: int, rank: int = 0, ranks: int = 1) -> Batch:
        """Make the batch of a step, or the part of it that process `rank` of `ranks` trains on.

        Raises:
            ValueError: the batch cannot be shared by so many processes.
        """
        config, device = self.config, self.device
        choices = self.choose(step, rank, ranks)
        places = self._places(rank, ranks)
        drawn = torch.stack([self._numbers(step, place) for place in places])
        numbers = dict(zip(_PARTS, drawn.split(list(_PARTS.values()), dim=1), strict=True))
        shape = (len(choices), config.frames, config.size)
        truth = torch.empty(*shape[:2], 3, *shape[2:], shape[2], device=device)
        amodal = truth.new_empty(*shape[:2], 1, *shape[2:], shape[2])
        forward = truth.new_zeros(shape[0], shape[1] - 1, 2, *shape[2:], shape[2])
        backward = torch.zeros_like(forward)
        known = [choice.cutout is not None for choice in choices]
        for moved in (False, True):
            group = [i for i, each in enumerate(known) if each == moved]
            if not group:
                continue
            own = {name: each[group] for name, each in numbers.items()}
            these = [choices[i] for i in group]
            index = torch.tensor(group, device=device)
            if moved:
                truth[index], amodal[index], forward[index], backward[index] = self._move(these, own)
            else:
                truth[index], amodal[index] = self._film(these, own)
        frames, visible, occluder = truth.clone(), amodal.clone(), torch.zeros_like(amodal)
        group = [i for i, choice in enumerate(choices) if not choice.clear]
        if group:
            index = torch.tensor(group, device=device)
            hidden = occlude(
                truth[index],
                amodal[index],
                self._material([choices[i] for i in group], numbers["donor colour"][group]),
                config.occluder,
                seed=[mix_seed(self.seed, step, places[i], "occluder") for i in group],
            )
            frames[index], visible[index], occluder[index] = hidden.frames, hidden.visible, hidden.occluder
        return Batch(
            frames=frames,
            truth=truth,
            visible=damage(visible, numbers["damage"], config.damage),
            amodal=amodal,
            occluder=occluder,
            category=torch.tensor([choice.category for choice in choices], device=device),
            strides=torch.tensor([choice.stride for choice in choices], device=device),
            present=amodal.flatten(2).any(dim=2),
            forward=forward,
            backward=backward,
            flow_known=torch.tensor(known, device=device),
        )

    def _places(self, rank: int, ranks: int) -> range:
        count = self.config.batch // ranks
        if count * ranks != self.config.batch or not 0 <= rank < ranks:
            raise ValueRefusal(
                f"process {rank} of {ranks} is to share a batch of {self.config.batch}",
                "the batch must be a multiple of the processes",
                "set batch to one",
            )
        return range(rank * count, (rank + 1) * count)

    def _numbers(self, step: int, place: int) -> Float[Tensor, " numbers"]:
        generator = torch.Generator().manual_seed(mix_seed(self.seed, step, place, "clip"))
        return torch.rand(sum(_PARTS.values()), generator=generator, dtype=torch.float64)

    def _choose(self, step: int, place: int) -> Choice:
        config, clips = self.config, self._clips
        numbers = dict(zip(_PARTS, self._numbers(step, place).split(list(_PARTS.values())), strict=True))
        u, more = numbers["choices"].tolist(), numbers["more choices"].tolist()
        is_cutout = self._cutouts is not None and u[0] < config.cutouts
        # Behind a cutout any clip will do.
        clip = int(u[13] * len(clips)) if is_cutout else self._whole[self._turn("clips", step, place, len(self._whole))]
        pasted = not is_cutout and u[0] >= 1 - config.pasted
        other = clips.other({clips.videos[clip]}, u[1]) if pasted else None
        used = {clips.videos[each] for each in (clip, other) if each is not None}
        donor = clips.other(used, u[2])
        if donor is None:
            # Of two videos, the one behind the object must do.
            donor = clips.other({clips.videos[clip]}, u[2])
        frames, stride = self._draw_frames(clip, u[3:6])
        cutout = None
        name = clips.categories[clip]
        if is_cutout:
            assert self._cutouts is not None
            cutout, stride = self._turn("cutouts", step, place, len(self._cutouts)), 0
            name = self._cutouts.categories[cutout]
        distractor, distractor_frames = None, torch.zeros(1, dtype=torch.long)
        if more[0] < config.distractors:
            if cutout is None:
                distractor = clips.other(used, more[1])
                if distractor is not None:
                    distractor_frames = self._draw_frames(distractor, more[2:5])[0]
            else:
                assert self._cutouts is not None
                distractor = self._cutouts.other({self._cutouts.videos[cutout]}, more[1])
        return Choice(
            cutout=cutout,
            clip=clip,
            frames=frames,
            other=other,
            other_frames=frames if other is None else self._draw_frames(other, u[6:9])[0],
            donor=donor,
            donor_frames=frames if donor is None else self._draw_frames(donor, u[9:12])[0],
            distractor=distractor,
            distractor_frames=distractor_frames,
            clear=more[5] < config.clear,
            stride=stride,
            category=0 if u[12] < config.unknown else category_index(name),
        )

    def _draw_frames(self, clip: int, numbers: list[float]) -> tuple[Int[Tensor, " t"], int]:
        config = self.config
        frames, stride = self._clips.draw_frames(clip, numbers, config.frames, config.strides)
        return (frames.flip(0), -stride) if numbers[2] < config.reversed else (frames, stride)

    def _turn(self, what: str, step: int, place: int, count: int) -> int:
        """Say whose turn it is: all come once, shuffled, before any comes again."""
        turn, at = divmod(step * self.config.batch + place, count)
        generator = torch.Generator().manual_seed(mix_seed(self.seed, turn, 0, what))
        return int(torch.randperm(count, generator=generator)[at])

    def _film(self, choices: list[Choice], numbers: dict[str, Tensor]) -> tuple[Frames, Masks]:
        """Look the windows of clips up; some objects are pasted before others' windows, or before other objects."""
        config = self.config
        drift = self._drift(numbers)
        frames, masks = self._look_up([(each.clip, each.frames) for each in choices], numbers["place"], drift)
        truth = jitter(frames, numbers["colour"], config.augment)
        group = [i for i, choice in enumerate(choices) if choice.other is not None]
        if group:
            others = [(each.other, each.other_frames) for each in choices if each.other is not None]
            # Aside, or what they show in their middle were always behind the object.
            behind, _ = self._look_up(others, numbers["other place"][group], drift[group], config.aside)
            behind = jitter(behind, numbers["other colour"][group], config.augment)
            index = torch.tensor(group, device=self.device)
            truth[index] = torch.lerp(behind, truth[index], masks[index])
        group = [i for i, choice in enumerate(choices) if choice.distractor is not None]
        if group:
            clips = [(each.distractor, each.distractor_frames) for each in choices if each.distractor is not None]
            offsets = (drift + draw_slide(numbers["slide"], config.frames, config.aside))[group]
            passing, where = self._look_up(clips, numbers["distractor place"][group], offsets)
            passing = jitter(passing, numbers["distractor colour"][group], config.augment)
            index = torch.tensor(group, device=self.device)
            truth[index] = torch.lerp(truth[index], passing, where * (1 - masks[index]))
        return truth, masks

    def _drift(self, numbers: dict[str, Tensor]) -> Offsets:
        return draw_drift(numbers["drift"], self.config.frames, self.config.drift, self.config.drifted)

    def _look_up(
        self, clips: list[tuple[int, Tensor]], numbers: Tensor, offsets: Offsets, aside: float = 0.0
    ) -> tuple[Frames, Masks]:
        """Look clips up, moved by `offsets` and by up to `aside` of the window's side aside."""
        config = self.config
        # A finer grid where the window shrinks much, so that no alias is left.
        fine = max(round(self._clips.size * config.augment.scale[1] / config.size), 1)
        shape = (config.size * fine, config.size * fine)
        places = draw_places(numbers, config.frames, shape, config.augment, self.device, offsets)
        if aside:
            # One of the numbers of the bend, which does not care.
            places = places + (2 * aside * (2 * numbers[:, -1] - 1)).to(places)[
                :, None, None, None, None
            ] * places.new_tensor([1, 0])
        mirrored = aside > 0 or bool(offsets.any())
        frames, masks = look_up(*self._clips.gather(clips), places, mirrored)
        if fine == 1:
            return frames, masks
        b = len(frames)
        frames, masks = (F.avg_pool2d(each.flatten(0, 1), fine) for each in (frames, masks))
        return frames.unflatten(0, (b, -1)), (masks > 0.5).float().unflatten(0, (b, -1))

    def _move(self, choices: list[Choice], numbers: dict[str, Tensor]) -> tuple[Frames, Masks, Flows, Flows]:
        """Set cutouts in motion before one frame of their clips."""
        assert self._cutouts is not None
        config = self.config
        pictures, masks = self._photos([choice.cutout for choice in choices], numbers["colour"])
        behind, _ = to_unit(*self._clips.gather([(each.clip, each.frames[:1]) for each in choices]))
        distractors = None
        if any(choice.distractor is not None for choice in choices):
            distractors = Distractors(
                *self._photos([choice.distractor for choice in choices], numbers["distractor colour"]),
                numbers["distractor move"],
                draw_slide(numbers["slide"], config.frames, config.aside),
            )
        moved = move_cutouts(
            pictures,
            masks,
            jitter(behind, numbers["other colour"], config.augment)[:, 0],
            config.frames,
            config.size,
            numbers["move"],
            config.move,
            drift=self._drift(numbers),
            distractors=distractors,
        )
        return moved.frames, moved.amodal, moved.forward, moved.backward

    def _photos(self, indices: list[int | None], colours: Tensor) -> tuple[Tensor, Tensor]:
        """Look photos up, (b, 3, s, s) and masks (b, 1, s, s), which are 0 where there is none."""
        assert self._cutouts is not None
        only = torch.zeros(1, dtype=torch.long)
        pictures, masks = to_unit(*self._cutouts.gather([(index or 0, only) for index in indices]))
        given = torch.tensor([index is not None for index in indices], device=self.device)
        return jitter(pictures, colours, self.config.augment)[:, 0], masks[:, 0] * given[:, None, None, None]

    def _material(self, choices: list[Choice], numbers: Tensor) -> Material | None:
        donors = [(each.donor, each.donor_frames) for each in choices if each.donor is not None]
        if len(donors) < len(choices):  # then no clip has one, as all know the same videos
            return None
        frames, masks = to_unit(*self._clips.gather(donors))
        return Material(jitter(frames, numbers, self.config.augment), masks)


def category_index(name: str | None) -> int:
    """Give the class of a category as networks are told it: its place in `CATEGORIES` plus 1; 0 for none."""
    return CATEGORIES.index(name) + 1 if name in CATEGORIES else 0


def mix_seed(*parts: int | str) -> int:
    """Make a seed of some words; torch's generator on the CPU uses the lower 32 bits only, so all must be mixed."""
    return int.from_bytes(blake2b(repr(parts).encode(), digest_size=7).digest(), "little")
