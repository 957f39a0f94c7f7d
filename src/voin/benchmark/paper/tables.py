"""All tables that `voin reproduce` makes: the paper's, and those of our own ablations."""

from __future__ import annotations

from voin.benchmark.paper.own_rows import OWN_TABLES
from voin.benchmark.paper.rows import PAPER_TABLES, Table

TABLES: dict[str, Table] = {**PAPER_TABLES, **OWN_TABLES}
