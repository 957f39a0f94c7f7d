"""Batches for training, made wholly on the device out of packs that lie in its memory.

    numbers of (seed, step, place in the batch)  ->  frames of a pack  ->  augment  ->  occlude  ->  damage masks

A batch is a pure function of the seed and the step: there is no state to save, and processes that share a batch make
its parts without asking each other. Much of what is seen is invented: objects of one video pasted before another's
background, and photographed objects set in motion, with exact flow.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from voin.core.config import Checked, setting
from voin.core.errors import ValueRefusal
from voin.core.types import Flows, Frames, Masks
from voin.data.categories import CATEGORIES
from voin.data.occluders.occlude import Material, OccluderConfig, occlude
from voin.data.pack import Pack
from voin.training import augment
from voin.training.augment import AugmentConfig, DamageConfig, Offsets, check_span, end_pictures, jitter
from voin.training.batch.camera import CAMERA_NUMBERS, CameraConfig, go_through_camera
from voin.training.batch.crop import CROP_NUMBERS, check_crops, crop, cut_object
from voin.training.batch.filmed import FILMED_NUMBERS, FilmedConfig, look_filmed
from voin.training.device_pack import Choice, DevicePack, Part, Source, to_unit
from voin.training.moving_cutouts import MOVE_NUMBERS, OBJECT_NUMBERS, Distractors, MoveConfig, move_cutouts

_CHOICES, _MORE_CHOICES = 14, 8  # numbers that choose clips and frames
_MATERIAL = 128  # side of the windows that are cut around objects of whole frames, as occluders
_PARTS = {
    "choices": _CHOICES,
    "place": augment.PLACE_NUMBERS,
    "other place": augment.PLACE_NUMBERS,
    "colour": augment.COLOUR_NUMBERS,
    "other colour": augment.COLOUR_NUMBERS,
    "donor colour": augment.COLOUR_NUMBERS,
    "damage": augment.DAMAGE_NUMBERS,
    "move": MOVE_NUMBERS,
    "more choices": _MORE_CHOICES,
    "drift": augment.DRIFT_NUMBERS,
    "slide": augment.SLIDE_NUMBERS,
    "distractor place": augment.PLACE_NUMBERS,
    "distractor colour": augment.COLOUR_NUMBERS,
    "distractor move": OBJECT_NUMBERS,
    "leave": augment.LEAVE_NUMBERS,
    "filmed": FILMED_NUMBERS,
    "camera": CAMERA_NUMBERS,
    "crop": CROP_NUMBERS,
}
# Shares of clips that are no part of a film as it is.
_NOT_CROPPED = ("pasted", "cutouts", "sprites", "distractors", "leaving", "drift")


@dataclass(frozen=True)
class SamplerConfig(Checked):
    """What batches are like; shares are those of clips."""

    batch: int = setting(4, "Clips in a batch, over all processes.", least=1)
    frames: int = setting(8, "Of a clip.", least=2)
    size: int = setting(192, "Width of the frames, a multiple of 8.", unit="pixels", least=32)
    height: int | None = setting(
        None, "Height, where it is another; a multiple of 4, and only with `crop`.", unit="pixels", least=32
    )
    crop: bool = setting(
        False, "Cut frames out of the pack's at random, pixel by pixel, and flip them: what the paper does (4.1)."
    )
    strides: tuple[int, int] = setting(
        (1, 3), "Least and most frames of the video from one frame to the next; less in short videos.", least=1
    )
    reversed: float = setting(0.5, "Share in which time runs backward.", least=0, most=1)
    pasted: float = setting(0.2, "Share whose object stands before another video's window.", least=0, most=1)
    aside: float = setting(0.5, "Most way aside of what is pasted upon, over the window's side.", least=0, most=1)
    cutouts: float = setting(0.3, "Share of photographed objects in motion, if there are cutouts.", least=0, most=1)
    sprites: float = setting(
        0.0, "Share of sprites before films, if there are any; and of occluders and distractors.", least=0, most=1
    )
    # It touches the object as an occluder would, and hides nothing of it.
    distractors: float = setting(0.0, "Share in which another object passes behind the object.", least=0, most=1)
    clear: float = setting(0.0, "Share without an occluder.", least=0, most=1)
    leaving: float = setting(
        0.0, "Share in which the picture's edge comes in: the object leaves or returns.", least=0, most=1
    )
    # Windows lag behind objects that turn.
    drift: float = setting(0.0, "Share in which the whole picture drifts in its window.", least=0, most=1)
    drifted: float = setting(0.18, "Most way of it, over the window's side.", least=0, most=1)
    unknown: float = setting(0.3, "Share whose category is not told.", least=0, most=1)
    partial: tuple[str, ...] = setting(
        (), "Videos whose own objects are hidden in part: backgrounds and occluders only."
    )
    augment: AugmentConfig = setting(factory=AugmentConfig, help="How clips are mirrored, moved and tinted.")
    occluder: OccluderConfig = setting(factory=OccluderConfig, help="What occluders look like and how they move.")
    damage: DamageConfig = setting(factory=DamageConfig, help="How visible masks are made faulty.")
    move: MoveConfig = setting(factory=MoveConfig, help="How photographed objects are set in motion.")
    filmed: FilmedConfig = setting(factory=FilmedConfig, help="How occluders are made to look filmed.")
    camera: CameraConfig = setting(factory=CameraConfig, help="How whole pictures are made worse.")

    def check(self) -> None:
        """Refuse sizes, strides and shares that do not fit."""
        check_span("strides", self.strides, "(1, 3)")
        if self.size % 8:
            raise ValueRefusal(f"size is {self.size}", "it must be a multiple of 8, at least 32", "use 192")
        if self.height is not None and (self.height % 4 or not self.crop):
            raise ValueRefusal(
                f"height is {self.height} and crop {str(self.crop).lower()}",
                "it must be a multiple of 4, and only crops have one",
                "leave it out for squares, or set crop=true",
            )
        moved = [name for name in _NOT_CROPPED if getattr(self, name)]
        if self.crop and moved:
            raise ValueRefusal(
                f"crop is true and {moved[0]} is {getattr(self, moved[0])}",
                "crops are parts of films as they are",
                f"set {'=0, '.join(moved)}=0",
            )
        if self.pasted + self.cutouts + self.sprites > 1:
            raise ValueRefusal(
                f"pasted, cutouts and sprites are {self.pasted}, {self.cutouts}, {self.sprites}",
                "together they must be at most 1",
                "give smaller shares",
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the frames."""
        return self.height or self.size, self.size


