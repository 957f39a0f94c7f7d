"""The numbers of an evaluation, put together for `results.json`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from voin.benchmark.corrupt import Corruption
from voin.benchmark.scores import COUNTS, METRICS, ClipScores, summarize
from voin.data.manifest import ClipRecord

RESULTS = "results.json"
# Clips by their mean occlusion rate, the upper ends. A simulator meets its rates within a few points, so the outer
# ones are open.
RATES = {"10-30 %": 0.3, "30-50 %": 0.5, "50-70 %": math.inf}
UNKNOWN = "unknown"  # category


@dataclass(frozen=True)
class Row:
    """The scores of one trial."""

    method: str
    setting: str
    corruption: Corruption | None  # of the visible masks
    record: ClipRecord
    scores: ClipScores
    seconds: float | None  # that the method took, where it was computed here
    error: str  # why it failed; "" if it did not


def rate_of(record: ClipRecord) -> str:
    """Return the key of `RATES` that a clip belongs to."""
    return next(name for name, end in RATES.items() if record.rate < end)


def make_results(
    about: dict[str, Any], rows: Sequence[Row], corrupted: Sequence[Row], examples: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    """Put everything together, as JSON can hold it: `about` is what else is to stand in it."""
    shown = [key for key in METRICS if any(key in row.scores.frames for row in rows)]
    tables: dict[str, dict[str, Any]] = {}
    for setting, in_setting in _grouped(rows, lambda row: row.setting).items():
        by_method = _grouped(in_setting, lambda row: row.method)
        tables[setting] = {method: _table(of_method) for method, of_method in by_method.items()}
    averaged = {key for table in tables.values() for part in table.values() for key in part["all"]["averages"]}
    return _plain(
        {
            **about,
            "metrics": {key: asdict(m) for key, m in METRICS.items() if key in shown or key in averaged},
            "counts": COUNTS,
            "tables": tables,
            "clips": [_clip(row) for row in rows],
            "damage": _curves(tables, corrupted),
            "films": list(examples),
            "failures": sum(bool(row.error) for row in (*rows, *corrupted)),
        }
    )


def _table(rows: Sequence[Row]) -> dict[str, Any]:
    seconds = [row.seconds / row.record.count for row in rows if row.seconds is not None and not row.error]
    rates = _grouped(rows, lambda row: rate_of(row.record))
    categories = _grouped(rows, lambda row: row.record.category or UNKNOWN)
    return {
        "all": _summary(rows),
        "rates": {rate: _summary(rates[rate]) for rate in RATES if rate in rates},
        "categories": {name: _summary(categories[name]) for name in sorted(categories)},
        "failures": sum(bool(row.error) for row in rows),
        "seconds_per_frame": sum(seconds) / len(seconds) if seconds else None,
    }


def _summary(rows: Sequence[Row]) -> dict[str, Any]:
    return asdict(summarize([row.scores for row in rows]))


def _clip(row: Row) -> dict[str, Any]:
    record = row.record
    return {
        "clip": record.name,
        "video": record.video,
        "category": record.category or UNKNOWN,
        "occluder": record.kind,
        "rate": record.rate,
        "frames": record.count,
        "setting": row.setting,
        "method": row.method,
        "seconds": row.seconds,
        "error": row.error,
        "metrics": {key: row.scores.mean(key) for key in METRICS if key in row.scores.frames},
        "counts": row.scores.counts,
    }


def _curves(tables: dict[str, dict[str, Any]], rows: Sequence[Row]) -> dict[str, Any]:
    """Return per setting, method and kind of corruption a list of points, the first without corruption."""
    found: dict[str, dict[str, Any]] = {}
    by_curve = _grouped(rows, lambda row: (row.setting, row.method, row.corruption.kind))
    for (setting, method, kind), of_curve in by_curve.items():
        points = [{"strength": 0.0, **tables[setting][method]["all"]}]
        for strength, of_point in sorted(_grouped(of_curve, lambda row: row.corruption.strength).items()):
            failures = sum(bool(row.error) for row in of_point)
            points.append({"strength": strength, "failures": failures, **_summary(of_point)})
        found.setdefault(setting, {}).setdefault(method, {})[kind] = points
    return found


def _grouped(rows: Iterable[Row], key: Any) -> dict[Any, list[Row]]:
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def _plain(value: Any) -> Any:
    """Make numbers that are not finite None, which JSON knows."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
