"""Plot how methods suffer from corrupted visible masks (the paper's Figure 9, as curves)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voin.benchmark.tables import HEADINGS, HIDDEN, WHOLE
from voin.core.draw import save_chart

CURVES = "degrade.png"
# Okabe and Ito's colours, told apart by colour-blind readers, too; markers tell the rest.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = "osD^vPX*"
_AXES = {
    "dilated": "reach over the object's diameter",
    "eroded": "reach over the object's diameter",
    "shifted": "distance over the object's diameter",
    "lost": "share of the visible pixels",
    "joined": "area of another object over the object's",
}


def draw_curves(out: Path, results: dict[str, Any]) -> Path:
    """Write `degrade.png`: a row a setting and metric, a column a kind of corruption, a line a method."""
    from matplotlib.figure import Figure

    panels = _panels(results)
    kinds = list(dict.fromkeys(kind for _, _, lines in panels for points in lines.values() for kind in points))
    methods = list(dict.fromkeys(method for _, _, lines in panels for method in lines))
    figure = Figure(figsize=(3.1 * len(kinds), 2.5 * len(panels) + 0.7), layout="constrained")
    grid = figure.subplots(len(panels), len(kinds), squeeze=False, sharey="row")
    handles: dict[str, Any] = {}
    for place, (row, (setting, key, lines)) in enumerate(zip(grid, panels, strict=True)):
        metric = results["metrics"][key]
        unit = f" ({metric['unit']})" if metric["unit"] else ""
        row[0].set_ylabel(f"{HEADINGS[setting]}\n{metric['label']}{unit}")
        for axes, kind in zip(row, kinds, strict=True):
            for method, points in lines.items():
                i = methods.index(method)
                x, y = zip(*points.get(kind, [(float("nan"), float("nan"))]), strict=True)
                # Later ones are smaller, so that lines are seen that lie on each other.
                look = {"color": _COLOURS[i % len(_COLOURS)], "marker": _MARKERS[i % len(_MARKERS)]}
                (handles[method],) = axes.plot(x, y, markersize=max(8 - i, 3), linewidth=max(3 - 0.5 * i, 1), **look)
            axes.grid(alpha=0.25)
            axes.spines[["top", "right"]].set_visible(False)
            if place == 0:
                axes.set_title(kind)
            if place == len(panels) - 1:
                axes.set_xlabel(_AXES.get(kind, "strength"), fontsize=9)
    figure.legend([handles[m] for m in methods], methods, loc="outside upper center", ncols=len(methods), frameon=False)
    save_chart(out / CURVES, figure)
    return out / CURVES


def _panels(results: dict[str, Any]) -> list[tuple[str, str, dict[str, dict[str, list[tuple[float, float]]]]]]:
    """Collect (setting, metric, method -> kind -> points) where there is anything to show."""
    panels: dict[tuple[str, str], dict[str, dict[str, list[tuple[float, float]]]]] = {}
    for key in (HIDDEN, WHOLE):
        for setting, methods in results["damage"].items():
            for method, kind in ((method, kind) for method, kinds in methods.items() for kind in kinds):
                points = methods[method][kind]
                values = [(point["strength"], point["averages"].get(key, {}).get("per_video")) for point in points]
                scored = [(strength, value) for strength, value in values if value is not None]
                if scored:
                    panels.setdefault((setting, key), {}).setdefault(method, {})[kind] = scored
    return [(*place, lines) for place, lines in panels.items()]
