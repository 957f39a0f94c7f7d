"""Pictures and short videos of a method's best, median and worst clip, side by side with the truth."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from voin.benchmark.results import Row
from voin.benchmark.scoring import Scorer, Trial
from voin.benchmark.trials import Outcome
from voin.core.draw import AMODAL, INK, PAPER, RGB, VISIBLE, around, contact_sheet, outline, spread
from voin.core.types import Picture
from voin.data.manifest import ClipRecord
from voin.data.sets import VoiClip
from voin.io.images import write_image
from voin.io.quality import Quality
from voin.io.video_info import Colour, VideoInfo
from voin.io.video_write import VideoWriter

MEDIA = "media"
RATE = 12  # frames a second: slower than life, to be looked at
COLUMNS = 4
LONGEST = 60  # frames of a video; of longer clips it shows the stretch in which most is hidden
QUALITY = Quality(crf=25, preset="medium")
PLACES = ("best", "median", "worst")
TRUE: RGB = (120, 255, 90)
_BAND = 22  # pixels above each video's pictures, for their names
_SHARE = 0.4  # of the most that is hidden in a frame; pictures are chosen among the frames with as much


@dataclass(frozen=True)
class Example:
    """A clip of a method to look at."""

    place: str  # among the method's clips, one of `PLACES`
    method: str
    trial: Trial
    record: ClipRecord
    metric: str  # by which the place was found
    value: float  # of that metric; the clip's mean
    stem: str  # of its files' names; another result has another

    @property
    def files(self) -> dict[str, str]:
        """Paths in the evaluation's folder: the video, one frame of it, and a contact sheet around the object."""
        path = f"{MEDIA}/{self.stem}"
        return {"video": f"{path}.mp4", "poster": f"{path}.jpg", "sheet": f"{path}-sheet.jpg"}

    def to_json(self) -> dict[str, Any]:
        """Return what it shows, as JSON can hold it."""
        fields = {key: getattr(self, key) for key in ("place", "method", "metric", "value")}
        about = {"setting": self.trial.setting, "clip": self.record.name, "size": list(self.record.size)}
        return {**fields, **self.files, **about}


