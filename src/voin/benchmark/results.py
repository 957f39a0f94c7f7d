"""The numbers of an evaluation, put together for `results.json`."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voin.benchmark.corrupt import Damage
from voin.benchmark.scores import COUNTS, METRICS, ClipScores, summarize
from voin.core.files import write_whole
from voin.data.manifest import ClipRecord

RESULTS = "results.json"
# Clips by their mean occlusion rate, the upper ends. A simulator meets its rates within a few points, so the outer
# ones are open.
RATES = {"10-30 %": 0.3, "30-50 %": 0.5, "50-70 %": math.inf}
UNKNOWN = "unknown"  # category


@dataclass(frozen=True)
class Row:
    """The scores of one trial.

    Attributes:
        method: its name.
        setting: "given" or "end to end".
        damage: of the visible masks, or None.
        record: the clip.
        scores: see there.
        seconds: that the method took, where it was computed here.
        error: why it failed; "" if it did not.
    """

    method: str
    setting: str
    damage: Damage | None
    record: ClipRecord
    scores: ClipScores
    seconds: float | None
    error: str


def rate_of(record: ClipRecord) -> str:
    """Give the key of `RATES` that a clip belongs to."""
    return next(name for name, end in RATES.items() if record.rate < end)


def make_results(
    about: dict[str, Any], rows: Sequence[Row], damaged: Sequence[Row], films: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    """Put everything together, as JSON can hold it.

    Args:
        about: what else is to stand in it: the set, the methods, versions.
        rows: every method and setting on every clip.
        damaged: the same with damaged visible masks.
        films: pictures and videos, as JSON.
    """
    shown = [key for key in METRICS if any(key in row.scores.frames for row in rows)]
    tables: dict[str, dict[str, Any]] = {}
    for setting, some in _grouped(rows, lambda row: row.setting).items():
        tables[setting] = {method: _table(own) for method, own in _grouped(some, lambda row: row.method).items()}
    return _plain(
        {
            **about,
            "metrics": {
                key: {"label": m.label, "unit": m.unit, "higher": m.higher, "digits": m.digits}
                for key, m in METRICS.items()
                if key in shown or any(key in own["all"]["averages"] for t in tables.values() for own in t.values())
            },
            "counts": COUNTS,
            "tables": tables,
            "clips": [_clip(row) for row in rows],
            "damage": _curves(tables, damaged),
            "films": list(films),
            "failures": sum(bool(row.error) for row in (*rows, *damaged)),
        }
    )


def _table(rows: Sequence[Row]) -> dict[str, Any]:
    seconds = [row.seconds / row.record.count for row in rows if row.seconds is not None and not row.error]
    parts = {}
    for name, key in (("rates", lambda row: rate_of(row.record)), ("categories", lambda row: _category(row.record))):
        groups = _grouped(rows, key)
        order = [rate for rate in RATES if rate in groups] if name == "rates" else sorted(groups)
        parts[name] = {group: _summary(groups[group]) for group in order}
    return {
        "all": _summary(rows),
        **parts,
        "failures": sum(bool(row.error) for row in rows),
        "seconds_per_frame": sum(seconds) / len(seconds) if seconds else None,
    }


def _summary(rows: Sequence[Row]) -> dict[str, Any]:
    return summarize([row.scores for row in rows]).to_json()


def _category(record: ClipRecord) -> str:
    return record.category or UNKNOWN


def _clip(row: Row) -> dict[str, Any]:
    record = row.record
    return {
        "clip": record.name,
        "video": record.video,
        "category": _category(record),
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
    """Give per setting, method and kind of damage a list of points, the first without damage."""
    found: dict[str, dict[str, Any]] = {}
    for setting, some in _grouped(rows, lambda row: row.setting).items():
        for method, own in _grouped(some, lambda row: row.method).items():
            kinds = {}
            for kind, each in _grouped(own, lambda row: row.damage.kind if row.damage else "").items():
                points = [{"strength": 0.0, **tables[setting][method]["all"]}]
                strengths = _grouped(each, lambda row: row.damage.strength if row.damage else 0.0)
                for strength in sorted(strengths):
                    failures = sum(bool(row.error) for row in strengths[strength])
                    points.append({"strength": strength, "failures": failures, **_summary(strengths[strength])})
                kinds[kind] = points
            found.setdefault(setting, {})[method] = kinds
    return found


def _grouped(rows: Iterable[Row], key: Any) -> dict[Any, list[Row]]:
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def _plain(value: Any) -> Any:
    """Make numbers that are not finite None, which JSON knows."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_results(out: Path, results: dict[str, Any]) -> None:
    """Write `results.json`, whole or not at all."""
    write_whole(out / RESULTS, (json.dumps(results, indent=1, ensure_ascii=False) + "\n").encode())
