"""The page of a VOI set: one HTML file with its pictures inside, which opens from the disk without a network."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voin import __version__
from voin.manifest import Manifest
from voin.pictures import write_whole

_REASONS = 30  # that are listed; the manifest has all


@dataclass(frozen=True)
class Figure:
    """A picture on the page.

    Args:
        name: `<name>.png` lies beside the page.
        text: what it shows.
        data: PNG or JPEG.
        wide: a contact sheet; it scrolls sideways where there is little room.
    """

    name: str
    text: str
    data: bytes
    wide: bool = False


def write_page(
    path: Path,
    title: str,
    manifest: Manifest,
    counts: Mapping[str, int],
    kinds: Mapping[str, int],
    skipped: Mapping[str, int],
    figures: Sequence[Figure],
) -> None:
    """Write the page, whole or not at all."""
    facts = "".join(f"<div><dt>{html.escape(key)}</dt><dd>{value:,}</dd></div>" for key, value in counts.items())
    text = _PAGE.format(
        title=html.escape(title),
        style=_STYLE,
        facts=facts,
        figures="\n".join(map(_figure, (figure for figure in figures if not figure.wide))),
        sheets="\n".join(map(_figure, (figure for figure in figures if figure.wide))),
        kinds=_table(("occluder", "clips"), kinds),
        skipped=_table(("reason", "clips"), skipped) if skipped else "<p>No clip of the source was left out.</p>",
        made=_table(("setting", "value"), _made(manifest)),
        version=html.escape(__version__),
    )
    write_whole(path, text.encode())


def _figure(figure: Figure) -> str:
    kind = "png" if figure.data.startswith(b"\x89PNG") else "jpeg"
    data = base64.b64encode(figure.data).decode()
    text = html.escape(figure.text)
    scroll = (
        ' class="sheet" tabindex="0" role="group" aria-label="contact sheet, scrolls sideways"' if figure.wide else ""
    )
    return (
        f'<figure id="{html.escape(figure.name, quote=True)}"><figcaption>{text}</figcaption>'
        f'<div{scroll}><img src="data:image/{kind};base64,{data}" alt="{text}"></div></figure>'
    )


def _made(manifest: Manifest) -> dict[str, Any]:
    """Flatten what the set was made with: `occluder.rate` for a table in a table."""

    def flat(prefix: str, content: Mapping[str, Any]) -> dict[str, Any]:
        rows: dict[str, Any] = {}
        for key, value in content.items():
            rows |= flat(f"{prefix}{key}.", value) if isinstance(value, Mapping) else {f"{prefix}{key}": value}
        return rows

    return {
        "voin": manifest.voin,
        "seed": manifest.seed,
        **flat("source.", manifest.source),
        **flat("", manifest.settings),
    }


def _table(head: tuple[str, str], rows: Mapping[str, Any]) -> str:
    ordered = list(rows.items())
    if all(isinstance(value, int) for _, value in ordered):
        ordered.sort(key=lambda row: (-row[1], row[0]))
    shown, rest = ordered[:_REASONS], ordered[_REASONS:]
    more = [(f"and {len(rest)} more, which stand in manifest.json", "")] if rest else []
    cells = "".join(
        f"<tr><td>{html.escape(str(key))}</td><td>{html.escape(str(value))}</td></tr>" for key, value in [*shown, *more]
    )
    titles = "".join(f'<th scope="col">{title}</th>' for title in head)
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{cells}</tbody></table>"


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}: a VOI set</title>
<link rel="icon" href="data:,">
<style>
{style}</style>
</head>
<body>
<main>
<header>
<h1>{title}</h1>
<p>A VOI set: real objects, hidden by occluders that were put before them, so that what is behind is known.</p>
</header>
<dl>{facts}</dl>
<section aria-labelledby="clips-title">
<h2 id="clips-title">Clips</h2>
<p><span class="visible">Blue</span>: what is visible of the object. <span class="hidden">Pink</span>: what is hidden.
Beside each row stand the clip's name and how much of its object is hidden, on average.</p>
{sheets}
</section>
<section aria-labelledby="numbers-title">
<h2 id="numbers-title">Statistics</h2>
{figures}
<h3>Occluders</h3>
{kinds}
<h3>Left out</h3>
{skipped}
</section>
<details><summary>How the set was made</summary>
{made}
</details>
<footer><p>Shown by voin {version}.</p></footer>
</main>
</body>
</html>
"""

_STYLE = """:root { color-scheme: light dark; --ink: #1c2024; --soft: #5b646e; --paper: #fbfbfa; --line: #d9dcdf; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #eceef0; --soft: #a3abb3; --paper: #15181b; --line: #363b41; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
main { max-width: 72rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.35rem; margin: 0 0 .5rem; } h3 { font-size: 1.05rem; margin: 1.5rem 0 .5rem; }
p { margin: .5rem 0; max-width: 42rem; }
header p, footer p, figcaption { color: var(--soft); }
section, details { border-top: 1px solid var(--line); margin-top: 2rem; padding-top: 1.5rem; }
summary { cursor: pointer; }
.visible, .hidden { padding: 0 .4em; border-radius: 3px; color: #111; }
.visible { background: rgb(64 220 255); } .hidden { background: rgb(255 80 200); }
dl { display: flex; flex-wrap: wrap; gap: .5rem 2rem; margin: 1rem 0; }
dt { color: var(--soft); font-size: .85rem; } dd { margin: 0; font-size: 1.1rem; font-variant-numeric: tabular-nums; }
figure { margin: 1rem 0; } figcaption { margin-bottom: .4rem; }
figure img { display: block; max-width: 100%; height: auto; border-radius: 6px; }
.sheet { overflow-x: auto; } .sheet img { width: 100%; max-width: none; min-width: 52rem; }
:focus-visible { outline: 3px solid #c2187e; outline-offset: 2px; }
table { border-collapse: collapse; font-size: .9rem; display: block; overflow-x: auto; }
th, td { text-align: left; padding: .25rem 1.5rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top;
  overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
th { color: var(--soft); font-weight: normal; }
"""
