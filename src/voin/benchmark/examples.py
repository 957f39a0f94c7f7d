"""Pictures and short videos of a method's best, median and worst clip, side by side with the truth."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from voin.benchmark.results import Row
from voin.benchmark.scoring import Scorer, Trial
from voin.benchmark.trials import Outcome
from voin.core import draw as viz
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
TRUE: viz.RGB = (120, 255, 90)
_BAND = 22  # pixels above each video's pictures, for their names
_SHARE = 0.4  # of the most that is hidden in a frame; pictures are chosen among the frames with as much


@dataclass(frozen=True)
class Example:
    """A clip of a method to look at.

    Attributes:
        place: among the method's clips: best, median or worst.
        method: its name.
        trial: method and setting.
        record: the clip.
        metric: by which the place was found.
        value: of that metric; the clip's mean.
        stem: of its files' names; another result has another.
    """

    place: Literal["best", "median", "worst"]
    method: str
    trial: Trial
    record: ClipRecord
    metric: str
    value: float
    stem: str

    @property
    def video(self) -> str:
        """Path of the video in the evaluation's folder."""
        return f"{MEDIA}/{self.stem}.mp4"

    @property
    def poster(self) -> str:
        """Path of one frame of the video."""
        return f"{MEDIA}/{self.stem}.jpg"

    @property
    def sheet(self) -> str:
        """Path of the contact sheet: input, result and truth in some frames, around the object."""
        return f"{MEDIA}/{self.stem}-sheet.jpg"

    def to_json(self) -> dict[str, Any]:
        """Say what it shows."""
        own = {key: getattr(self, key) for key in ("place", "method", "metric", "value", "video", "poster", "sheet")}
        return {**own, "setting": self.trial.setting, "clip": self.record.name, "size": list(self.record.size)}


