"""The tables of an evaluation for readers: as grids of text, and as Markdown in `results.md`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voin.benchmark.scores import METRICS
from voin.core.files import write_whole

TABLES = "results.md"
# What the smaller tables show: one number for pixels, one for the hidden shape, one for the whole shape.
HIDDEN, OCCLUDED, WHOLE = "psnr_hidden", "iou_occluded", "iou_amodal"
# What is told for each hidden share and each category, where it is judged.
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
    """A table for readers.

    Attributes:
        head: one text a column; the first column names the rows.
        rows: texts.
        best: (row, column) of the best number of each column that has one.
    """

    head: list[str]
    rows: list[list[str]]
    best: frozenset[tuple[int, int]] = frozenset()


def number(value: float | None, digits: int) -> str:
    """Write a number, or a dash for none."""
    return NOTHING if value is None else f"{value:.{digits}f}"


def main_grid(results: dict[str, Any], setting: str, average: str) -> Grid:
    """Give a row a method and a column a metric."""
    table, metrics = results["tables"][setting], results["metrics"]
    keys = [key for key in metrics if any(key in own["all"]["averages"] for own in table.values())]
    values = [[_value(own["all"], key, average) for key in keys] for own in table.values()]
    head = ["method", *(title(metrics[key]) for key in keys), "frames/s", "failed clips"]
    rows = []
    for (name, own), line in zip(table.items(), values, strict=True):
        speed = own["seconds_per_frame"]
        texts = [number(value, metrics[key]["digits"]) for key, value in zip(keys, line, strict=True)]
        rows.append([name, *texts, number(1 / speed if speed else None, 1), str(own["failures"])])
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
    """Give a row a rate or category and a column a method, of one metric; None if no method has it.

    Args:
        results: from `make_results`.
        setting: of the table.
        groups: "rates" or "categories".
        key: metric; averaged over videos.
    """
    table = {name: own for name, own in results["tables"][setting].items() if key in own["all"]["averages"]}
    if not table:
        return None
    metric = results["metrics"][key]
    names = list(dict.fromkeys(name for own in table.values() for name in own[groups]))
    rows, best = [], set()
    for i, name in enumerate(names):
        found = [own[groups].get(name) for own in table.values()]
        values = [None if each is None else _value(each, key, "per_video") for each in found]
        clips = max(each["clips"] for each in found if each is not None)
        rows.append([name, str(clips), *(number(value, metric["digits"]) for value in values)])
        best |= {(i, j + 2) for j in _best(values, metric["higher"], metric["digits"])}
    return Grid([{"rates": "hidden", "categories": "category"}[groups], "clips", *table], rows, frozenset(best))


def count_grid(results: dict[str, Any], setting: str) -> Grid:
    """Give a row a method and a column a count that is not 0 everywhere."""
    table = results["tables"][setting]
    keys = [key for key in results["counts"] if any(own["all"]["counts"].get(key) for own in table.values())]
    rows = [[name, *(f"{own['all']['counts'].get(key, 0):,}" for key in keys)] for name, own in table.items()]
    return Grid(["method", *(key.replace("_", " ") for key in keys)], rows)


def clip_grid(results: dict[str, Any], setting: str) -> Grid:
    """Give a row a clip and a column a method: hidden PSNR and, end to end, the occluded region's IoU."""
    own = [clip for clip in results["clips"] if clip["setting"] == setting]
    methods = list(dict.fromkeys(clip["method"] for clip in own))
    columns = [
        (method, key)
        for key in (HIDDEN, OCCLUDED)
        for method in methods
        if any(clip["method"] == method and key in clip["metrics"] for clip in own)
    ]
    clips: dict[str, dict[str, dict[str, Any]]] = {}
    for clip in own:
        clips.setdefault(clip["clip"], {})[clip["method"]] = clip
    rows = []
    for name, found in clips.items():
        any_one = next(iter(found.values()))
        texts = []
        for method, key in columns:
            value = found[method]["metrics"].get(key) if method in found else None
            failed = method in found and found[method]["error"]
            texts.append(number(value, METRICS[key].digits) + (" (failed)" if failed else ""))
        rows.append([name, any_one["category"], f"{any_one['rate']:.2f}", *texts])
    short = {HIDDEN: "dB", OCCLUDED: "IoU"}
    return Grid(["clip", "category", "hidden", *(f"{method}, {short[key]}" for method, key in columns)], rows)


def damage_grid(results: dict[str, Any], setting: str, key: str) -> Grid | None:
    """Give a row a damage and a column a method, of one metric; None if there is none."""
    table = results["damage"].get(setting, {})
    found = {
        (kind, point["strength"]): {} for kinds in table.values() for kind, points in kinds.items() for point in points
    }
    methods = []
    for method, kinds in table.items():
        for kind, points in kinds.items():
            for point in points:
                value = _value(point, key, "per_video")
                found[kind, point["strength"]][method] = value
                if value is not None and method not in methods:
                    methods.append(method)
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
    known = [round(value, digits) for value in values if value is not None]
    if len(known) < 2 or len(set(known)) == 1:
        return []
    top = max(known) if higher else min(known)
    return [i for i, value in enumerate(values) if value is not None and round(value, digits) == top]


def write_tables(out: Path, results: dict[str, Any]) -> None:
    """Write `results.md`, whole or not at all."""
    write_whole(out / TABLES, to_markdown(results).encode())


def to_markdown(results: dict[str, Any]) -> str:
    """Write the tables as Markdown."""
    own = results["set"]
    split = f", split {own['split']}" if own["split"] else ""
    lines = [
        "# Results",
        "",
        f"{own['clips']} clips, {own['frames']} frames of the VOI set `{Path(own['path']).name}`{split} "
        f"(seed {own['seed']}, manifest `{own['manifest'][:12]}`), voin {results['voin']}. "
        "The rules stand in `docs/guides/metrics.md`.",
        *([""] + [f"- {note}." for note in results["notes"]] if results["notes"] else []),
    ]
    for setting in results["tables"]:
        lines += ["", f"## {HEADINGS[setting]}", "", EXPLAINED[setting]]
        for average, said in AVERAGES.items():
            lines += ["", f"### All metrics, {said}", "", *_lines(main_grid(results, setting, average))]
        for groups, said in GROUPS.items():
            for key in GROUPED:
                grid = group_grid(results, setting, groups, key)
                if grid is not None:
                    label = title(results["metrics"][key])
                    lines += ["", f"### {label} by {said}, averaged over videos", "", *_lines(grid)]
        lines += ["", "### Counts", "", *_lines(count_grid(results, setting))]
        lines += ["", "### Clips", "", *_lines(clip_grid(results, setting))]
        for key in (HIDDEN, WHOLE):
            grid = damage_grid(results, setting, key)
            if grid is not None:
                lines += ["", f"### {title(results['metrics'][key])} with damaged visible masks", "", *_lines(grid)]
    failures = failures_of(results)
    if failures:
        lines += ["", "## Failures", "", *(f"- {line}" for line in failures)]
    return "\n".join(lines) + "\n"


def _lines(grid: Grid) -> list[str]:
    def text(i: int, j: int, value: str) -> str:
        value = value.replace("|", "\\|").replace("\n", " ")
        return f"**{value}**" if (i, j) in grid.best else value

    return [
        f"| {' | '.join(grid.head)} |",
        f"|---|{'---:|' * (len(grid.head) - 1)}",
        *(f"| {' | '.join(text(i, j, value) for j, value in enumerate(row))} |" for i, row in enumerate(grid.rows)),
    ]
