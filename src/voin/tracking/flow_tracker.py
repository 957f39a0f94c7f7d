"""The embedded tracker, without weights: a mask is carried from frame to frame.

Each step brings the last mask here along optical flow (`flow_link`), asks of each pixel near the outline whether it
looks like the object (`appearance`), and lets neighbours of like colour vote (`smooth`). What is hidden goes out of the
mask by itself; for what comes back, the last clear view of the object is looked for where it must be (`reappearance`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from voin.core.types import Mask, Picture
from voin.tracking.appearance import Memory, describe
from voin.tracking.flow_link import Field, Link, LinkConfig, signed_distance
from voin.tracking.prompts import Prompt
from voin.tracking.reappearance import Clear, ReturnConfig
from voin.tracking.segment import segment
from voin.tracking.smooth import smooth_evidence
from voin.tracking.view import MaskView, Place, joined, place_of

_FITS = 0.8  # of a clear view: good enough to be kept


@dataclass(frozen=True)
class TrackConfig:
    """Numbers of the tracker, chosen on DAVIS training clips."""

    side: int = 112  # working pixels of the object's longer side
    margin: float = 0.45  # surroundings that are looked at, over that side
    most_scale: float = 1.5  # small objects are enlarged so many times at most
    band: float = 0.25  # pixels farther from the carried outline stay what they are, over the object's side
    place: float = 0.7  # what a distance of one object's size counts, where pixels are compared
    looks: float = 6.0  # weight of the looks against the flow
    every: int = 2  # frames between those that are remembered
    link: LinkConfig = field(default_factory=LinkConfig)
    back: ReturnConfig = field(default_factory=ReturnConfig)


class FlowTracker:
    """Follows an object without trained weights; it holds no state of its own between calls."""

    name = "grabcut"

    def __init__(self, config: TrackConfig = TrackConfig()) -> None:
        self.config = config

    def mark(self, frame: Picture, prompt: Prompt, near: Sequence[Picture]) -> Mask:
        """Return the object's mask on the frame of its prompt, as every `Tracker` does."""
        return segment(frame, prompt, near)

    def follow(self, frames: Iterable[Picture], mask: Mask) -> Iterator[Mask]:
        """Follow the object through `frames`, as every `Tracker` does."""
        rest = iter(frames)
        track = _Track(next(rest), mask, self.config)
        yield track.mask
        for frame in rest:
            track.step(frame)
            yield track.mask


