"""The page of an evaluation, `index.html`: tables, curves, pictures and videos; it needs no network.

Pictures and videos lie beside it, in `media`. Without scripts everything is shown; with them the rows of clips can be
sorted and filtered.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from voin.benchmark.curves import CURVES
from voin.benchmark.tables import (
    AVERAGES,
    EXPLAINED,
    GROUPED,
    GROUPS,
    HEADINGS,
    Grid,
    count_grid,
    failures_of,
    group_grid,
    main_grid,
    number,
    title,
)
from voin.core.files import write_whole

INDEX = "index.html"


def write_report(out: Path, results: dict[str, Any]) -> Path:
    """Write the page, whole or not at all.

    Args:
        out: folder of the evaluation; the files that `results` names lie in it.
        results: from `voin.benchmark.results.make_results`.
    """
    parts = [_about(results)]
    parts += [_setting(results, setting) for setting in results["tables"]]
    parts += [_damage(results)] if results["damage"] else []
    parts += [_clips(results), _failures(results)]
    text = PAGE.replace("{{style}}", STYLE).replace("{{script}}", SCRIPT)
    text = text.replace("{{version}}", escape(results["voin"])).replace("{{menu}}", _menu(results))
    path = out / INDEX
    write_whole(path, text.replace("{{sections}}", "\n".join(filter(None, parts))).encode())
    return path


def _place(setting: str) -> str:
    return setting.replace(" ", "-")


def _menu(results: dict[str, Any]) -> str:
    places = {_place(setting): HEADINGS[setting] for setting in results["tables"]}
    places |= {"damage": "Damaged masks"} if results["damage"] else {}
    places |= {"clips": "Clips"}
    return "".join(f'<a href="#{place}">{escape(text)}</a>' for place, text in places.items())


def _about(results: dict[str, Any]) -> str:
    own = results["set"]
    facts = {
        "set": Path(own["path"]).name,
        "split": own["split"] or "all",
        "clips": f"{own['clips']:,}",
        "frames": f"{own['frames']:,}",
        "seed": str(own["seed"]),
        "manifest": own["manifest"][:12],
    }
    listed = "".join(f"<div><dt>{escape(key)}</dt><dd>{escape(value)}</dd></div>" for key, value in facts.items())
    notes = "".join(f"<li>{escape(note)}.</li>" for note in results["notes"])
    return f"<dl>{listed}</dl>" + (f'<ul class="notes">{notes}</ul>' if notes else "")


def _setting(results: dict[str, Any], setting: str) -> str:
    place = _place(setting)
    parts = [f'<section id="{place}"><h2>{escape(HEADINGS[setting])}</h2><p>{escape(EXPLAINED[setting])}</p>']
    parts += [
        _table(main_grid(results, setting, average), f"All metrics, {said}") for average, said in AVERAGES.items()
    ]
    for groups, said in GROUPS.items():
        grids = [(key, group_grid(results, setting, groups, key)) for key in GROUPED]
        tables = [_table(grid, title(results["metrics"][key])) for key, grid in grids if grid is not None]
        if tables:
            parts.append(f'<h3>By {escape(said)}</h3><div class="pair">{"".join(tables)}</div>')
    meanings = "".join(
        f"<dt>{escape(key.replace('_', ' '))}</dt><dd>{escape(text)}</dd>" for key, text in results["counts"].items()
    )
    parts.append(
        f"<details><summary>Counts</summary>{_table(count_grid(results, setting), 'Counts, over all clips')}"
        f'<dl class="meanings">{meanings}</dl></details>'
    )
    parts.append(_films(results, setting))
    return "".join(parts) + "</section>"


def _films(results: dict[str, Any], setting: str) -> str:
    films = [film for film in results["films"] if film["setting"] == setting]
    parts = []
    for method in dict.fromkeys(film["method"] for film in films):
        cards = "".join(_film(results, film) for film in films if film["method"] == method)
        parts.append(f'<h4>{escape(method)}</h4><div class="films">{cards}</div>')
    if not parts:
        return ""
    outlines = "The blue outline is the visible mask that goes in" + (
        "; the pink one is the whole mask that came out, the green one the true one."
        if setting == "end to end"
        else "."
    )
    return f"<h3>Best, median and worst clip</h3><p>{outlines}</p>{''.join(parts)}"


def _film(results: dict[str, Any], film: dict[str, Any]) -> str:
    metric = results["metrics"][film["metric"]]
    h, w = film["size"]
    value = f"{metric['label']} {number(film['value'], metric['digits'])} {metric['unit']}".strip()
    name = f"{film['place']}: {film['clip']}"
    said = escape(f"{film['method']}, {name}: input, result, truth", quote=True)
    video, poster, sheet = (escape(film[key], quote=True) for key in ("video", "poster", "sheet"))
    return f"""<figure>
