"""The page of an evaluation, `index.html`: tables, curves, pictures and videos; it needs no network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voin.benchmark.curves import CURVES
from voin.benchmark.tables import (
    AVERAGES,
    EXPLAINED,
    GROUPS,
    HEADINGS,
    count_grid,
    failures_of,
    group_grids,
    main_grid,
    number,
    title,
)
from voin.core.files import write_page

INDEX = "index.html"
TEMPLATE = Path(__file__).parent / "templates" / "evaluation.html"
CLIP_HEAD = ("clip", "category", "occluder", "hidden", "setting", "method")


def write_report(out: Path, results: dict[str, Any]) -> Path:
    """Write the page of `make_results`'s results into the evaluation's folder, where the files lie that they name."""
    curves = CURVES if results["damage"] else None
    path = out / INDEX
    write_page(
        path,
        TEMPLATE,
        version=results["voin"],
        menu={
            **{_place(setting): HEADINGS[setting] for setting in results["tables"]},
            **({"damage": "Damaged masks"} if curves else {}),
            "clips": "Clips",
        },
        about=_about(results["set"]),
        notes=results["notes"],
        counts=results["counts"],
        sections=[_section(results, setting) for setting in results["tables"]],
        curves=curves,
        clip_head=CLIP_HEAD,
        metric_head=[title(metric) for metric in results["metrics"].values()],
        clips=[_clip(results["metrics"], clip) for clip in results["clips"]],
        failures=failures_of(results),
    )
    return path


def _place(setting: str) -> str:
    return setting.replace(" ", "-")


def _about(evaluated: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        ("set", Path(evaluated["path"]).name),
        ("split", evaluated["split"] or "all"),
        ("clips", f"{evaluated['clips']:,}"),
        ("frames", f"{evaluated['frames']:,}"),
        ("seed", str(evaluated["seed"])),
        ("manifest", evaluated["manifest"][:12]),
    ]


def _section(results: dict[str, Any], setting: str) -> dict[str, Any]:
    return {
        "place": _place(setting),
        "heading": HEADINGS[setting],
        "explained": EXPLAINED[setting],
        "tables": [(f"All metrics, {said}", main_grid(results, setting, key)) for key, said in AVERAGES.items()],
        "groups": [
            (heading, grids) for key, heading in GROUPS.items() if (grids := group_grids(results, setting, key))
        ],
        "counts": count_grid(results, setting),
        "examples": _examples(results, setting),
        "shaped": setting == "end to end",
    }


def _examples(results: dict[str, Any], setting: str) -> dict[str, list[dict[str, Any]]]:
    """Collect the examples of each method, with their value as text."""
    examples: dict[str, list[dict[str, Any]]] = {}
    for example in results["films"]:
        if example["setting"] == setting:
            metric = results["metrics"][example["metric"]]
            value = f"{metric['label']} {number(example['value'], metric['digits'])} {metric['unit']}".strip()
            examples.setdefault(example["method"], []).append({**example, "value": value})
    return examples


def _clip(metrics: dict[str, Any], clip: dict[str, Any]) -> dict[str, Any]:
    texts = [clip["clip"], clip["category"], clip["occluder"], f"{clip['rate']:.2f}", clip["setting"], clip["method"]]
    numbers = [number(clip["metrics"].get(key), metric["digits"]) for key, metric in metrics.items()]
    return {"texts": texts, "numbers": numbers, "error": clip["error"]}
