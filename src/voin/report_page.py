"""The frame of an evaluation's page: HTML, style and script."""

from __future__ import annotations

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
