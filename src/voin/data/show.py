"""Pictures of a VOI set: contact sheets (as the paper's Figure 6), histograms, one page with both: `voin data show`."""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from voin.core import draw as viz
from voin.core.files import write_whole
from voin.core.progress import Progress, Silent
from voin.core.types import Mask, Picture
from voin.data.manifest import AMODAL, ClipRecord, Manifest, file_name
from voin.data.sets import VoiClip, VoiSet
from voin.io.images import opened, write_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure as Canvas
import base64
import html
from collections.abc import Mapping
from typing import Any

from voin.core import __version__
from voin.core.errors import PackageRefusal, ValueRefusal

PAGE = "index.html"
CLIPS = 24  # on the sheets, evenly from the least to the most hidden
CLIPS_A_SHEET = 8
COLUMNS = 6  # frames of a clip on a sheet
SAMPLED_FRAMES = 8  # of a clip, for the size of its object: reading all masks of a large set takes hours
_RATE_BINS = np.linspace(0, 100, 21)  # 5 points wide
_COLOUR = "#2f7f93"


@dataclass(frozen=True)
class Statistics:
    """What a set, or one split of it, consists of.

    Attributes:
        counts: of clips, videos, frames and so on, in the words of the page.
        categories: clips of each category; "unknown" where there is none.
        kinds: clips of each kind of occluder.
        skipped: clips of the source that were left out, by reason.
        clip_rates: share of the object that is hidden, one number a clip.
        frame_rates: the same, one number a frame that has the object.
        sizes: the object's share of the frame, one number a clip: the median over up to `SAMPLED_FRAMES` frames.
    """

    counts: dict[str, int]
    categories: Counter[str]
    kinds: Counter[str]
    skipped: Counter[str]
    clip_rates: tuple[float, ...]
    frame_rates: tuple[float, ...]
    sizes: tuple[float, ...]


def show_set(voi_set: VoiSet, out: Path, split: str | None = None, progress: Progress | None = None) -> Path:
    """Write `index.html`, which needs nothing but itself, and the pictures in it as PNGs, into the folder `out`.

    Args:
        voi_set: from `voin.data.sets.open_set`.
        out: is made if need be; pictures of the same names are replaced.
        split: "train" or "validation"; None for both.
        progress: the stages are "sizes" and "sheets", in clips.

    Returns:
        The path of the page.

    Raises:
        ValueError: the set has no clips, or none in this split.
        OSError: a file of the set is missing or broken, or one cannot be written.
        ImportError: matplotlib is missing.
    """
    _need_matplotlib()
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
    statistics = count(voi_set.manifest, records, sizes)
    out.mkdir(parents=True, exist_ok=True)
    figures = [Figure(name, text, _save(out / f"{name}.png", chart)) for name, text, chart in _charts(statistics)]
    sheets = _write_sheets(voi_set, choose(records), out, progress)
    title = f"{voi_set.root.resolve().name}{'' if split is None else f', {split}'}"
    write_page(
        out / PAGE,
        title,
        voi_set.manifest,
        statistics.counts,
        statistics.kinds,
        statistics.skipped,
        [*figures, *sheets],
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
        categories=Counter(record.category or "unknown" for record in records),
        kinds=Counter(record.kind for record in records),
        skipped=Counter(skipped.reason for skipped in manifest.skipped),
        clip_rates=tuple(record.rate for record in records),
        frame_rates=tuple(rates),
        sizes=tuple(sizes),
    )


def choose(records: Sequence[ClipRecord], most: int = CLIPS) -> list[ClipRecord]:
    """Choose up to `most` clips, evenly from the one that is hidden least to the one that is hidden most."""
    ordered = sorted(records, key=lambda record: (record.rate, record.name))
    return [ordered[i] for i in viz.spread(len(ordered), most)]


