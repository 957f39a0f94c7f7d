"""Pictures of a VOI set: contact sheets (as the paper's Figure 6), histograms, one page with both: `voin data show`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from voin.core import draw as drawing
from voin.core.errors import ValueRefusal
from voin.core.files import write_page
from voin.core.progress import Progress, Silent
from voin.core.types import Mask, Picture
from voin.data.manifest import AMODAL, ClipRecord, Manifest, file_name, ranked
from voin.data.sets import VoiClip, VoiSet
from voin.io.images import opened, write_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure as Canvas

PAGE = "index.html"
TEMPLATE = Path(__file__).parent / "templates" / "set.html"
CLIPS = 24  # on the sheets, evenly from the least to the most hidden
CLIPS_A_SHEET = 8
COLUMNS = 6  # frames of a clip on a sheet
SAMPLED_FRAMES = 8  # of a clip, for the size of its object: reading all masks of a large set takes hours
_RATE_BINS = np.linspace(0, 100, 21)  # 5 points wide
_COLOUR = "#2f7f93"
_ROWS = 30  # of a table on the page; the manifest has all


@dataclass(frozen=True)
class Statistics:
    """What a set, or one split of it, consists of.

    Attributes:
        counts: of clips, videos, frames and so on, in the words of the page.
        categories: clips of each category, "unknown" where there is none; likewise of each kind of occluder.
        skipped: clips of the source that were left out, by reason.
        clip_rates: share of the object that is hidden, one number a clip.
        frame_rates: the same, one number a frame that has the object.
        sizes: the object's share of the frame, one number a clip: the median over up to `SAMPLED_FRAMES` frames.
    """

    counts: dict[str, int]
    categories: dict[str, int]
    kinds: dict[str, int]
    skipped: dict[str, int]
    clip_rates: tuple[float, ...]
    frame_rates: tuple[float, ...]
    sizes: tuple[float, ...]


@dataclass(frozen=True)
class Figure:
    """A picture on the page, PNG of a chart or JPEG of a sheet; `<name>.png` lies beside it."""

    name: str
    text: str
    data: bytes


def show_set(voi_set: VoiSet, out: Path, split: str | None = None, progress: Progress | None = None) -> Path:
    """Write `index.html`, which needs nothing but itself, and the pictures in it as PNGs; return the page's path.

    Args:
        voi_set: from `voin.data.sets.open_set`.
        out: the folder; it is made if need be, and pictures of the same names are replaced.
        split: "train" or "validation"; None for both.
        progress: the stages are "sizes" and "sheets", in clips.

    Raises:
        ValueError: the set has no clips, or none in this split.
        OSError: a file of the set is missing or broken, or one cannot be written.
        ImportError: matplotlib is missing.
    """
    drawing.need_matplotlib("histograms")
    progress = progress or Silent()
    records = voi_set.records(split)
    if not records:
        part = "no clips" if split is None else f"no clips in {split!r}"
        raise ValueRefusal(
            f"{voi_set.root} has {part}", "there must be one to show", "see `skipped` in its manifest.json"
        )
    progress.stage("sizes", len(records))
    sizes = []
    for record in records:
        sizes.append(_object_size(voi_set, record))
        progress.advance("sizes")
    manifest = voi_set.manifest
    statistics = count(manifest, records, sizes)
    charts = (
        ("rates", "How much of the object is hidden", _draw_rates(statistics)),
        ("sizes", "How large the objects are", _draw_sizes(statistics)),
        ("categories", "What the objects are", _draw_categories(statistics)),
    )
    made = {"voin": manifest.voin, "seed": manifest.seed, "source": manifest.source, **manifest.settings}
    out.mkdir(parents=True, exist_ok=True)
    drawn = [Figure(name, text, drawing.save_chart(out / f"{name}.png", canvas)) for name, text, canvas in charts]
    write_page(
        out / PAGE,
        TEMPLATE,
        title=f"{voi_set.root.resolve().name}{'' if split is None else f', {split}'}",
        counts=[(name, f"{number:,}") for name, number in statistics.counts.items()],
        charts=drawn,
        sheets=_write_sheets(voi_set, choose(records), out, progress),
        kinds=_rows(statistics.kinds),
        skipped=_rows(statistics.skipped),
        made=_rows(_flat(made)),
    )
    return out / PAGE


def count(manifest: Manifest, records: Sequence[ClipRecord], sizes: Sequence[float]) -> Statistics:
    """Count what `records` of a set consist of; `sizes` are those of their objects."""
    rates = [rate for record in records for rate in record.rates if rate is not None]
    frames = sum(record.count for record in records)
    counts = {
        "clips": len(records),
        "videos": len({record.video for record in records}),
        "categories": len({record.category for record in records} - {None}),
        "frames": frames,
        "masks": 2 * frames,
        "frames with a hidden part": sum(rate > 0 for rate in rates),
        "frames with nothing hidden": sum(rate == 0 for rate in rates),
        "frames with everything hidden": sum(rate == 1 for rate in rates),
        "frames without the object": frames - len(rates),
        "clips left out": len(manifest.skipped),
    }
    return Statistics(
        counts=counts,
        categories=ranked(record.category or "unknown" for record in records),
        kinds=ranked(record.kind for record in records),
        skipped=ranked(skipped.reason for skipped in manifest.skipped),
        clip_rates=tuple(record.rate for record in records),
        frame_rates=tuple(rates),
        sizes=tuple(sizes),
    )


def choose(records: Sequence[ClipRecord], most: int = CLIPS) -> list[ClipRecord]:
    """Choose up to `most` clips, evenly from the one that is hidden least to the one that is hidden most."""
    ordered = sorted(records, key=lambda record: (record.rate, record.name))
    return [ordered[i] for i in drawing.spread(len(ordered), most)]


def draw(frame: Picture, visible: Mask, occluded: Mask) -> Picture:
    """Outline the visible part in `VISIBLE` and the hidden part, tinted, in `AMODAL`, of `voin.core.draw`."""
    tinted = drawing.overlay(frame, occluded, alpha=0.3)
    return drawing.outline(drawing.outline(tinted, visible, drawing.VISIBLE), occluded)


def _object_size(voi_set: VoiSet, record: ClipRecord) -> float:
    """Return the object's share of the frame; frames without it do not count."""
    shares = []
    for index in drawing.spread(record.count, SAMPLED_FRAMES):
        with opened(voi_set.folder(record, AMODAL) / file_name(AMODAL, index)) as picture:
            shares.append(float((np.asarray(picture) > 0).mean()))
    positive = [share for share in shares if share > 0]
    return float(np.median(positive)) if positive else 0.0