<video controls muted loop playsinline preload="none" poster="{poster}" src="{video}" width="{3 * w}" height="{h + 22}"
 aria-label="{said}"></video>
<figcaption><b>{escape(name)}</b> <span>{escape(value)}</span></figcaption>
<details><summary>Pictures</summary><a href="{sheet}"><img loading="lazy" src="{sheet}" alt="{said}">
</a></details>
</figure>"""


def _damage(results: dict[str, Any]) -> str:
    return f"""<section id="damage"><h2>Damaged visible masks</h2>
<p>The visible mask that goes in is dilated, eroded, shifted, or lacks pieces; the result is judged as before, by the
true masks. Lengths are shares of the object's diameter, the square root of its visible area.</p>
<img class="plot" loading="lazy" src="{CURVES}" alt="metrics over the strength of the damage">
</section>"""


def _clips(results: dict[str, Any]) -> str:
    keys = list(results["metrics"])
    head = ["clip", "category", "occluder", "hidden", "setting", "method"]
    cells = "".join(f'<th scope="col"><button type="button">{escape(text)}</button></th>' for text in head)
    cells += "".join(
        f'<th scope="col" class="number"><button type="button">{escape(title(results["metrics"][key]))}</button></th>'
        for key in keys
    )
    rows = []
    for clip in results["clips"]:
        own = [clip["clip"], clip["category"], clip["occluder"], f"{clip['rate']:.2f}", clip["setting"], clip["method"]]
        texts = "".join(f"<td>{escape(text)}</td>" for text in own)
        values = [(clip["metrics"].get(key), results["metrics"][key]["digits"]) for key in keys]
        texts += "".join(f'<td class="number">{number(value, digits)}</td>' for value, digits in values)
        failed = f' class="failed" title="{escape(clip["error"], quote=True)}"' if clip["error"] else ""
        rows.append(f"<tr{failed}>{texts}</tr>")
    return f"""<section id="clips"><h2>Clips</h2>
<p>Averages over each clip's judged frames. Rows of failures are struck through.</p>
<div class="filters"><label>Setting <select data-column="4"><option value="">all</option></select></label>
<label>Method <select data-column="5"><option value="">all</option></select></label></div>
<div class="wide" tabindex="0" role="group" aria-label="rows of clips"><table class="sortable">
<thead><tr>{cells}</tr></thead><tbody>{"".join(rows)}</tbody></table></div></section>"""


def _failures(results: dict[str, Any]) -> str:
    lines = "".join(f"<li>{escape(line)}</li>" for line in failures_of(results))
    return f'<section id="failures"><h2>Failures</h2><ul>{lines}</ul></section>' if lines else ""


def _table(grid: Grid, caption: str) -> str:
    head = "".join(f'<th scope="col"{_kind(j)}>{escape(text)}</th>' for j, text in enumerate(grid.head))
    rows = []
    for i, row in enumerate(grid.rows):
        texts = [f"<b>{escape(text)}</b>" if (i, j) in grid.best else escape(text) for j, text in enumerate(row)]
        rows.append(f"<tr>{''.join(f'<td{_kind(j)}>{text}</td>' for j, text in enumerate(texts))}</tr>")
    return (
        f'<div class="wide" tabindex="0" role="group" aria-label="{escape(caption, quote=True)}"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _kind(column: int) -> str:
    return ' class="number"' if column else ""


PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>voin: evaluation</title>
<link rel="icon" href="data:,">
<style>
{{style}}</style>
</head>
<body>
<main>
<header>
<h1>Video object inpainting, evaluated</h1>
<p>Occluders were put in front of real video objects, so the hidden part is known. Each method was given the frames and
the mask of what is still visible.</p>
<nav>{{menu}}</nav>
</header>
{{sections}}
<footer><p>Made by <code>voin evaluate</code> {{version}}. The same numbers: <a href="results.json">results.json</a>,
<a href="results.md">results.md</a>.</p></footer>
</main>
<script>
{{script}}</script>
</body>
</html>
"""