def draw(frame: Picture, visible: Mask, occluded: Mask) -> Picture:
    """Outline the visible part in `viz.VISIBLE` and the hidden part, tinted, in `viz.AMODAL`."""
    tinted = viz.overlay(frame, occluded, viz.AMODAL, alpha=0.3)
    return viz.outline(viz.outline(tinted, visible, viz.VISIBLE), occluded, viz.AMODAL)


def _object_size(voi_set: VoiSet, record: ClipRecord) -> float:
    """Give the object's share of the frame; frames without it do not count."""
    shares = []
    for index in viz.spread(record.count, SAMPLED_FRAMES):
        with opened(voi_set.folder(record, AMODAL) / file_name(AMODAL, index)) as picture:
            shares.append(float((np.asarray(picture) > 0).mean()))
    some = [share for share in shares if share > 0]
    return float(np.median(some)) if some else 0.0


def _write_sheets(voi_set: VoiSet, records: Sequence[ClipRecord], out: Path, progress: Progress) -> list[Figure]:
    progress.stage("sheets", len(records))
    size = records[0].size
    sheets = []
    for first in range(0, len(records), CLIPS_A_SHEET):
        part = records[first : first + CLIPS_A_SHEET]
        rows = []
        for record in part:
            rows.append((f"{record.name} {record.rate:.0%}", _row(voi_set.load(record), size)))
            progress.advance("sheets")
        columns = [f"at {i / (COLUMNS - 1):.0%} of the clip" for i in range(COLUMNS)]
        sheet = viz.contact_sheet(rows, columns)
        name = f"clips-{first // CLIPS_A_SHEET + 1}"
        write_image(out / f"{name}.png", sheet)
        text = f"Clips of which {part[0].rate:.0%} to {part[-1].rate:.0%} is hidden"
        sheets.append(Figure(name, text, _jpeg(sheet), wide=True))
    return sheets


def _row(clip: VoiClip, size: tuple[int, int]) -> list[Picture]:
    frames, occluded, last = clip.frames, clip.occluded, clip.record.count - 1
    # A clip of few frames shows some of them twice, so that all rows are as long.
    chosen = [round(i * last / (COLUMNS - 1)) for i in range(COLUMNS)]
    return [_fit(draw(frames[i], clip.visible[i], occluded[i]), size) for i in chosen]


