"""The paper's figures of results, as sheets of pictures: a row a method, a column a frame.

What a sheet was drawn from is noted beside it, so that the same call draws only what is not there yet.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from voin.benchmark.corrupt import STRENGTHS, Corruption, corrupt
from voin.benchmark.examples import telling
from voin.benchmark.trials import MethodEntry, Outcome
from voin.core.draw import AMODAL, PAPER, VISIBLE, around, contact_sheet, flow_colours, outline, overlay, spread
from voin.core.files import as_json, read_json, write_json
from voin.core.types import Picture
from voin.data.manifest import ClipRecord
from voin.data.sets import VoiClip, VoiSet
from voin.io.images import write_image

LOOK = 1  # raised when sheets change, so that old ones are not taken for them
SAMPLES = 6  # clips of Figure 6
_SAMPLE = (150, 240)  # pixels of a sample, (h, w)
_WIDTH = 1600  # of a sheet, about
_MARGIN = 0.3  # around the object, as a share of its size


@dataclass(frozen=True)
class Figure:
    """A figure of the paper.

    Attributes:
        title: what it shows.
        table: the table whose rows it shows.
        rows: names of these; all of them where none is named.
        clips: how many of the set it shows unless told; 0 for all.
        shows: "pictures" or "flow" of the methods; "samples" of the set; "damage", methods on faulty masks; "scene", a
            clip of the user's own without what is in front.
    """

    title: str
    table: str
    rows: tuple[str, ...]
    clips: int
    shows: str


FIGURES: dict[str, Figure] = {
    "figure6": Figure("Samples of the set", "table1", ("shipped",), SAMPLES, "samples"),
    "figure7": Figure("Completed flow, by method", "table1", ("dfvi", "fgvc", "ours", "shipped"), 3, "flow"),
    "figure8": Figure("Completed videos, by method", "table1", (), 0, "pictures"),
    "figure9": Figure("Visible masks dilated, eroded and grossly wrong", "table1", ("shipped",), 3, "damage"),
    "figure10": Figure("Completed flow, part by part", "table3", (), 3, "flow"),
    "figure11": Figure("A real clip without what is in front", "table1", ("shipped", "sttn", "fgvc"), 0, "scene"),
}

# What the pictures of Figure 9 show, and the curves, of which these are points.
DAMAGE = (Corruption("dilated", 0.1), Corruption("eroded", 0.1), Corruption("joined", 0.5))
CURVES = tuple(
    Corruption(kind, strength)
    for kind, strengths in {
        "dilated": (0.05, 0.1, 0.2),
        "eroded": (0.05, 0.1, 0.2),
        "joined": STRENGTHS["joined"],
    }.items()
    for strength in strengths
)
_DAMAGE_NAMES = ("as it is", "dilated", "eroded", "another object taken in")


@dataclass(frozen=True)
class Shown:
    """A method of a sheet: None where it is not trained, which the sheet says."""

    label: str
    method: Callable[..., Any] | None
    sums: Mapping[str, str]


def draw_methods(
    voi_set: VoiSet,
    records: Sequence[ClipRecord],
    shown: Sequence[Shown],
    out: Path,
    what: str,
    true_flow: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
) -> Iterable[Path]:
    """Draw a sheet a clip: what goes in, what each method makes of it with the whole mask given, and the truth.

    Args:
        voi_set: the clips' set.
        records: of the clips.
        shown: the methods.
        out: folder of the sheets.
        what: "pictures" or "flow".
        true_flow: gives forward and backward flow (t-1, 2, h, w) of frames without occluder, pixels.
    """
    for record in records:
        path = out / f"{record.name}.png"
        request = as_json({"look": LOOK, "what": what, "rows": [[one.label, dict(one.sums)] for one in shown]})
        if _is_drawn(path, request):
            yield path
            continue
        clip = voi_set.load(record)
        frames = clip.frames
        outcomes = [None if one.method is None else _run(one.method, clip, frames, clip.visible) for one in shown]
        draw = _draw_flow if what == "flow" else _draw_pictures
        rows, columns = draw(clip, frames, shown, outcomes, true_flow)
        crop = around(clip.amodal | clip.visible, _MARGIN)
        _keep(path, contact_sheet(rows, columns, _WIDTH, crop), request)
        yield path


def draw_samples(voi_set: VoiSet, records: Sequence[ClipRecord], out: Path) -> Path:
    """Draw clips of a set, a row each: the visible mask in blue, what is hidden in pink."""
    rows = []
    for record in [records[i] for i in spread(len(records), SAMPLES)]:
        clip = voi_set.load(record)
        crop, frames = around(clip.amodal | clip.visible, _MARGIN), clip.frames
        pictures = []
        for i in telling(clip.occluded):
            drawn = overlay(frames[i], clip.occluded[i], AMODAL, 0.35)
            pictures.append(_fit(outline(drawn, clip.visible[i], VISIBLE, 2)[crop]))
        pictures += [_blank(pictures[0])] * (4 - len(pictures))
        rows.append((f"{record.category or 'object'}, {record.rate:.0%} hidden", pictures))
    path = out / "samples.png"
    _keep(path, contact_sheet(rows, (), _WIDTH), {"look": LOOK, "clips": [label for label, _ in rows]})
    return path


def draw_damage(voi_set: VoiSet, records: Sequence[ClipRecord], shown: Shown, out: Path, seed: int = 0) -> list[Path]:
    """Draw a sheet a clip: the visible mask that goes in, true or faulty, the whole mask and picture that come out."""
    paths = []
    method = shown.method
    for record in records if method is not None else ():
        path = out / f"{record.name}.png"
        request = as_json({"look": LOOK, "seed": seed, "rows": [[shown.label, dict(shown.sums)]]})
        paths.append(path)
        if _is_drawn(path, request):
            continue
        clip = voi_set.load(record)
        frames, at = clip.frames, telling(clip.occluded)
        i = at[len(at) // 2]
        rows: dict[str, list[Picture]] = {"mask that goes in": [], "whole mask": [], "result": []}
        for corruption in (None, *DAMAGE):
            # Of the clip's own seed, as in the curves.
            own = zlib.crc32(f"{seed} {record.name}".encode())
            visible = clip.visible if corruption is None else corrupt(clip.visible, corruption, own)
            assert method is not None
            outcome = _run(method, clip, frames, visible, given=False)
            drawn = (
                outline(frames[i], visible[i], VISIBLE, 2),
                _masked(frames, outcome, i),
                _picture(frames, outcome, i),
            )
            for pictures, picture in zip(rows.values(), drawn, strict=True):
                pictures.append(picture)
        crop = around(clip.amodal | clip.visible, 2 * _MARGIN)
        _keep(path, contact_sheet(list(rows.items()), _DAMAGE_NAMES, _WIDTH, crop), request)
    return paths


def _run(
    method: Callable[..., Any], clip: VoiClip, frames: np.ndarray, visible: np.ndarray, given: bool = True
) -> Outcome:
    amodal = clip.amodal.copy() if given else None
    entry = MethodEntry("method", method)
    return entry.run(clip.record.name, frames.copy(), visible.copy(), amodal, clip.record.category)


def _draw_pictures(clip, frames, shown, outcomes, true_flow):
    del true_flow
    at = telling(clip.occluded)
    rows = [("input", [outline(frames[i], clip.visible[i], VISIBLE, 1) for i in at])]
    for one, outcome in zip(shown, outcomes, strict=True):
        rows.append((_label(one, outcome), [_picture(frames, outcome, i) for i in at]))
    rows.append(("truth", [np.ascontiguousarray(clip.truth[i]) for i in at]))
    return rows, [f"frame {i}" for i in at]


def _draw_flow(clip, frames, shown, outcomes, true_flow):
    at = sorted({min(i, len(frames) - 2) for i in telling(clip.occluded)})
    truth = true_flow(clip.truth)[0]
    lengths = [np.linalg.norm(truth[i].astype(np.float32), axis=0)[clip.amodal[i]] for i in at]
    longest = float(max((np.percentile(length, 98) for length in lengths if length.size), default=1.0))

    def draw(flow: np.ndarray | None, i: int) -> Picture:
        """Show flow inside the object alone; the hidden part is outlined."""
        if flow is None:
            return _blank(frames[i])
        colours = flow_colours(flow[i].astype(np.float32).transpose(1, 2, 0), longest)
        inside = np.where(clip.amodal[i][..., None], colours, np.uint8(PAPER[0]))
        return outline(inside, clip.occluded[i], AMODAL, 1)

    rows = [("input", [outline(frames[i], clip.visible[i], VISIBLE, 1) for i in at])]
    for one, outcome in zip(shown, outcomes, strict=True):
        flow = None if outcome is None else outcome.forward
        rows.append((_label(one, outcome), [draw(flow, i) for i in at]))
    rows.append(("without occluder", [draw(truth, i) for i in at]))
    return rows, [f"frame {i}" for i in at]


def _label(one: Shown, outcome: Outcome | None) -> str:
    if one.method is None:
        return f"{one.label}: not trained"
    return f"{one.label}: failed" if outcome is None or outcome.error else one.label


def _picture(frames: np.ndarray, outcome: Outcome | None, i: int) -> Picture:
    """Return a method's frame; blank where there is none."""
    made = None if outcome is None or outcome.frames is None else outcome.frames[i]
    return _blank(frames[i]) if made is None else np.ascontiguousarray(made)


def _masked(frames: np.ndarray, outcome: Outcome, i: int) -> Picture:
    mask = None if outcome.amodal is None else outcome.amodal[i]
    return _blank(frames[i]) if mask is None else outline(frames[i], mask, AMODAL, 2)


def _blank(like: Picture) -> Picture:
    return np.full_like(like, 225)


def _fit(picture: Picture) -> UInt8[np.ndarray, "sample_h sample_w 3"]:
    """Fit a picture into the size of a sample."""
    h, w = picture.shape[:2]
    scale = min(_SAMPLE[0] / h, _SAMPLE[1] / w)
    size = (max(round(w * scale), 1), max(round(h * scale), 1))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    result = np.full((*_SAMPLE, 3), PAPER, np.uint8)
    top, left = (_SAMPLE[0] - size[1]) // 2, (_SAMPLE[1] - size[0]) // 2
    result[top : top + size[1], left : left + size[0]] = small
    return result


def _is_drawn(path: Path, request: dict[str, Any]) -> bool:
    return path.is_file() and read_json(path.with_suffix(".json")) == request


def _keep(path: Path, sheet: np.ndarray, request: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, sheet)
    write_json(path.with_suffix(".json"), request)