def choose_examples(scorer: Scorer, rows: Iterable[Row]) -> list[Example]:
    """Choose each method's best, median and worst clip by PSNR in the hidden region; of shapes, by amodal mIoU.

    Clips on which it failed show nothing. Of two clips, one is best and one worst.
    """
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.setting, row.method), []).append(row)
    entries = {entry.name: i for i, entry in enumerate(scorer.entries)}
    examples = []
    for (setting, method), of_method in groups.items():
        trial = Trial(entries[method], setting)  # pyright: ignore[reportArgumentType]
        metric = "psnr_hidden" if scorer.entries[trial.entry].content else "iou_amodal"
        values = [(row.scores.mean(metric), row) for row in of_method if not row.error]
        ranked = sorted((pair for pair in values if not np.isnan(pair[0])), key=lambda pair: -pair[0])
        if not ranked:
            continue
        places = dict(zip((0, len(ranked) // 2, len(ranked) - 1), PLACES, strict=True))
        if len(ranked) < 3:
            places = dict(zip(range(len(ranked)), (PLACES[0], PLACES[2]), strict=False))
        for i, place in places.items():
            value, row = ranked[i]
            stem = _stem(scorer, row.record, trial)
            examples.append(Example(place, method, trial, row.record, metric, value, stem))
    return examples


def _stem(scorer: Scorer, record: ClipRecord, trial: Trial) -> str:
    request = json.dumps([_LOOK, scorer.request(record, trial)], sort_keys=True)
    name = f"{scorer.entries[trial.entry].name}-{trial.setting.replace(' ', '-')}-{record.name}"
    return f"{name}-{hashlib.sha256(request.encode()).hexdigest()[:8]}"


# Raised when the pictures change, so that old ones are not taken for them.
_LOOK = 1


@dataclass(frozen=True)
class ExampleMaker:
    """Runs a method again on a clip and writes the pictures: keeping all results would take gigabytes."""

    scorer: Scorer

    def __call__(self, example: Example) -> int:
        """Make an example's files; return the number of frames of its clip."""
        clip = self.scorer.voi_set.load(example.record)
        frames = clip.frames
        outcome = self.scorer.run(clip, frames, example.trial)
        panels = make_panels(clip, frames, outcome, example.trial.setting == "end to end")
        (self.scorer.out / MEDIA).mkdir(parents=True, exist_ok=True)
        paths = {kind: self.scorer.out / path for kind, path in example.files.items()}
        shown = telling(clip.occluded)
        write_image(paths["poster"], _stacked(panels, shown[len(shown) // 2]))
        crop = around(clip.amodal | clip.visible, 0.3)
        rows = [(name, [pictures[i] for i in shown]) for name, pictures in panels.items()]
        write_image(paths["sheet"], contact_sheet(rows, [f"frame {i}" for i in shown], 1200, crop))
        stretch = telling_stretch(clip.occluded)
        write_video(paths["video"], (_stacked(panels, i) for i in stretch), len(stretch))
        return example.record.count

    def is_made(self, example: Example) -> bool:
        """Whether all files of an example exist."""
        return all((self.scorer.out / path).is_file() for path in example.files.values())

    def drop_all_but(self, examples: Sequence[Example]) -> None:
        """Remove the pictures of examples that are no longer shown."""
        folder = self.scorer.out / MEDIA
        kept = {Path(path).name for example in examples for path in example.files.values()}
        for path in folder.glob("*") if folder.is_dir() else ():
            if path.name not in kept and path.suffix in (".mp4", ".jpg"):
                path.unlink()


def make_panels(
    clip: VoiClip, frames: UInt8[np.ndarray, "t h w 3"], outcome: Outcome, shaped: bool
) -> dict[str, list[Picture]]:
    """Draw what is shown side by side: input, result and truth, one picture a frame each.

    Where the method completed the shape (`shaped`), it is outlined in the result, beside the true one's.
    """
    nothing = [None] * len(frames)
    results = nothing if outcome.frames is None else outcome.frames
    panels = {
        "input": _outlined(frames, clip.visible, VISIBLE),
        "result": [np.ascontiguousarray(a if b is None else b) for a, b in zip(frames, results, strict=True)],
        "truth": list(clip.truth),
    }
    if shaped:
        masks = nothing if outcome.amodal is None else outcome.amodal
        panels["result"] = _outlined(panels["result"], masks, AMODAL)
        panels["truth"] = _outlined(panels["truth"], clip.amodal, TRUE)
    return panels


def _outlined(pictures: Iterable[Picture], masks: Iterable[np.ndarray | None], colour: RGB) -> list[Picture]:
    return [
        picture if mask is None else outline(picture, mask, colour, 1)
        for picture, mask in zip(pictures, masks, strict=True)
    ]


def telling(occluded: Bool[np.ndarray, "t h w"]) -> list[int]:
    """Choose frames to show: spread over those in which much is hidden."""
    areas = occluded.sum(axis=(1, 2))
    worth = np.flatnonzero(areas >= max(_SHARE * areas.max(), 1)) if areas.any() else np.arange(len(areas))
    return [int(worth[i]) for i in spread(len(worth), COLUMNS)]


def telling_stretch(occluded: Bool[np.ndarray, "t h w"]) -> range:
    """Choose the `LONGEST` frames in a row in which most is hidden; the first of several such stretches."""
    areas = occluded.sum(axis=(1, 2))
    length = min(LONGEST, len(areas))
    sums = np.convolve(areas, np.ones(length, int), mode="valid")
    first = int(sums.argmax())
    return range(first, first + length)


def _stacked(panels: dict[str, list[Picture]], index: int) -> UInt8[np.ndarray, "high wide 3"]:
    """Put the panels of a frame side by side, their names above; even sides, as video coding wants."""
    columns = []
    for name, pictures in panels.items():
        picture = pictures[index]
        band = np.full((_BAND, picture.shape[1], 3), INK, np.uint8)
        cv2.putText(band, name, (6, _BAND - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.5, PAPER, 1, cv2.LINE_AA)
        columns.append(np.concatenate([band, picture]))
    joined = np.concatenate(columns, axis=1)
    return np.pad(joined, ((0, joined.shape[0] % 2), (0, joined.shape[1] % 2), (0, 0)), mode="edge")


def write_video(path: Path, pictures: Iterator[np.ndarray], count: int) -> None:
    """Write an mp4 at `RATE` that browsers play."""
    first = next(pictures)
    times, unit = tuple(range(count)), Fraction(1, RATE)
    size = (first.shape[0], first.shape[1])
    info = VideoInfo(path, "folder", size, count, Fraction(RATE), unit, times, 0, Colour(), False, (), count)
    with VideoWriter(path, info, times, QUALITY) as writer:
        for picture in chain([first], pictures):
            writer.write(picture)