def _fit(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Put a picture of another size into the middle of one of `size`."""
    (h, w), (own_h, own_w) = size, picture.shape[:2]
    if (h, w) == (own_h, own_w):
        return picture
    scale = min(h / own_h, w / own_w)
    inner_h, inner_w = max(1, round(own_h * scale)), max(1, round(own_w * scale))
    result = np.full((h, w, 3), viz.PAPER, np.uint8)
    top, left = (h - inner_h) // 2, (w - inner_w) // 2
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    result[top : top + inner_h, left : left + inner_w] = cv2.resize(picture, (inner_w, inner_h), interpolation=way)
    return result


def _jpeg(picture: Picture) -> bytes:
    good, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    assert good
    return data.tobytes()


def _need_matplotlib() -> None:
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise PackageRefusal(
            f"histograms need matplotlib, which does not import ({error})",
            remedy="install it with: pip install 'voin[eval]'",
        ) from error


def _charts(statistics: Statistics) -> Iterator[tuple[str, str, Canvas]]:
    """Give name, text and drawing of each picture of histograms."""
    yield "rates", "How much of the object is hidden", _draw_rates(statistics)
    yield "sizes", "How large the objects are", _draw_sizes(statistics)
    yield "categories", "What the objects are", _draw_categories(statistics)


def _save(path: Path, chart: Canvas) -> bytes:
    file = io.BytesIO()
    # Without the version of matplotlib in it: the same set gives the same file.
    chart.savefig(file, format="png", dpi=130, metadata={"Software": None})
    write_whole(path, file.getvalue())
    return file.getvalue()


def _figure(panels: int, height: float) -> tuple[Canvas, list[Axes]]:
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(8, height), layout="constrained")
    axes = [canvas.add_subplot(1, panels, i + 1) for i in range(panels)]
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
    return canvas, axes


def _draw_rates(statistics: Statistics) -> Canvas:
    canvas, axes = _figure(2, 3.0)
    panels = (("clips", statistics.clip_rates), ("frames", statistics.frame_rates))
    for each, (unit, rates) in zip(axes, panels, strict=True):
        _histogram(each, 100 * np.asarray(rates), _RATE_BINS, "hidden share of the object, %", unit)
    return canvas


def _draw_sizes(statistics: Statistics) -> Canvas:
    canvas, axes = _figure(1, 3.0)
    shares = 100 * np.asarray([size for size in statistics.sizes if size > 0])
    low, high = (math.floor(math.log2(shares.min())), math.ceil(math.log2(shares.max()))) if shares.size else (0, 6)
    bins = 2.0 ** np.arange(low, max(high, low + 1) + 0.1, 0.5)  # two an octave
    axes[0].set_xscale("log", base=2)
    _histogram(axes[0], shares, bins, "the object's share of the frame, % (log scale)", "clips")
    axes[0].set_xlim(bins[0], min(bins[-1], 100))
    axes[0].xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    return canvas


def _draw_categories(statistics: Statistics) -> Canvas:
    ordered = sorted(statistics.categories.items(), key=lambda item: (item[1], item[0]))
    canvas, axes = _figure(1, 0.9 + 0.21 * len(ordered))
    names = [name.replace("_", " ") for name, _ in ordered]
    bars = axes[0].barh(names, [number for _, number in ordered], color=_COLOUR)
    axes[0].bar_label(bars, padding=3, fontsize=8)
    axes[0].set_xlabel("clips")
    axes[0].margins(y=0.01)
    _count_in_whole(axes[0].xaxis)
    return canvas


def _histogram(axes: Axes, values: np.ndarray, bins: np.ndarray, label: str, unit: str) -> None:
    axes.hist(values, bins=list(bins), color=_COLOUR, edgecolor="white", linewidth=0.5)
    axes.set_xlabel(label)
    axes.set_ylabel(unit)
    _count_in_whole(axes.yaxis)


def _count_in_whole(axis: Axis) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True))


_REASONS = 30  # that are listed; the manifest has all


@dataclass(frozen=True)
class Figure:
    """A picture on the page.

    Args:
        name: `<name>.png` lies beside the page.
        text: what it shows.
        data: PNG or JPEG.
        wide: a contact sheet; it scrolls sideways where there is little room.
    """

    name: str
    text: str
    data: bytes
    wide: bool = False


def write_page(
    path: Path,
    title: str,
    manifest: Manifest,
    counts: Mapping[str, int],
    kinds: Mapping[str, int],
    skipped: Mapping[str, int],
    figures: Sequence[Figure],
) -> None:
    """Write the page, whole or not at all."""
    facts = "".join(f"<div><dt>{html.escape(key)}</dt><dd>{value:,}</dd></div>" for key, value in counts.items())
    text = _PAGE.format(
        title=html.escape(title),
        style=_STYLE,
        facts=facts,
        figures="\n".join(map(_page_figure, (figure for figure in figures if not figure.wide))),
        sheets="\n".join(map(_page_figure, (figure for figure in figures if figure.wide))),
        kinds=_table(("occluder", "clips"), kinds),
        skipped=_table(("reason", "clips"), skipped) if skipped else "<p>No clip of the source was left out.</p>",
        made=_table(("setting", "value"), _made(manifest)),
        version=html.escape(__version__),
    )
    write_whole(path, text.encode())


def _page_figure(figure: Figure) -> str:
    kind = "png" if figure.data.startswith(b"\x89PNG") else "jpeg"
    data = base64.b64encode(figure.data).decode()
    text = html.escape(figure.text)
    scroll = (
        ' class="sheet" tabindex="0" role="group" aria-label="contact sheet, scrolls sideways"' if figure.wide else ""
    )
    return (
        f'<figure id="{html.escape(figure.name, quote=True)}"><figcaption>{text}</figcaption>'
        f'<div{scroll}><img src="data:image/{kind};base64,{data}" alt="{text}"></div></figure>'
    )


def _made(manifest: Manifest) -> dict[str, Any]:
    """Flatten what the set was made with: `occluder.rate` for a table in a table."""

    def flat(prefix: str, content: Mapping[str, Any]) -> dict[str, Any]:
        rows: dict[str, Any] = {}
        for key, value in content.items():
            rows |= flat(f"{prefix}{key}.", value) if isinstance(value, Mapping) else {f"{prefix}{key}": value}
        return rows

    return {
        "voin": manifest.voin,
        "seed": manifest.seed,
        **flat("source.", manifest.source),
        **flat("", manifest.settings),
    }


def _table(head: tuple[str, str], rows: Mapping[str, Any]) -> str:
    ordered = list(rows.items())
    if all(isinstance(value, int) for _, value in ordered):
        ordered.sort(key=lambda row: (-row[1], row[0]))
    shown, rest = ordered[:_REASONS], ordered[_REASONS:]
    more = [(f"and {len(rest)} more, which stand in manifest.json", "")] if rest else []
    cells = "".join(
        f"<tr><td>{html.escape(str(key))}</td><td>{html.escape(str(value))}</td></tr>" for key, value in [*shown, *more]
    )
    titles = "".join(f'<th scope="col">{title}</th>' for title in head)
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{cells}</tbody></table>"


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}: a VOI set</title>
<link rel="icon" href="data:,">
<style>
{style}</style>
</head>
<body>
<main>
<header>
<h1>{title}</h1>
<p>A VOI set: real objects, hidden by occluders that were put before them, so that what is behind is known.</p>
</header>
<dl>{facts}</dl>
<section aria-labelledby="clips-title">
<h2 id="clips-title">Clips</h2>
<p><span class="visible">Blue</span>: what is visible of the object. <span class="hidden">Pink</span>: what is hidden.
Beside each row stand the clip's name and how much of its object is hidden, on average.</p>
{sheets}
</section>
<section aria-labelledby="numbers-title">
<h2 id="numbers-title">Statistics</h2>
{figures}
<h3>Occluders</h3>
{kinds}
<h3>Left out</h3>
{skipped}
</section>
<details><summary>How the set was made</summary>
{made}
</details>
<footer><p>Shown by voin {version}.</p></footer>
</main>
</body>
</html>
"""


_STYLE = """:root { color-scheme: light dark; --ink: #1c2024; --soft: #5b646e; --paper: #fbfbfa; --line: #d9dcdf; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #eceef0; --soft: #a3abb3; --paper: #15181b; --line: #363b41; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
main { max-width: 72rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.35rem; margin: 0 0 .5rem; } h3 { font-size: 1.05rem; margin: 1.5rem 0 .5rem; }
p { margin: .5rem 0; max-width: 42rem; }
header p, footer p, figcaption { color: var(--soft); }
section, details { border-top: 1px solid var(--line); margin-top: 2rem; padding-top: 1.5rem; }
summary { cursor: pointer; }
.visible, .hidden { padding: 0 .4em; border-radius: 3px; color: #111; }
.visible { background: rgb(64 220 255); } .hidden { background: rgb(255 80 200); }
dl { display: flex; flex-wrap: wrap; gap: .5rem 2rem; margin: 1rem 0; }
dt { color: var(--soft); font-size: .85rem; } dd { margin: 0; font-size: 1.1rem; font-variant-numeric: tabular-nums; }
figure { margin: 1rem 0; } figcaption { margin-bottom: .4rem; }
figure img { display: block; max-width: 100%; height: auto; border-radius: 6px; }
.sheet { overflow-x: auto; } .sheet img { width: 100%; max-width: none; min-width: 52rem; }
:focus-visible { outline: 3px solid #c2187e; outline-offset: 2px; }
table { border-collapse: collapse; font-size: .9rem; display: block; overflow-x: auto; }
th, td { text-align: left; padding: .25rem 1.5rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top;
  overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
th { color: var(--soft); font-weight: normal; }
"""
