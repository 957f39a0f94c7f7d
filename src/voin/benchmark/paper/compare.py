"""Put what was measured beside what the paper reports: differences, margins between rows, what seeds say of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from voin.benchmark.paper.rows import Column, Row, Table

NOT_TRAINED, JUDGED = "not trained", "judged"
# What seeds say of a margin between two rows.
DIFFERENCE, WITHIN_SEEDS, ONE_SEED = "difference", "within seeds", "one seed"


@dataclass(frozen=True)
class Judged:
    """What one seed of a row gave.

    Attributes:
        seed: of its training.
        values: metric to its average over videos; what was not judged is absent.
        minutes: of training, all its networks together; None where nothing was trained for it.
        failures: clips on which it failed, which count as nothing done.
        sums: its networks: kind to the sum of its file.
    """

    seed: int
    values: dict[str, float]
    minutes: float | None = None
    failures: int = 0
    sums: dict[str, str] | None = None


def verdict(margins: Sequence[float | None]) -> str:
    """Return what the margins of several seeds say: a difference counts only if all agree in its sign.

    A margin of None was not measured; "" if none was.
    """
    known = [margin for margin in margins if margin is not None]
    if len(known) < 2:
        return ONE_SEED if known else ""
    return DIFFERENCE if all(m > 0 for m in known) or all(m < 0 for m in known) else WITHIN_SEEDS


def compare(table: Table, judged: Mapping[str, Sequence[Judged]]) -> list[dict[str, Any]]:
    """Return the rows of a table as JSON can hold them, in the table's order; none is left out.

    Args:
        table: as printed.
        judged: name of a row to its seeds.
    """
    return [_row(table, row, judged) for row in table.rows]


def _row(table: Table, row: Row, judged: Mapping[str, Sequence[Judged]]) -> dict[str, Any]:
    seeds = judged.get(row.name, ())
    minutes = [seed.minutes for seed in seeds if seed.minutes is not None]
    columns = [*table.columns, *table.beside]
    return {
        "name": row.name,
        "label": row.label,
        "printed": row.printed,
        "state": JUDGED if seeds else NOT_TRAINED,
        "minutes": sum(minutes) / len(minutes) if minutes else None,
        "failures": sum(seed.failures for seed in seeds),
        "seeds": [asdict(seed) for seed in seeds],
        "cells": {column.metric: _cell(table, row, column, judged) for column in columns},
        "margins": [
            {"over": over, "cells": {column.metric: _margin(table, row, over, column, judged) for column in columns}}
            for over in row.over
        ],
    }


def _cell(table: Table, row: Row, column: Column, judged: Mapping[str, Sequence[Judged]]) -> dict[str, Any]:
    """Return one number of a row, that of the paper, and by how much they differ; what is not known is None."""
    here = _mean(list(_values(judged.get(row.name, ()), column).values()))
    paper = _paper_of(table, row, column)
    return {"here": here, "paper": paper, "difference": None if here is None or paper is None else here - paper}


def _margin(
    table: Table, row: Row, over: str, column: Column, judged: Mapping[str, Sequence[Judged]]
) -> dict[str, Any]:
    """Return by how much a row differs from another, here and in the paper, also as a share of the other."""
    own, other = (_values(judged.get(name, ()), column) for name in (row.name, over))
    both = sorted(own.keys() & other.keys())
    margins = [own[seed] - other[seed] for seed in both]
    here, base = _mean(margins), _mean([other[seed] for seed in both])
    reported, reported_base = (_paper_of(table, of, column) for of in (row, table.row(over)))
    paper = None if reported is None or reported_base is None else reported - reported_base
    return {
        "here": here,
        "here_share": _share(here, base),
        "paper": paper,
        "paper_share": _share(paper, reported_base),
        "difference": None if here is None or paper is None else here - paper,
        "verdict": verdict(margins),
    }


def _values(seeds: Sequence[Judged], column: Column) -> dict[int, float]:
    return {seed.seed: seed.values[column.metric] * column.factor for seed in seeds if column.metric in seed.values}


def _paper_of(table: Table, row: Row, column: Column) -> float | None:
    printed = dict(zip((printed.metric for printed in table.columns), row.paper, strict=False))
    return printed.get(column.metric)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _share(margin: float | None, of: float | None) -> float | None:
    return None if margin is None or not of else margin / of