def _write_sheets(voi_set: VoiSet, records: Sequence[ClipRecord], out: Path, progress: Progress) -> list[Figure]:
    progress.stage("sheets", len(records))
    columns = [f"at {i / (COLUMNS - 1):.0%} of the clip" for i in range(COLUMNS)]
    sheets = []
    for first in range(0, len(records), CLIPS_A_SHEET):
        shown = records[first : first + CLIPS_A_SHEET]
        rows = []
        for record in shown:
            rows.append((f"{record.name} {record.rate:.0%}", _row(voi_set.load(record), records[0].size)))
            progress.advance("sheets")
        sheet = drawing.contact_sheet(rows, columns)
        name = f"clips-{first // CLIPS_A_SHEET + 1}"
        write_image(out / f"{name}.png", sheet)
        text = f"Clips of which {shown[0].rate:.0%} to {shown[-1].rate:.0%} is hidden"
        sheets.append(Figure(name, text, drawing.encode_jpeg(sheet)))
    return sheets


def _row(clip: VoiClip, size: tuple[int, int]) -> list[Picture]:
    frames, occluded, last = clip.frames, clip.occluded, clip.record.count - 1
    # A clip of few frames shows some of them twice, so that all rows are as long.
    chosen = [round(i * last / (COLUMNS - 1)) for i in range(COLUMNS)]
    return [_fit(draw(frames[i], clip.visible[i], occluded[i]), size) for i in chosen]


def _fit(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Put a picture of another size into the middle of one of `size`."""
    (h, w), (old_h, old_w) = size, picture.shape[:2]
    if (h, w) == (old_h, old_w):
        return picture
    scale = min(h / old_h, w / old_w)
    inner_h, inner_w = max(1, round(old_h * scale)), max(1, round(old_w * scale))
    result = np.full((h, w, 3), drawing.PAPER, np.uint8)
    top, left = (h - inner_h) // 2, (w - inner_w) // 2
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    result[top : top + inner_h, left : left + inner_w] = cv2.resize(picture, (inner_w, inner_h), interpolation=way)
    return result


def _figure(panels: int, height: float) -> tuple[Canvas, list[Axes]]:
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(8, height), layout="constrained")
    axes = [canvas.add_subplot(1, panels, i + 1) for i in range(panels)]
    for panel in axes:
        panel.spines[["top", "right"]].set_visible(False)
    return canvas, axes


def _draw_rates(statistics: Statistics) -> Canvas:
    canvas, axes = _figure(2, 3.0)
    panels = (("clips", statistics.clip_rates), ("frames", statistics.frame_rates))
    for panel, (unit, rates) in zip(axes, panels, strict=True):
        _histogram(panel, 100 * np.asarray(rates), _RATE_BINS, "hidden share of the object, %", unit)
    return canvas


def _draw_sizes(statistics: Statistics) -> Canvas:
    canvas, (axes,) = _figure(1, 3.0)
    shares = 100 * np.asarray([size for size in statistics.sizes if size > 0])
    low, high = (math.floor(math.log2(shares.min())), math.ceil(math.log2(shares.max()))) if shares.size else (0, 6)
    bins = 2.0 ** np.arange(low, max(high, low + 1) + 0.1, 0.5)  # two an octave
    axes.set_xscale("log", base=2)
    _histogram(axes, shares, bins, "the object's share of the frame, % (log scale)", "clips")
    axes.set_xlim(bins[0], min(bins[-1], 100))
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    return canvas


def _draw_categories(statistics: Statistics) -> Canvas:
    ordered = sorted(statistics.categories.items(), key=lambda item: (item[1], item[0]))
    canvas, (axes,) = _figure(1, 0.9 + 0.21 * len(ordered))
    names = [name.replace("_", " ") for name, _ in ordered]
    bars = axes.barh(names, [number for _, number in ordered], color=_COLOUR)
    axes.bar_label(bars, padding=3, fontsize=8)
    axes.set_xlabel("clips")
    axes.margins(y=0.01)
    _count_in_whole(axes.xaxis)
    return canvas


def _histogram(axes: Axes, values: np.ndarray, bins: np.ndarray, label: str, unit: str) -> None:
    axes.hist(values, bins=list(bins), color=_COLOUR, edgecolor="white", linewidth=0.5)
    axes.set_xlabel(label)
    axes.set_ylabel(unit)
    _count_in_whole(axes.yaxis)


def _count_in_whole(axis: Axis) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True))


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Write a table in a table as `occluder.rate`."""
    rows: dict[str, Any] = {}
    for key, value in content.items():
        rows |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return rows


def _rows(table: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Cut a table to what a page can show."""
    rows = list(table.items())
    rest = len(rows) - _ROWS
    return [*rows[:_ROWS], *([(f"and {rest} more, which stand in manifest.json", "")] if rest > 0 else [])]
