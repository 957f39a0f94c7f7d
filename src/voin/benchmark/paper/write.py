"""A table beside the paper's, for readers and programs: Markdown, CSV, JSON and a page."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from voin.benchmark.paper.compare import JUDGED
from voin.benchmark.paper.rows import Column, Table
from voin.benchmark.scores import METRICS
from voin.benchmark.tables import NOTHING, Grid, grid_lines, number
from voin.core.files import write_page, write_whole

TEMPLATE = Path(__file__).parents[1] / "templates" / "paper.html"


def write_table(out: Path, name: str, table: Table, rows: list[dict[str, Any]], about: dict[str, Any]) -> list[Path]:
    """Write `NAME.md`, `NAME.csv`, `NAME.json` and `NAME.html` into a folder; return them.

    `rows` is what `compare` gave. `about` says what it was made from: "voin", "set", "clips", "frames", "budget",
    "unit", "seeds", "notes".
    """
    called = name.replace("table", "Table ")
    caption, source = f"{called}: {table.title}", f"paper, {called}"
    facts = [
        ("set", about["set"]),
        ("clips", str(about["clips"])),
        ("frames", str(about["frames"])),
        ("budget of a row", f"{about['budget']:g} {about['unit']}"),
        ("seeds", str(about["seeds"])),
        ("voin", about["voin"]),
    ]
    grids = {
        "Here, and in the paper": numbers_grid(table, rows, about["unit"]),
        "Margins, here and in the paper": margins_grid(table, rows),
    }
    notes = [table.note, *about["notes"], *_row_notes(rows, about)]
    markdown = [f"# {caption}", "", "; ".join(f"{key}: {value}" for key, value in facts) + ".", ""]
    markdown += [f"- {note}" for note in notes if note]
    for title, grid in grids.items():
        markdown += ["", f"## {title}", "", *grid_lines(grid)]
    files = {kind: out / f"{name}.{kind}" for kind in ("md", "csv", "json", "html")}
    out.mkdir(parents=True, exist_ok=True)
    write_whole(files["md"], ("\n".join(markdown) + "\n").encode())
    write_whole(files["csv"], _csv(name, table, rows, about, source).encode())
    content = {"table": name, "title": table.title, "source": source, "setting": table.setting, **about, "rows": rows}
    write_whole(files["json"], (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())
    write_page(files["html"], TEMPLATE, caption=caption, facts_of=facts, notes=[n for n in notes if n], grids=grids)
    return list(files.values())


def numbers_grid(table: Table, rows: list[dict[str, Any]], unit: str) -> Grid:
    """Make a row a row; for each column what was measured, what the paper reports, and the difference."""
    head = ["row", unit]
    for column in table.columns:
        head += [_title(column), "paper", "difference"]
    head += [_title(column) for column in table.beside]
    lines = []
    for row in rows:
        line = [_label(row), number(row["minutes"], 1)]
        for column in table.columns:
            cell = row["cells"][column.metric]
            here = row["state"] if row["state"] != JUDGED else number(cell["here"], column.digits)
            line += [here, number(cell["paper"], column.digits), _signed(cell["difference"], column.digits)]
        told = row["state"] == JUDGED or bool(table.columns)
        beside = [number(row["cells"][column.metric]["here"], column.digits) for column in table.beside]
        line += beside if told else [row["state"]] * len(beside)
        lines.append(line)
    return Grid(head, lines)


def margins_grid(table: Table, rows: list[dict[str, Any]]) -> Grid:
    """Make a row a pair of rows that are compared; for each column both margins, and what the seeds say."""
    labels = {row["name"]: row["label"] for row in rows}
    head = ["row", "compared with"]
    for column in table.columns:
        head += [_title(column), "paper", "seeds"]
    for column in table.beside:
        head += [_title(column), "seeds"]
    lines = []
    for row, margin in [(compared, margin) for compared in rows for margin in compared["margins"]]:
        if all(cell["here"] is None and cell["paper"] is None for cell in margin["cells"].values()):
            continue  # nothing is known of it
        line = [_label(row), labels[margin["over"]]]
        for column in (*table.columns, *table.beside):
            cell = margin["cells"][column.metric]
            line.append(_margin(cell["here"], cell["here_share"], column))
            if column in table.columns:
                line.append(_margin(cell["paper"], cell["paper_share"], column))
            line.append(cell["verdict"] or NOTHING)
        lines.append(line)
    return Grid(head, lines)


def _csv(name: str, table: Table, rows: list[dict[str, Any]], about: dict[str, Any], source: str) -> str:
    """Write a line a row and metric; where `compared_with` names another row, the numbers are margins over it."""
    text = io.StringIO()
    head = ["table", "row", "label", "printed", "state", "minutes", "budget", "unit", "seeds"]
    head += ["metric", "compared_with", "here", "paper", "difference", "verdict", "source"]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    for row in rows:
        values = [name, row["name"], row["label"], row["printed"], row["state"], row["minutes"]]
        values += [about["budget"], about["unit"], len(row["seeds"])]
        for over, cells in (("", row["cells"]), *((margin["over"], margin["cells"]) for margin in row["margins"])):
            for column in (*table.columns, *table.beside):
                cell = cells[column.metric]
                said = source if cell["paper"] is not None else ""
                line = [*values, column.metric, over, cell["here"], cell["paper"]]
                line += [cell["difference"], cell.get("verdict"), said]
                writer.writerow(["" if value is None else value for value in line])
    return text.getvalue()


def _row_notes(rows: list[dict[str, Any]], about: dict[str, Any]) -> list[str]:
    """Say what is odd about rows: what failed, or had another budget."""
    notes = []
    for row in rows:
        if row["failures"]:
            notes.append(f"{row['label']} failed on {row['failures']} clips, which count as nothing done.")
        minutes = row["minutes"]
        if minutes is not None and abs(minutes - about["budget"]) > 0.02 * about["budget"] + 0.1:
            notes.append(f"{row['label']} was trained for {minutes:.1f} of {about['budget']:g} {about['unit']}.")
    return notes


def _label(row: dict[str, Any]) -> str:
    return row["label"] if row["printed"] else f"{row['label']} *"


def _title(column: Column) -> str:
    unit = METRICS[column.metric].unit
    return f"{column.label}{f' ({unit})' if unit else ''} {'↑' if column.higher else '↓'}"


def _signed(value: float | None, digits: int) -> str:
    return NOTHING if value is None else f"{value:+.{digits}f}"


def _margin(value: float | None, share: float | None, column: Column) -> str:
    """Write a margin; of what is better the smaller it is, also as a share, as the paper tells them."""
    if value is None or share is None or column.higher:
        return _signed(value, column.digits)
    return f"{_signed(value, column.digits)} ({share:+.0%})"
