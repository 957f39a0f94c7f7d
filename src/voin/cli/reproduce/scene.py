"""Figure 11: a real clip freed of what is in front, by several methods that are given the same whole mask."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from voin.benchmark.paper.options import ReproduceOptions
from voin.cli.console import Bars
from voin.cli.reproduce.networks import Networks
from voin.core.errors import ValueRefusal

SHAPE = "shipped"  # the row whose whole masks all rows are given


def draw_scene(options: ReproduceOptions, out: Path, networks: Networks, quiet: bool = False) -> Path:
    """Complete the object of a clip by each row, take away what is in front, and draw all of them side by side.

    Every run is kept in `OUT/figure11/ROW`; what is finished is not done again. What no frame shows of the background
    is filled by the row `sttn`, if there is one (paper, Figure 11), for all rows alike.

    Raises:
        ValueError: the clip, its masks or those of the occluder are not given.
    """
    from voin.benchmark.paper.figures import FIGURES
    from voin.benchmark.paper.models import load_row
    from voin.benchmark.paper.tables import TABLES
    from voin.jobs.complete import complete
    from voin.jobs.options import CompleteOptions

    video, masks, occluder = check_scene(options)
    figure = FIGURES["figure11"]
    table = TABLES[figure.table]
    wanted = options.rows or figure.rows
    made = {row.name: networks.make(row, 0) for row in table.rows if row.name in {*wanted, SHAPE, "sttn"}}
    sttn = made.get("sttn")
    asked = CompleteOptions(
        occluder=occluder,
        background=True,
        background_model=None if sttn is None else str(sttn.folder),
        png=True,
        category=options.scene.category,
    )
    folder = out / "figure11"
    runs: dict[str, Path | None] = {}
    # The one that completes the shape comes first: the others are given its masks.
    for row in sorted(table.rows, key=lambda row: row.name != SHAPE):
        if row.name != SHAPE and row.name not in wanted:
            continue
        part = made[row.name]
        runs[row.name] = None if part is None else folder / row.name
        if part is None:
            continue
        shaped = row.name == SHAPE
        method = load_row(replace(row, method="whole") if shaped else row, part, options.preset, options.device)
        given = asked if shaped else replace(asked, amodal=folder / SHAPE / "amodal")
        with Bars(quiet) as bars:
            complete(video, masks, folder / row.name, given, inpainter=method, progress=bars)
    shown = [(row.label, runs[row.name]) for row in table.rows if row.name in wanted]
    return _draw(video, occluder, folder, shown)


def check_scene(options: ReproduceOptions) -> tuple[Path, Path, Path]:
    """Return the clip, its masks and its occluder's; refuse where one is missing."""
    scene = options.scene
    missing = [f"--{name}" for name in ("video", "masks", "occluder") if getattr(scene, name) is None]
    if scene.video is None or scene.masks is None or scene.occluder is None:
        raise ValueRefusal(
            f"figure11 is asked for without {' and '.join(missing)}",
            "it shows a clip of your own: the video, what is visible of the object, and what is in front",
            "give all three; voin mask makes the masks, with --what occluder those of what is in front",
        )
    return scene.video, scene.masks, scene.occluder


def _draw(video: Path, occluder: Path, folder: Path, shown: list[tuple[str, Path | None]]) -> Path:
    """Draw the frames in which most is hidden: what went in, with the masks, and what each row made of it."""
    import numpy as np

    from voin.benchmark.examples import telling
    from voin.core.draw import AMODAL, VISIBLE, around, contact_sheet, outline
    from voin.io.images import list_pictures, opened, read_picture, write_image
    from voin.io.video import probe, read

    def values(name: str) -> Any:
        """Read pictures as they are stored: ids of a palette, colours with alpha."""
        stored = []
        for path in list_pictures(folder / SHAPE / name):
            with opened(path) as picture:
                stored.append(np.asarray(picture))
        return np.stack(stored)

    amodal, before = values("amodal") > 0, values("occluder")[..., 3] > 0
    at = telling(amodal & before)
    frames = {i: frame for i, frame in enumerate(read(probe(video))) if i in at}
    inputs = [outline(outline(frames[i], before[i], VISIBLE, 1), amodal[i], AMODAL, 2) for i in at]
    rows: list[tuple[str, list[Any]]] = [("input, whole mask", inputs)]
    for label, run in shown:
        if run is None:
            rows.append((f"{label}: not trained", [np.full_like(frames[i], 225) for i in at]))
        else:
            paths = list_pictures(run / "completed")
            rows.append((label, [read_picture(paths[i]) for i in at]))
    path = folder / f"{video.stem}.png"
    crop = around([*(amodal | before)[at]], 0.15)
    write_image(path, contact_sheet(rows, [f"frame {i}" for i in at], 1600, crop))
    return path