STYLE = """:root { color-scheme: light dark; --ink: #1c2024; --soft: #5b646e; --paper: #fbfbfa; --line: #d9dcdf;
  --band: #f0f1f2; --accent: #c2187e; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #eceef0; --soft: #a3abb3; --paper: #15181b; --line: #363b41; --band: #1e2226; --accent: #ff78c8; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
main { max-width: 82rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.4rem; margin: 0 0 .25rem; }
h3 { font-size: 1.1rem; margin: 1.75rem 0 .25rem; }
h4 { font-size: 1rem; margin: 1.25rem 0 .5rem; color: var(--accent); }
p { margin: .5rem 0; max-width: 46rem; overflow-wrap: anywhere; }
header p, footer p, .notes { color: var(--soft); }
section { border-top: 1px solid var(--line); margin-top: 2rem; padding-top: 1.5rem; }
a { color: var(--accent); }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin-top: .75rem; }
dl { display: flex; flex-wrap: wrap; gap: .5rem 2rem; margin: 1rem 0; }
dt { color: var(--soft); font-size: .85rem; } dd { margin: 0; font-variant-numeric: tabular-nums; }
.meanings { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; font-size: .9rem; }
.meanings dd { max-width: 46rem; }
.wide { overflow-x: auto; margin: .75rem 0; }
.pair { display: flex; flex-wrap: wrap; gap: 0 2.5rem; }
.pair .wide { flex: 0 1 auto; min-width: 0; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); padding: .25rem 0; white-space: nowrap; }
th, td { padding: .3rem .75rem; text-align: left; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; vertical-align: bottom; }
thead th { border-bottom: 2px solid var(--line); }
.number { text-align: right; }
thead th.number { white-space: normal; min-width: 5.5rem; }
tbody tr:hover { background: var(--band); }
td b { color: var(--accent); }
.failed td { text-decoration: line-through; color: var(--soft); }
th button { all: unset; cursor: pointer; font: inherit; }
th button:focus-visible, select:focus-visible, summary:focus-visible { outline: 3px solid var(--accent); }
th[aria-sort=ascending] button::after { content: ' \\25b4'; }
th[aria-sort=descending] button::after { content: ' \\25be'; }
.filters { display: none; gap: 1.5rem; margin: .75rem 0; }
.ready .filters { display: flex; }
select { font: inherit; padding: .2rem .4rem; }
summary { cursor: pointer; padding: .3rem 0; color: var(--soft); }
.films { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 24rem), 1fr)); gap: 1rem; }
figure { margin: 0; min-width: 0; }
figure video, figure img { display: block; width: 100%; height: auto; border-radius: 6px; background: #000; }
figcaption { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 1rem; font-size: .9rem;
  padding-top: .3rem; }
figcaption span { color: var(--soft); font-variant-numeric: tabular-nums; }
figure summary { font-size: .85rem; }
.plot { display: block; width: 100%; max-width: 76rem; height: auto; border-radius: 8px; background: #fff; }
"""


SCRIPT = """'use strict';
document.body.classList.add('ready');
for (const table of document.querySelectorAll('table.sortable')) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const text = (row, column) => row.cells[column].textContent;
  heads.forEach((head, column) => head.firstElementChild.addEventListener('click', () => {
    // Numbers start with the largest, names with A; what has no number comes last.
    const numeric = head.classList.contains('number') || column === 3;
    const before = head.getAttribute('aria-sort');
    const down = before ? before === 'ascending' : numeric;
    heads.forEach(each => each.removeAttribute('aria-sort'));
    head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
    const order = (a, b) => {
      if (!numeric) return (down ? -1 : 1) * text(a, column).localeCompare(text(b, column));
      const [x, y] = [parseFloat(text(a, column)), parseFloat(text(b, column))];
      if (isNaN(x) || isNaN(y)) return isNaN(x) - isNaN(y);
      return down ? y - x : x - y;
    };
    body.append(...[...body.rows].sort(order));
  }));
  const filters = [...document.querySelectorAll('.filters select')];
  for (const filter of filters) {
    const column = +filter.dataset.column;
    for (const value of new Set([...body.rows].map(row => text(row, column)))) filter.add(new Option(value));
    filter.addEventListener('change', () => {
      for (const row of body.rows) {
        row.hidden = filters.some(each => each.value && text(row, +each.dataset.column) !== each.value);
      }
    });
  }
}
"""
