"""What the clips of a batch are made of: a pure function of the seed, the step and the place in the batch."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b

import torch
from jaxtyping import Float, Int
from torch import Tensor

from voin.core.errors import ValueRefusal
from voin.data.categories import CATEGORIES
from voin.training import augment
from voin.training.batch.camera import CAMERA_NUMBERS
from voin.training.batch.config import SamplerConfig
from voin.training.batch.crop import CROP_NUMBERS
from voin.training.batch.filmed import FILMED_NUMBERS
from voin.training.device_pack import Choice, DevicePack, Part, Source
from voin.training.moving_cutouts import MOVE_NUMBERS, OBJECT_NUMBERS

_CHOICES, _MORE_CHOICES = 14, 8  # numbers that choose clips and frames
PARTS = {
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


class Chooser:
    """Chooses clips and frames out of packs, each clip of a pack once before any comes again.

    Args:
        packs: films, and cutouts and sprites if there are any.
        config: what the clips are like.
        seed: of all batches.

    Raises:
        ValueError: `partial` does not fit the films.
    """

    def __init__(self, packs: Mapping[Source, DevicePack], config: SamplerConfig, seed: int) -> None:
        self.config, self.seed = config, seed
        self._packs, self._clips = packs, packs["films"]
        videos = self._clips.videos
        self._whole = [i for i, video in enumerate(videos) if video not in config.partial]
        unknown = sorted(set(config.partial) - set(videos))
        if unknown or not self._whole:
            raise ValueRefusal(
                f"partial names {', '.join(unknown) or 'all videos'}",
                f"it must name some of the pack's: {', '.join(sorted(set(videos)))}",
                "name those whose objects are hidden in part",
            )

    def numbers(self, step: int, place: int) -> Float[Tensor, " numbers"]:
        """Draw all numbers of a clip, in [0, 1), in the order of `PARTS`."""
        generator = torch.Generator().manual_seed(mix_seed(self.seed, step, place, "clip"))
        return torch.rand(sum(PARTS.values()), generator=generator, dtype=torch.float64)

    def __call__(self, step: int, place: int) -> Choice:
        """Return what the clip at a place of a step's batch is made of."""
        config, clips = self.config, self._clips
        numbers = dict(zip(PARTS, self.numbers(step, place).split(list(PARTS.values())), strict=True))
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


def category_index(name: str | None) -> int:
    """Give the class of a category as networks are told it: its place in `CATEGORIES` plus 1; 0 for none."""
    return CATEGORIES.index(name) + 1 if name in CATEGORIES else 0


def mix_seed(*parts: int | str) -> int:
    """Make a seed of some words; torch's generator on the CPU uses the lower 32 bits only, so all must be mixed."""
    return int.from_bytes(blake2b(repr(parts).encode(), digest_size=7).digest(), "little")