class _Track:
    """One object on its way through a shot."""

    def __init__(self, frame: Picture, mask: Mask, config: TrackConfig) -> None:
        self.config, self.frame, self.mask = config, frame, mask
        self.memory, self.count = Memory(), 0
        self.speed = np.zeros(2)  # of the object, pixels of the frame
        self.clear = Clear.of(frame, mask)
        self.proven = 0.0  # how well the clear view has explained the object so far
        self._remember(frame, mask)

    def step(self, frame: Picture) -> None:
        """Find the object in the next frame."""
        c, clear = self.config, self.clear
        view = self._look_at(self._ahead())
        before, now, mask = view.cut(self.frame), view.cut(frame), view.cut_mask(self.mask)
        link = Link.between(before, now)
        distance, odds = np.full(mask.shape, -1e3, np.float32), np.full(mask.shape, -6, np.float32)  # nowhere near
        if mask.any():
            distance, odds = link.carry(mask, c.link)
        evidence = self._weigh(now, distance, odds)
        shift = self._motion(link, distance > 0, view.scale)
        again = clear.look(now, view, [shift, self.speed], c.back)
        rigid = 0.0
        if again is not None:
            # A view that has fitted for a while is believed where something else gets into the mask, too.
            explained = again.explained(evidence > 0, c.back)
            if clear.age >= c.back.settled // 2 and mask.any():
                self.proven = max(explained, c.back.fade * self.proven)
            rigid = again.agreed(c.back) * max(explained, self.proven)
            evidence = again.weigh(evidence, rigid * min(clear.age / c.back.settled, 1), c.back)
        if rigid > 0.5 and again is not None:
            shift = again.shift
        elif clear.share(self.mask) < c.back.hidden:
            shift = self.speed
        found = _clean(smooth_evidence(evidence.astype(np.float32), now) > 0, evidence)
        self.mask, self.frame, self.count = view.paste(found), frame, self.count + 1
        self._note(frame, shift, rigid)

    def _note(self, frame: Picture, shift: np.ndarray, rigid: float) -> None:
        """Keep what the next steps need."""
        c, seen = self.config, self.clear.share(self.mask)
        self.clear = self.clear.moved(shift, bool(self.mask.any()))
        if seen >= c.back.hidden:
            self.speed = 0.5 * self.speed + 0.5 * shift
        elif not self.mask.any():
            self.speed = 0.9 * self.speed  # the longer nothing is seen, the less is known
        # A view that still fits is better than a newer one, into which errors may have come.
        old = self.clear.age > c.back.forget and self.mask.any()
        changed = rigid < _FITS and (seen >= c.back.clear or old)
        if changed or (old and seen >= c.back.hidden):
            self.clear, self.proven = Clear.of(frame, self.mask), 0.0
        if seen >= c.back.hidden and self.count % c.every == 0:
            self._remember(frame, self.mask)

    def _motion(self, link: Link, inside: Mask, scale: float) -> np.ndarray:
        """Return the object's motion, (dx, dy) in pixels of the frame: of its visible part now, or as it was."""
        sure = inside & (link.error < 1.5)
        if np.count_nonzero(sure) < 0.1 * self.clear.area * scale**2:
            return self.speed
        return -np.median(link.backward[sure], axis=0) / scale

    def _ahead(self) -> Place:
        """Return the box in which the object is looked for."""
        places = [place_of(self.mask)] if self.mask.any() else []
        if self.clear.share(self.mask) < self.config.back.hidden:
            places.append(self.clear.place)
        dx, dy = self.speed
        return joined(*places, *((x0 + dx, y0 + dy, x1 + dx, y1 + dy) for x0, y0, x1, y1 in places))

    def _look_at(self, place: Place) -> MaskView:
        c = self.config
        return MaskView.around(place, (self.mask.shape[0], self.mask.shape[1]), c.side, c.margin, c.most_scale)

    def _weigh(self, now: Picture, distance: Field, odds: Field) -> Field:
        """Add to the odds by flow what the looks of the pixels say, near the outline."""
        c = self.config
        far = np.abs(distance) > c.band * c.side
        features = describe(now, _centre(distance > 0), float(c.side), c.place)
        coarse = ~far[::2, ::2]
        looks = np.zeros(coarse.shape, np.float32)
        if self.memory and coarse.any():
            looks[coarse] = self.memory.compare(features[::2, ::2][coarse])
        looks = cv2.resize(np.clip(looks, -3, 3), (now.shape[1], now.shape[0]), interpolation=cv2.INTER_LINEAR)
        return np.where(far, 6 * np.sign(distance), odds + c.looks * looks)

    def _remember(self, frame: Picture, mask: Mask) -> None:
        view = self._look_at(place_of(mask))
        small = view.cut_mask(mask)
        if small.sum() < 20:
            return
        distance = signed_distance(small)
        features = describe(view.cut(frame), _centre(small), float(self.config.side), self.config.place)
        self.memory.add(features, distance > 1.5, distance < -1.5)


def _centre(mask: Mask) -> tuple[float, float]:
    rows, columns = np.nonzero(mask)
    if len(rows) == 0:
        return mask.shape[1] / 2, mask.shape[0] / 2
    return float(columns.mean()), float(rows.mean())


def _clean(mask: Mask, evidence: Field) -> Mask:
    """Leave out small parts, and those that neither flow nor looks had called the object."""
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count <= 2:
        return mask
    areas = stats[:, cv2.CC_STAT_AREA]
    inside = np.bincount(parts.ravel(), (evidence > 0).ravel(), count) / areas
    largest = areas[1:].max()
    kept = (areas >= 0.05 * largest) & ((areas >= 0.3 * largest) | (inside > 0.3))
    kept[0] = False
    return kept[np.asarray(parts, np.int64)]
