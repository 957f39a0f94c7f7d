"""Batches for training, made wholly on the device out of packs that lie in its memory.

    numbers of (seed, step, place in the batch)  ->  frames of a pack  ->  augment  ->  occlude  ->  damage masks

A batch is a pure function of the seed and the step: there is no state to save, and processes that share a batch make
its parts without asking each other. Much of what is seen is invented: objects of one video pasted before another's
background, and photographed objects set in motion, with exact flow.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from voin.core.errors import ValueRefusal
from voin.core.types import Flows, Frames, Masks
from voin.data.occluders.occlude import Material, occlude
from voin.data.packs.pack import Pack
from voin.training import augment
from voin.training.augment import Offsets, end_pictures, jitter
from voin.training.batch.camera import go_through_camera
from voin.training.batch.choose import PARTS, Chooser, mix_seed
from voin.training.batch.config import Batch, SamplerConfig
from voin.training.batch.crop import check_crops, crop, cut_object
from voin.training.batch.filmed import look_filmed
from voin.training.device_pack import Choice, DevicePack, Part, Source, to_unit
from voin.training.moving_cutouts import Distractors, move_cutouts

_MATERIAL = 128  # side of the windows that are cut around objects of whole frames, as occluders


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
        config: SamplerConfig = SamplerConfig(),  # noqa: B008 - frozen
        device: torch.device | str = "cpu",
        seed: int = 0,
        cutouts: Pack | None = None,
        sprites: Pack | None = None,
    ) -> None:
        given: dict[Source, Pack | None] = {"films": pack, "cutouts": cutouts, "sprites": sprites}
        packs: dict[Source, Pack] = {name: one for name, one in given.items() if one is not None}
        for one in packs.values():
            if len(one) == 0:
                raise ValueRefusal(f"{one.path} has no clips", "sampling needs at least one", "make the pack again")
            check_crops(one, config.shape, config.crop)
        self.config, self.device, self.seed = config, torch.device(device), seed
        self._packs: dict[Source, DevicePack] = {name: DevicePack(one, self.device) for name, one in packs.items()}
        self._clips = self._packs["films"]
        self._chooser = Chooser(self._packs, config, seed)

    def choose(self, step: int, rank: int = 0, ranks: int = 1) -> list[Choice]:
        """Say what the clips of a batch are made of."""
        return [self._chooser(step, place) for place in self._places(rank, ranks)]

    @torch.no_grad()
    def batch(self, step: int, rank: int = 0, ranks: int = 1) -> Batch:
        """Make the batch of a step, or the part of it that process `rank` of `ranks` trains on.

        Raises:
            ValueError: the batch cannot be shared by so many processes.
        """
        config, device = self.config, self.device
        choices = self.choose(step, rank, ranks)
        places = self._places(rank, ranks)
        drawn = torch.stack([self._chooser.numbers(step, place) for place in places])
        numbers = dict(zip(PARTS, drawn.split(list(PARTS.values()), dim=1), strict=True))
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
