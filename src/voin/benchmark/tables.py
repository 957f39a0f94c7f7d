"""The tables of an evaluation for readers: as grids of text, and as Markdown in `results.md`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voin.benchmark.scores import METRICS

TABLES = "results.md"
# What the smaller tables show: one number for pixels, one for the hidden shape, one for the whole shape.
HIDDEN, OCCLUDED, WHOLE = "psnr_hidden", "iou_occluded", "iou_amodal"
# What is shown for each hidden share and each category, where it is scored.
GROUPED = (HIDDEN, "flow_error", OCCLUDED)
AVERAGES = {"per_video": "averaged over videos", "per_frame": "averaged over frames"}
HEADINGS = {"given": "Whole mask given", "end to end": "End to end"}
EXPLAINED = {
    "given": "The true whole mask goes in; the pixels alone are judged.",
    "end to end": "Only the visible mask goes in; the shape is completed, too, and judged with the pixels.",
}
GROUPS = {"rates": "hidden share of the object", "categories": "category"}
NOTHING = "–"  # noqa: RUF001 - a dash is meant


@dataclass(frozen=True)
class Grid:
    """A table for readers, of texts; the first column names the rows."""

    head: list[str]
    rows: list[list[str]]
    best: frozenset[tuple[int, int]] = frozenset()  # (row, column) of the best number of each column that has one


def number(value: float | None, digits: int) -> str:
    """Write a number, or a dash for none."""
    return NOTHING if value is None else f"{value:.{digits}f}"


def main_grid(results: dict[str, Any], setting: str, average: str) -> Grid:
    """Make a row a method and a column a metric."""
    table, metrics = results["tables"][setting], results["metrics"]
    keys = [key for key in metrics if any(key in part["all"]["averages"] for part in table.values())]
    values = [[_value(part["all"], key, average) for key in keys] for part in table.values()]
    head = ["method", *(title(metrics[key]) for key in keys), "frames/s", "failed clips"]
    rows = []
    for (name, part), line in zip(table.items(), values, strict=True):
        speed = part["seconds_per_frame"]
        texts = [number(value, metrics[key]["digits"]) for key, value in zip(keys, line, strict=True)]
        rows.append([name, *texts, number(1 / speed if speed else None, 1), str(part["failures"])])
    best = {
        (i, j + 1)
        for j, key in enumerate(keys)
        for i in _best([line[j] for line in values], metrics[key]["higher"], metrics[key]["digits"])
    }
    return Grid(head, rows, frozenset(best))


def title(metric: dict[str, Any]) -> str:
    """Name a metric with its unit and an arrow that says which way is better."""
    unit = f" ({metric['unit']})" if metric["unit"] else ""
    return f"{metric['label']}{unit} {'↑' if metric['higher'] else '↓'}"


def group_grid(results: dict[str, Any], setting: str, groups: str, key: str) -> Grid | None:
    """Make a row a rate or category (of `groups`) and a column a method, of one metric; None if no method has it."""
    table = {name: part for name, part in results["tables"][setting].items() if key in part["all"]["averages"]}
    if not table:
        return None
    metric = results["metrics"][key]
    names = list(dict.fromkeys(name for part in table.values() for name in part[groups]))
    rows, best = [], set()
    for i, name in enumerate(names):
        summaries = [part[groups].get(name) for part in table.values()]
        values = [None if summary is None else _value(summary, key, "per_video") for summary in summaries]
        clips = max(summary["clips"] for summary in summaries if summary is not None)
        rows.append([name, str(clips), *(number(value, metric["digits"]) for value in values)])
        best |= {(i, j + 2) for j in _best(values, metric["higher"], metric["digits"])}
    return Grid([{"rates": "hidden", "categories": "category"}[groups], "clips", *table], rows, frozenset(best))


def group_grids(results: dict[str, Any], setting: str, groups: str) -> list[tuple[str, Grid]]:
    """Make the tables of `group_grid` for all metrics that are shown by group, each with its title."""
    keys = [key for key in GROUPED if key in results["metrics"]]
    grids = [(title(results["metrics"][key]), group_grid(results, setting, groups, key)) for key in keys]
    return [(caption, grid) for caption, grid in grids if grid is not None]


def count_grid(results: dict[str, Any], setting: str) -> Grid:
    """Make a row a method and a column a count that is not 0 everywhere."""
    counts = {name: part["all"]["counts"] for name, part in results["tables"][setting].items()}
    keys = [key for key in results["counts"] if any(counted.get(key) for counted in counts.values())]
    rows = [[name, *(f"{counted.get(key, 0):,}" for key in keys)] for name, counted in counts.items()]
    return Grid(["method", *(key.replace("_", " ") for key in keys)], rows)


def clip_grid(results: dict[str, Any], setting: str) -> Grid:
    """Make a row a clip and a column a method: hidden PSNR and, end to end, the occluded region's IoU."""
    scored = [clip for clip in results["clips"] if clip["setting"] == setting]
    methods = list(dict.fromkeys(clip["method"] for clip in scored))
    has = {(clip["method"], key) for clip in scored for key in clip["metrics"]}
    columns = [(method, key) for key in (HIDDEN, OCCLUDED) for method in methods if (method, key) in has]
    clips: dict[str, dict[str, dict[str, Any]]] = {}
    for clip in scored:
        clips.setdefault(clip["clip"], {})[clip["method"]] = clip
    rows = []
    for name, by_method in clips.items():
        first = next(iter(by_method.values()))
        texts = []
        for method, key in columns:
            clip = by_method.get(method, {"metrics": {}, "error": ""})
            failed = " (failed)" if clip["error"] else ""
            texts.append(number(clip["metrics"].get(key), METRICS[key].digits) + failed)
        rows.append([name, first["category"], f"{first['rate']:.2f}", *texts])
    short = {HIDDEN: "dB", OCCLUDED: "IoU"}
    return Grid(["clip", "category", "hidden", *(f"{method}, {short[key]}" for method, key in columns)], rows)