@dataclass(frozen=True)
class Batch:
    """What networks are trained on; on the sampler's device. Masks are 0 or 1, flows are in pixels.

    Attributes:
        frames: the input: the truth with an occluder before it.
        truth: without.
        visible: the object without the occluder, in some clips damaged.
        amodal: of the whole object.
        occluder: of what is before it.
        category: the place in `CATEGORIES` plus 1; 0 where it is unknown or not told.
        label: the same, 0 only where it is unknown: for what judges networks that are not told.
        strides: of the video's frames; negative where time runs backward, 0 in clips made of a photo.
        present: whether the frame holds any of the object.
        forward: the true flow of `truth`; 0 where it is not known.
        backward: likewise.
        flow_known: where it is.
    """

    frames: Frames
    truth: Frames
    visible: Masks
    amodal: Masks
    occluder: Masks
    category: Int[Tensor, " b"]
    label: Int[Tensor, " b"]
    strides: Int[Tensor, " b"]
    present: Bool[Tensor, "b t"]
    forward: Flows
    backward: Flows
    flow_known: Bool[Tensor, " b"]


class Sampler:
    """Batches of a pack, and of packs of cutouts and sprites beside it.

    Args:
        pack: laid into the device's memory as it is, uint8; on the CPU it stays a memory-mapped file.
        config: what the clips are made of.
        device: where batches are made.
        seed: of all batches.
        cutouts: photographed objects (`voin.data.objects.cutouts`).
        sprites: moving objects with soft masks (`voin.data.objects.sprites`).

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
        sprites: Pack | None = None,
    ) -> None:
        given: dict[Source, Pack | None] = {"films": pack, "cutouts": cutouts, "sprites": sprites}
        packs = {name: one for name, one in given.items() if one is not None}
        for one in packs.values():
            if len(one) == 0:
                raise ValueRefusal(f"{one.path} has no clips", "sampling needs at least one", "make the pack again")
            check_crops(one, config.shape, config.crop)
        self.config, self.device, self.seed = config, torch.device(device), seed
        self._packs = {name: DevicePack(one, self.device) for name, one in packs.items()}
        self._clips = self._packs["films"]
        self._whole = [i for i, video in enumerate(self._clips.videos) if video not in config.partial]
        unknown = sorted(set(config.partial) - set(self._clips.videos))
        if unknown or not self._whole:
            raise ValueRefusal(
                f"partial names {', '.join(unknown) or 'all videos'}",
                f"it must name some of {pack.path}'s: {', '.join(sorted(set(self._clips.videos)))}",
                "name those whose objects are hidden in part",
            )

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
        truth = torch.empty(len(choices), config.frames, 3, *config.shape, device=device)
        amodal = torch.empty_like(truth[:, :, :1])
        forward, backward = (torch.zeros_like(truth[:, 1:, :2]) for _ in range(2))
        known = [choice.target.source == "cutouts" for choice in choices]
        for make, moved in ((self._film, False), (self._move, True)):
            group = [i for i, exact in enumerate(known) if exact == moved]
            if group:
                parts = make([choices[i] for i in group], {name: rows[group] for name, rows in numbers.items()})
                for whole, part in zip((truth, amodal, forward, backward), parts, strict=False):
                    whole[group] = part
        frames, visible, occluder = truth.clone(), amodal.clone(), torch.zeros_like(amodal)
        group = [i for i, choice in enumerate(choices) if not choice.clear]
        if group:
            hidden = occlude(
                truth[group],
                amodal[group],
                self._material([choices[i].donor for i in group], numbers["donor colour"][group]),
                config.occluder,
                seed=[mix_seed(self.seed, step, places[i], "occluder") for i in group],
            )
            drawn = numbers["filmed"][group]
            seen = look_filmed(hidden.frames, truth[group], amodal[group], hidden.occluder, drawn, config.filmed)
            frames[group], visible[group], occluder[group] = seen
        if config.leaving:
            edges, sides = augment.draw_edges(numbers["leave"], config.frames, config.leaving)
            # Of what is never seen nothing is to be learned.
            seen = end_pictures(visible, edges, sides, repeat=False).flatten(1).any(dim=1, keepdim=True)
            edges = torch.where(seen.cpu(), edges, -1.0)
            frames, truth = (end_pictures(clip, edges, sides, repeat=True) for clip in (frames, truth))
            visible, amodal, occluder = (
                end_pictures(mask, edges, sides, repeat=False) for mask in (visible, amodal, occluder)
            )
        seeds = [mix_seed(self.seed, step, place, "camera") for place in places]
        frames, truth = go_through_camera(frames, truth, numbers["camera"], config.camera, seeds)
        return Batch(
            frames=frames,
            truth=truth,
            visible=augment.damage(visible, numbers["damage"], config.damage),
            amodal=amodal,
            occluder=occluder,
            category=torch.tensor([choice.label * choice.told for choice in choices], device=device),
            label=torch.tensor([choice.label for choice in choices], device=device),
            strides=torch.tensor([choice.stride for choice in choices], device=device),
            present=amodal.flatten(2).any(dim=2),
            forward=forward,
            backward=backward,
            flow_known=torch.tensor(known, device=device),
        )

    def _places(self, rank: int, ranks: int) -> range:
        count = self.config.batch // ranks
        if count * ranks != self.config.batch or not 0 <= rank < ranks:
            what = f"process {rank} of {ranks} is to share a batch of {self.config.batch}"
            raise ValueRefusal(what, "the batch must be a multiple of the processes", "set batch to one")
        return range(rank * count, (rank + 1) * count)

    def _numbers(self, step: int, place: int) -> Float[Tensor, " numbers"]:
        generator = torch.Generator().manual_seed(mix_seed(self.seed, step, place, "clip"))
        return torch.rand(sum(_PARTS.values()), generator=generator, dtype=torch.float64)

    def _choose(self, step: int, place: int) -> Choice:
        config, clips = self.config, self._clips
        numbers = dict(zip(_PARTS, self._numbers(step, place).split(list(_PARTS.values())), strict=True))
        u, more = numbers["choices"].tolist(), numbers["more choices"].tolist()
        source = self._choose_source(u[0])
        stride, distractor = 0, None
        if source == "films":
            clip = self._whole[self._turn("clips", step, place, len(self._whole))]
            frames, stride = self._draw_frames("films", clip, u[3:6])
            target, background = Part("films", clip, frames), None
            if u[0] >= 1 - config.pasted:
                background = self._draw_part("films", {clips.videos[clip]}, u[1], u[6:9])
        else:
            # Behind what is no film any film will do.
            clip = int(u[13] * len(clips))
            background = Part("films", clip, self._draw_frames("films", clip, u[3:6])[0])
            index = self._turn(source, step, place, len(self._packs[source]))
            frames = torch.zeros(1, dtype=torch.long)
            if source == "sprites":
                frames, stride = self._draw_frames(source, index, u[6:9])
            target = Part(source, index, frames)
        used = {self._video(part) for part in (target, background) if part is not None}
        donor = self._draw_part(self._choose_other(more[6]), used, u[2], u[9:12])
        if donor is None:
            # Of two videos, the one behind the object must do.
            donor = self._draw_part("films", {self._video(target)}, u[2], u[9:12])
        if more[0] < config.distractors:
            beside: Source = "cutouts" if source == "cutouts" else self._choose_other(more[7])
            distractor = self._draw_part(beside, used, more[1], more[2:5])
        label = category_index(self._packs[source].categories[target.index])
        clear, told = more[5] < config.clear, u[12] >= config.unknown
        return Choice(target, background, donor, distractor, clear, stride, label, told)

    def _choose_source(self, number: float) -> Source:
        cutouts, sprites = self.config.cutouts, self.config.sprites
        source = "cutouts" if number < cutouts else "sprites" if number < cutouts + sprites else "films"
        return source if source in self._packs else "films"

    def _choose_other(self, number: float) -> Source:
        return "sprites" if "sprites" in self._packs and number < self.config.sprites else "films"

    def _video(self, part: Part) -> str:
        return self._packs[part.source].videos[part.index]

    def _draw_part(self, source: Source, used: set[str], number: float, frames: list[float]) -> Part | None:
        index = self._packs[source].other(used, number)
        return None if index is None else Part(source, index, self._draw_frames(source, index, frames)[0])

    def _draw_frames(self, source: Source, clip: int, numbers: list[float]) -> tuple[Int[Tensor, " t"], int]:
        config = self.config
        count = 1 if source == "cutouts" else config.frames
        frames, stride = self._packs[source].draw_frames(clip, numbers, count, config.strides)
        return (frames.flip(0), -stride) if numbers[2] < config.reversed else (frames, stride)

    def _turn(self, what: str, step: int, place: int, count: int) -> int:
        """Say whose turn it is: all come once, shuffled, before any comes again."""
        turn, at = divmod(step * self.config.batch + place, count)
        generator = torch.Generator().manual_seed(mix_seed(self.seed, turn, 0, what))
        return int(torch.randperm(count, generator=generator)[at])

    def _film(self, choices: list[Choice], numbers: dict[str, Tensor]) -> tuple[Frames, Masks]:
        """Look the windows of clips up; some objects are put before others' windows, or before other objects."""
        config = self.config
        if config.crop:
            stretches = [(choice.target.index, choice.target.frames) for choice in choices]
            mirrored = config.augment.mirrored
            frames, covers = crop(*self._clips.gather(stretches), numbers["crop"], config.shape, mirrored)
            return jitter(frames, numbers["colour"], config.augment), covers
        drift = augment.draw_drift(numbers["drift"], config.frames, config.drift, config.drifted)
        frames, covers = self._look_up([choice.target for choice in choices], numbers["place"], drift)
        frames = jitter(frames, numbers["colour"], config.augment)
        truth = frames.clone()
        group, parts = _given(choice.background for choice in choices)
        if group:
            # Aside, or what they show in their middle were always behind the object.
            behind, _ = self._look_up(parts, numbers["other place"][group], drift[group], config.aside)
            truth[group] = jitter(behind, numbers["other colour"][group], config.augment)
        group, parts = _given(choice.distractor for choice in choices)
        if group:
            offsets = (drift + augment.draw_slide(numbers["slide"], config.frames, config.aside))[group]
            passing, where = self._look_up(parts, numbers["distractor place"][group], offsets)
            passing = jitter(passing, numbers["distractor colour"][group], config.augment)
            truth[group] = torch.lerp(truth[group], passing, where)
        return torch.lerp(truth, frames, covers), (covers > 0.5).float()

    def _look_up(
        self, parts: list[Part], numbers: Tensor, offsets: Offsets, aside: float = 0.0
    ) -> tuple[Frames, Masks]:
        """Look clips up, moved by `offsets` and up to `aside` of the window aside; masks of films are hard."""
        config, size = self.config, self.config.size
        frames = torch.empty(len(parts), config.frames, 3, size, size, device=self.device)
        masks = torch.empty_like(frames[:, :, :1])
        for source, pack in self._packs.items():
            group = [i for i, part in enumerate(parts) if part.source == source]
            if not group:
                continue
            drawn = numbers[group]
            stretches = [(parts[i].index, parts[i].frames) for i in group]
            # A finer grid where the window shrinks much, so that no alias is left.
            fine = max(round(pack.size * config.augment.scale[1] / size), 1)
            shape = (size * fine, size * fine)
            places = augment.draw_places(drawn, config.frames, shape, config.augment, self.device, offsets[group])
            if aside:
                # One of the numbers of the bend, which does not care.
                way = (2 * aside * (2 * drawn[:, -1] - 1)).to(places)
                places = places + way[:, None, None, None, None] * places.new_tensor([1, 0])
            # Objects are of one size whichever pack they are from.
            places = places * (self._clips.enlarge / pack.enlarge)
            mirrored = aside > 0 or bool(offsets.any())
            seen, found = augment.look_up(*pack.gather(stretches), places, mirrored)
            found = found if pack.soft else (found > 0.5).float()
            if fine > 1:
                seen, found = (
                    F.avg_pool2d(clip.flatten(0, 1), fine).unflatten(0, (len(group), -1)) for clip in (seen, found)
                )
            frames[group], masks[group] = seen, found if pack.soft else (found > 0.5).float()
        return frames, masks

    def _move(self, choices: list[Choice], numbers: dict[str, Tensor]) -> tuple[Frames, Masks, Flows, Flows]:
        """Set cutouts in motion before one frame of their clips."""
        config = self.config
        pictures, masks = self._photos([choice.target for choice in choices], numbers["colour"])
        grounds = [choice.background for choice in choices if choice.background is not None]
        behind, _ = to_unit(*self._clips.gather([(ground.index, ground.frames[:1]) for ground in grounds]))
        distractors, parts = None, [choice.distractor for choice in choices]
        if any(part is not None for part in parts):
            slide = augment.draw_slide(numbers["slide"], config.frames, config.aside)
            photos = self._photos(parts, numbers["distractor colour"])
            distractors = Distractors(*photos, numbers["distractor move"], slide)
        moved = move_cutouts(
            pictures,
            masks,
            jitter(behind, numbers["other colour"], config.augment)[:, 0],
            config.frames,
            config.size,
            numbers["move"],
            config.move,
            drift=augment.draw_drift(numbers["drift"], config.frames, config.drift, config.drifted),
            distractors=distractors,
        )
        return moved.frames, moved.amodal, moved.forward, moved.backward

    def _photos(self, parts: Sequence[Part | None], colours: Tensor) -> tuple[Tensor, Tensor]:
        """Look photos up, (b, 3, s, s) and masks (b, 1, s, s), which are 0 where there is none."""
        only = torch.zeros(1, dtype=torch.long)
        wanted = [(0 if part is None else part.index, only) for part in parts]
        pictures, masks = to_unit(*self._packs["cutouts"].gather(wanted))
        given = torch.tensor([part is not None for part in parts], device=self.device)
        return jitter(pictures, colours, self.config.augment)[:, 0], masks[:, 0] * given[:, None, None, None]

    def _material(self, donors: list[Part | None], numbers: Tensor) -> Material | None:
        if None in donors:  # then no clip has one, as all know the same videos
            return None
        # Whole frames are of another size than what is cut around an object.
        size = _MATERIAL if self.config.crop else self._clips.size
        frames = torch.empty(len(donors), self.config.frames, 3, size, size, device=self.device)
        masks = torch.empty_like(frames[:, :, :1])
        for source, pack in self._packs.items():
            group, parts = _given(donor if donor is not None and donor.source == source else None for donor in donors)
            if group:
                stretches = pack.gather([(part.index, part.frames) for part in parts])
                if self.config.crop:
                    cut = zip(*(cut_object(*stretch, size) for stretch in zip(*stretches, strict=True)), strict=True)
                    stretches = [torch.from_numpy(np.stack(clips)).to(self.device) for clips in cut]
                both = to_unit(*stretches)
                if pack.size != size and not self.config.crop:
                    both = (
                        F.interpolate(clip.flatten(0, 1), (size, size), mode="bilinear").unflatten(0, (len(group), -1))
                        for clip in both
                    )
                frames[group], masks[group] = both
        return Material(jitter(frames, numbers, self.config.augment), masks)


def _given(parts: Iterable[Part | None]) -> tuple[list[int], list[Part]]:
    """Return the parts that there are, and their places."""
    found = {i: part for i, part in enumerate(parts) if part is not None}
    return list(found), list(found.values())


def category_index(name: str | None) -> int:
    """Give the class of a category as networks are told it: its place in `CATEGORIES` plus 1; 0 for none."""
    return CATEGORIES.index(name) + 1 if name in CATEGORIES else 0


def mix_seed(*parts: int | str) -> int:
    """Make a seed of some words; torch's generator on the CPU uses the lower 32 bits only, so all must be mixed."""
    return int.from_bytes(blake2b(repr(parts).encode(), digest_size=7).digest(), "little")