def choose_films(judge: Scorer, rows: Iterable[Row]) -> list[Example]:
    """Choose each method's best, median and worst clip by PSNR in the hidden region; of shapes, by amodal mIoU.

    Clips on which it failed show nothing. Of two clips, one is best and one worst.
    """
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.setting, row.method), []).append(row)
    entries = {entry.name: i for i, entry in enumerate(judge.entries)}
    films = []
    for (_, method), own in groups.items():
        trial = Trial(entries[method], own[0].setting)  # pyright: ignore[reportArgumentType]
        metric = "psnr_hidden" if judge.entries[trial.entry].content else "iou_amodal"
        known = [(row.scores.mean(metric), row) for row in own if not row.error]
        known = sorted(((value, row) for value, row in known if not np.isnan(value)), key=lambda pair: -pair[0])
        if not known:
            continue
        at = {len(known) - 1: "worst", len(known) // 2: "median", 0: "best"}
        if len(known) == 2:
            at = {1: "worst", 0: "best"}
        for i, place in sorted(at.items()):
            value, row = known[i]
            films.append(Example(place, method, trial, row.record, metric, value, _stem(judge, row.record, trial)))  # pyright: ignore[reportArgumentType]
    return films


def _stem(judge: Scorer, record: ClipRecord, trial: Trial) -> str:
    request = json.dumps([_LOOK, judge.request(record, trial)], sort_keys=True)
    name = f"{judge.entries[trial.entry].name}-{trial.setting.replace(' ', '-')}-{record.name}"
    return f"{name}-{hashlib.sha256(request.encode()).hexdigest()[:8]}"


# Raised when the pictures change, so that old ones are not taken for them.
_LOOK = 1


@dataclass(frozen=True)
class FilmMaker:
    """Runs a method again on a clip and writes the pictures; keeping all results would take gigabytes.

    Args:
        judge: runs it.
    """

    judge: Scorer

    def __call__(self, film: Example) -> int:
        """Make a film's files; gives the number of frames of its clip."""
        clip = self.judge.voi_set.load(film.record)
        frames = clip.frames
        outcome = self.judge.run(clip, frames, film.trial)
        panels = make_panels(clip, frames, outcome, film.trial.setting == "end to end")
        (self.judge.out / MEDIA).mkdir(parents=True, exist_ok=True)
        shown = telling(clip.occluded)
        write_image(self.judge.out / film.poster, _stacked(panels, shown[len(shown) // 2]))
        crop = viz.around(clip.amodal | clip.visible, 0.3)
        rows = [(name, [pictures[i] for i in shown]) for name, pictures in panels.items()]
        sheet = viz.contact_sheet(rows, [f"frame {i}" for i in shown], 1200, crop)
        write_image(self.judge.out / film.sheet, sheet)
        stretch = telling_stretch(clip.occluded)
        write_video(self.judge.out / film.video, (_stacked(panels, i) for i in stretch), len(stretch))
        return film.record.count

    def is_made(self, film: Example) -> bool:
        """Say whether all files of a film are there."""
        return all((self.judge.out / path).is_file() for path in (film.video, film.poster, film.sheet))

    def drop_all_but(self, films: Sequence[Example]) -> None:
        """Remove the pictures of films that are no longer shown."""
        folder = self.judge.out / MEDIA
        kept = {Path(path).name for film in films for path in (film.video, film.poster, film.sheet)}
        for path in folder.glob("*") if folder.is_dir() else ():
            if path.name not in kept and path.suffix in (".mp4", ".jpg"):
                path.unlink()


def make_panels(
    clip: VoiClip, frames: UInt8[np.ndarray, "t h w 3"], outcome: Outcome, shaped: bool
) -> dict[str, list[Picture]]:
    """Draw what is shown side by side: input, result and truth, one picture a frame each.

    Args:
        clip: the truth.
        frames: the input.
        outcome: of the method.
        shaped: whether the method completed the shape: then it is outlined in the result, beside the true one's.
    """
    pictures = [given if own is None else own for own, given in zip(_each(outcome.frames, frames), frames, strict=True)]
    panels = {
        "input": [viz.outline(frame, seen, viz.VISIBLE, 1) for frame, seen in zip(frames, clip.visible, strict=True)],
        "result": [np.ascontiguousarray(picture) for picture in pictures],
        "truth": list(clip.truth),
    }
    if shaped:
        masks = _each(outcome.amodal, frames)
        panels["result"] = [
            picture if mask is None else viz.outline(picture, mask, viz.AMODAL, 1)
            for picture, mask in zip(panels["result"], masks, strict=True)
        ]
        panels["truth"] = [
            viz.outline(picture, mask, TRUE, 1) for picture, mask in zip(clip.truth, clip.amodal, strict=True)
        ]
    return panels


def _each(given: np.ndarray | Sequence[np.ndarray | None] | None, frames: np.ndarray) -> list[np.ndarray | None]:
    """Give an entry a frame, where there may be none at all."""
    return [None] * len(frames) if given is None else list(given)


def telling(occluded: Bool[np.ndarray, "t h w"]) -> list[int]:
    """Choose frames to show: spread over those in which much is hidden."""
    areas = occluded.sum(axis=(1, 2))
    worth = np.flatnonzero(areas >= max(_SHARE * areas.max(), 1)) if areas.any() else np.arange(len(areas))
    return [int(worth[i]) for i in viz.spread(len(worth), COLUMNS)]


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
        band = np.full((_BAND, picture.shape[1], 3), viz.INK, np.uint8)
        cv2.putText(band, name, (6, _BAND - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.5, viz.PAPER, 1, cv2.LINE_AA)
        columns.append(np.concatenate([band, picture]))
    joined = np.concatenate(columns, axis=1)
    return np.pad(joined, ((0, joined.shape[0] % 2), (0, joined.shape[1] % 2), (0, 0)), mode="edge")


def write_video(path: Path, pictures: Iterator[np.ndarray], count: int) -> None:
    """Write an mp4 at `RATE` that browsers play."""
    first = next(pictures)
    info = VideoInfo(
        path=path,
        kind="folder",
        size=(first.shape[0], first.shape[1]),
        count=count,
        rate=Fraction(RATE),
        time_base=Fraction(1, RATE),
        times=tuple(range(count)),
        rotation=0,
        colour=Colour(),
        audio=False,
        names=(),
        duration=count,
    )
    with VideoWriter(path, info, info.times, QUALITY) as writer:
        writer.write(first)
        for picture in pictures:
            writer.write(picture)
