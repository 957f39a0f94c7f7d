"""The record of a finished run, `run.json`: what it was made from, what came out in each frame, and what it took."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from typing import Any

from voin.core.files import as_json
from voin.core.system import peak_memory, versions
from voin.jobs.check import Inputs
from voin.jobs.layout import Folder
from voin.jobs.plan import Plan

_COUNTS = ("occluded", "propagated", "invented")


def make_record(inputs: Inputs, plan: Plan, folder: Folder, seconds: dict[str, float], wall: float) -> dict[str, Any]:
    """Make the record out of the chunks' records.

    Args:
        inputs: of the job.
        plan: of the job.
        folder: holds the chunks' records.
        seconds: what it took besides the chunks, by stage.
        wall: seconds in all; less than the sum of the stages, as they overlap.
    """
    info = inputs.info
    stages = Counter(seconds)
    objects = {str(number): {key: [] for key in (*_COUNTS, "confidence")} for number in sorted(inputs.ids)}
    broken: list[int] = []
    for chunk in plan.chunks:
        record = json.loads(folder.record_of(chunk).read_text(encoding="utf-8"))
        stages.update(record["seconds"])
        broken += record["broken"]
        for number, lists in objects.items():
            entry = record["objects"].get(number, {})
            for key, values in lists.items():
                values += entry.get(key, [None if key == "confidence" else 0] * chunk.count)
    return {
        "request": folder.request,
        "versions": versions(),
        "input": {
            "path": str(info.path),
            "kind": info.kind,
            "width": info.size[1],
            "height": info.size[0],
            "frames": info.count,
            "frames_per_second": round(float(info.rate), 4),
            "audio": info.audio,
        },
        "masks": inputs.masks.reading.record(),
        "skip_broken": inputs.options.skip_broken,
        "start": inputs.start,
        "end": inputs.end,
        "cuts": [shot.start for shot in plan.shots[1:]],
        "shots": [[shot.start, shot.end] for shot in plan.shots],
        "chunks": len(plan.chunks),
        "seconds": {stage: round(value, 3) for stage, value in stages.items()} | {"total": round(wall, 3)},
        "frames_per_second": round(inputs.count / wall, 3),
        "peak_memory_bytes": peak_memory(),
        "broken": broken,
        "totals": {key: sum(sum(lists[key]) for lists in objects.values()) for key in _COUNTS},
        "objects": objects,
        "layout": as_json(asdict(folder.layout)),
    }