def corruption_grid(results: dict[str, Any], setting: str, key: str) -> Grid | None:
    """Make a row a corruption and a column a method, of one metric; None if there is none."""
    found: dict[tuple[str, float], dict[str, float]] = {}
    curves = results["damage"].get(setting, {}).items()
    for method, kind, points in ((method, kind, points) for method, kinds in curves for kind, points in kinds.items()):
        for point in points:
            values, value = found.setdefault((kind, point["strength"]), {}), _value(point, key, "per_video")
            if value is not None:
                values[method] = value
    methods = list(dict.fromkeys(method for values in found.values() for method in values))
    if not methods:
        return None
    digits = results["metrics"][key]["digits"]
    rows = [
        [kind, f"{strength:g}", *(number(values.get(method), digits) for method in methods)]
        for (kind, strength), values in found.items()
    ]
    return Grid(["damage", "strength", *methods], rows)


def failures_of(results: dict[str, Any]) -> list[str]:
    """List what failed, a line each."""
    return [
        f"{clip['method']}, {clip['setting']}, {clip['clip']}: {clip['error']}"
        for clip in results["clips"]
        if clip["error"]
    ]


def _value(summary: dict[str, Any], key: str, average: str) -> float | None:
    return summary["averages"].get(key, {}).get(average)


def _best(values: Sequence[float | None], higher: bool, digits: int) -> list[int]:
    """Choose the places of the best numbers, as they are shown; none where there is nothing to compare."""
    shown = [round(value, digits) for value in values if value is not None]
    if len(shown) < 2 or len(set(shown)) == 1:
        return []
    top = max(shown) if higher else min(shown)
    return [i for i, value in enumerate(values) if value is not None and round(value, digits) == top]


def to_markdown(results: dict[str, Any]) -> str:
    """Write the tables as Markdown."""
    about = results["set"]
    split = f", split {about['split']}" if about["split"] else ""
    lines = [
        "# Results",
        "",
        f"{about['clips']} clips, {about['frames']} frames of the VOI set `{Path(about['path']).name}`{split} "
        f"(seed {about['seed']}, manifest `{about['manifest'][:12]}`), voin {results['voin']}. "
        "The rules stand in `docs/guides/metrics.md`.",
        *([""] + [f"- {note}." for note in results["notes"]] if results["notes"] else []),
    ]
    for setting in results["tables"]:
        lines += ["", f"## {HEADINGS[setting]}", "", EXPLAINED[setting]]
        for average, said in AVERAGES.items():
            lines += ["", f"### All metrics, {said}", "", *grid_lines(main_grid(results, setting, average))]
        for groups, said in GROUPS.items():
            for caption, grid in group_grids(results, setting, groups):
                lines += ["", f"### {caption} by {said}, averaged over videos", "", *grid_lines(grid)]
        lines += ["", "### Counts", "", *grid_lines(count_grid(results, setting))]
        lines += ["", "### Clips", "", *grid_lines(clip_grid(results, setting))]
        for key in (HIDDEN, WHOLE):
            grid = corruption_grid(results, setting, key)
            if grid is not None:
                lines += ["", f"### {title(results['metrics'][key])} with damaged visible masks", "", *grid_lines(grid)]
    failures = failures_of(results)
    if failures:
        lines += ["", "## Failures", "", *(f"- {line}" for line in failures)]
    return "\n".join(lines) + "\n"


def grid_lines(grid: Grid) -> list[str]:
    """Return a grid as lines of Markdown."""

    def text(i: int, j: int, value: str) -> str:
        value = value.replace("|", "\\|").replace("\n", " ")
        return f"**{value}**" if (i, j) in grid.best else value

    return [
        f"| {' | '.join(grid.head)} |",
        f"|---|{'---:|' * (len(grid.head) - 1)}",
        *(f"| {' | '.join(text(i, j, value) for j, value in enumerate(row))} |" for i, row in enumerate(grid.rows)),
    ]
