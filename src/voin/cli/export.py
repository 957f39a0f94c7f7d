"""`voin export`: the networks of a model for other runtimes. Heavy imports wait until it runs."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from rich.markup import escape

from voin.cli.console import out
from voin.cli.options import Json, Output, argument, command, option

EXPORT_EXAMPLES = """[bold]Examples[/bold]

voin export small -o small-onnx

[dim]Then the networks run in ONNX Runtime:[/dim]
voin complete clip.mp4 masks -o out --model small-onnx --runtime onnx"""


@command()
def export(
    model: Annotated[str, argument("A model: small, which ships, a folder, or owner/name on the hub.", "NAME|DIR")],
    output: Output,
    format: Annotated[Literal["onnx"], option("Output", "Format of the files.")] = "onnx",
    as_json: Json = False,
) -> None:
    """Write a model's networks as ONNX files beside their weights, and check that they compute the same."""
    from voin.method.export import BOUND, export_model

    rows = []
    for row in export_model(model, output):
        rows.append(row)
        if not as_json:
            size = f"{row['bytes'] / 1e6:.1f} MB"
            told = f"largest difference from torch {row['difference']:.1g} of the largest value (bound {BOUND:g})"
            out.print(f"[bold]{escape(row['file'])}[/bold]: {size}, {told}", soft_wrap=True, highlight=False)
    if as_json:
        out.print_json(json.dumps(rows))
