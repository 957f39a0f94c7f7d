"""The page of an evaluation, `index.html`: tables, curves, pictures and videos; it needs no network.

Pictures and videos lie beside it, in `media`. Without scripts everything is shown; with them the rows of clips can be
sorted and filtered.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from voin.curves import CURVES
from voin.pictures import write_whole
from voin.report_page import PAGE, SCRIPT, STYLE
from voin.result_tables import (
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

INDEX = "index.html"


def write_report(out: Path, results: dict[str, Any]) -> Path:
    """Write the page, whole or not at all.

    Args:
        out: folder of the evaluation; the files that `results` names lie in it.
        results: from `voin.results.make_results`.
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
