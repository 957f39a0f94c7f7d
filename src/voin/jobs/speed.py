"""How fast the main job is here: `voin bench` runs it on a synthetic clip and measures it.

The clip: a textured ellipse moves to and fro behind a bar, before a textured ground that drifts. It is made outside the
measured time, and the job runs in a process of its own, so that the peak of memory is the job's alone.
"""

from __future__ import annotations

import math
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from voin.core import __version__
from voin.core.errors import FileRefusal
from voin.core.processes.apart import Ahead, DiedError, JobApart, value_of
from voin.core.progress import Progress, Silent
from voin.io.colour.codecs import CODINGS
from voin.io.colour.hardware import check_decoder
from voin.io.images import shown, write_image
from voin.io.quality import Quality
from voin.io.video import Colour, SamplesWriter, VideoInfo, VideoWriter, probe, read
from voin.io.video_read import read_video
from voin.jobs.options import BenchConfig, CompleteOptions

BAR_WIDTH = 0.35  # of the object's width
STEP = 1 / 240  # of the frame's width, between two frames
DRIFT = 2  # pixels of the ground between two frames
NOISE = 2.0  # levels, new in every frame, as from a camera
TINT = 0.4  # of the colours in the textures' grey


def bench(config: BenchConfig, progress: Progress | None = None) -> dict[str, Any]:
    """Make the clip, run the main job on it in a fresh process, and measure.

    Returns:
        What of the config was asked for, what voin runs on here, and: `seconds` of the job, without the start of
        Python; `frames_per_second` end to end; `stages`: name -> seconds; `startup_seconds`: imports and models;
        `first_frame_seconds`: from there to the first frame that is written, imports and models included;
        `limit_seconds`: of decoding and encoding the clip and nothing else; `peak_memory`: bytes, None where the system
        does not tell; `beside`: the same seven beside `processes` busy ones,
        and `ratio`: frames a second there over those alone, or None if not asked for;
        `functions`: those that took longest, where a profile was asked for.
    """
    progress = progress or Silent()
    if config.profile and not config.profile.absolute().parent.is_dir():
        raise FileRefusal(f"{config.profile} cannot be written", "its folder must be there", "make the folder first")
    check_decoder(config.hwaccel)
    with tempfile.TemporaryDirectory(prefix="voin-bench-") as folder:
        make_clip(Path(folder), config, progress)
        alone, beside = _run_apart(Path(folder), config, progress), None
        if config.beside:
            with busy_processes(config.beside):
                beside = _run_apart(Path(folder), replace(config, profile=None), progress)
            ratio = beside["frames_per_second"] / alone["frames_per_second"]
            beside = {"processes": config.beside, "ratio": ratio, **beside}
    names = ("method", "model", "size", "frames", "flow", "share", "device", "hwaccel", "codec")
    asked = {name: getattr(config, name) for name in names}
    return {
        **asked,
        "size": shown(config.size),
        **alone,
        "beside": beside,
        "voin": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
    }


def make_clip(folder: Path, config: BenchConfig, progress: Progress = Silent()) -> None:  # noqa: B008 - no state
    """Write `video.mp4` and `masks/00000.png`... into `folder`, a frame at a time."""
    (folder / "masks").mkdir()
    times = tuple(range(config.frames))
    info = VideoInfo(
        path=folder / "video.mp4",
        kind="video",
        size=config.size,
        count=config.frames,
        rate=Fraction(25),
        time_base=Fraction(1, 25),
        times=times,
        rotation=0,
        colour=Colour(),
        audio=False,
        names=(),
        duration=config.frames,
    )
    progress.stage("clip", config.frames)
    with VideoWriter(info.path, info, times) as writer:
        for index, (frame, visible) in enumerate(synthetic_frames(config)):
            writer.write(frame)
            write_image(folder / "masks" / f"{index:05d}.png", visible.astype(np.uint8) * 255)
            progress.advance("clip")


def synthetic_frames(config: BenchConfig) -> Iterator[tuple[UInt8[np.ndarray, "h w 3"], Bool[np.ndarray, "h w"]]]:
    """Yield each frame and the visible mask of its object; the same for the same config.

    The motion repeats, so that every stretch of the clip costs the same however long it is.
    """
    h, w = config.size
    area = 4 / np.pi * config.share * h * w  # of the ellipse's box; a circle where that fits in
    object_w = min(round(area**0.5), round(0.42 * w))
    object_h = min(round(area / object_w), round(0.9 * h))
    object_w = round(area / object_h)
    radii = (object_w // 2, object_h // 2)
    shape = cv2.ellipse(np.zeros((object_h, object_w), np.uint8), radii, radii, 0, 0, 360, 1, -1).astype(bool)
    texture = _texture(object_h, object_w, (90, 255), seed=1)
    reach = max(1, w // 8)  # columns of ground beyond the frame
    ground = _texture(h, w + reach, (20, 170), seed=2)
    bar_w = max(8, round(object_w * BAR_WIDTH))
    bar = slice((w - bar_w) // 2, (w - bar_w) // 2 + bar_w)
    bar_texture = _texture(h, bar_w, (150, 190), seed=3)
    travel = min(w - object_w, object_w + bar_w)  # from wholly seen to wholly seen
    top, first = (h - object_h) // 2, (w - object_w - travel) // 2
    step = max(1.0, w * STEP)
    random = np.random.default_rng(4)
    grain = (NOISE * random.standard_normal((h + 32, w + 32, 3), np.float32)).round().astype(np.int16)
    for index in range(config.frames):
        drift = round(_to_and_fro(index * DRIFT, reach))
        left = first + round(_to_and_fro(index * step, travel))
        frame = ground[:, drift : drift + w].copy()
        visible = np.zeros((h, w), bool)
        box = (slice(top, top + object_h), slice(left, left + object_w))
        frame[box][shape] = texture[shape]
        visible[box] = shape
        frame[:, bar] = bar_texture
        y, x = random.integers(0, 33, 2)
        frame = cv2.add(frame, grain[y : y + h, x : x + w], dtype=cv2.CV_8U)
        visible[:, bar] = False
        yield frame, visible


def _texture(h: int, w: int, levels: tuple[int, int], seed: int) -> np.ndarray:
    """Make noise with the spectrum of photographs (every octave as strong), mostly grey."""
    random = np.random.default_rng(seed)
    picture = np.zeros((h, w, 3), np.float32)
    for octave in range(1, 8):
        coarse = (h // 2**octave + 4, w // 2**octave + 4)
        noise = random.standard_normal((*coarse, 1), np.float32)
        noise = noise + TINT * random.standard_normal((*coarse, 3), np.float32)
        scaled = (coarse[1] * 2**octave, coarse[0] * 2**octave)
        picture += cv2.resize(noise, scaled, interpolation=cv2.INTER_CUBIC)[:h, :w]
    low, high = np.percentile(picture[::4, ::4], [1, 99])
    unit = ((picture - low) / max(high - low, 1e-6)).clip(0, 1)
    return (levels[0] + unit * (levels[1] - levels[0])).astype(np.uint8)


def _to_and_fro(distance: float | int, span: int) -> float | int:
    """Fold a distance into 0..span, back and forth."""
    at = distance % (2 * max(span, 1))
    return min(at, 2 * max(span, 1) - at)


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """Keep so many processes busy, of one core each, inside the `with`; they end with it, and with this process."""
    with ExitStack() as started:
        processes = [started.enter_context(closing(Ahead(_compute, name="voin-busy"))) for _ in range(count)]
        for process in processes:
            process.take()
        yield


def _compute() -> Iterator[None]:
    """Yield once, as the work begins, and compute ever after."""
    yield
    while True:
        pass


def _run_apart(folder: Path, config: BenchConfig, progress: Progress) -> dict[str, Any]:
    with closing(JobApart(partial(_measure, folder, config), "voin-bench")) as process:
        try:
            return value_of(*process.follow(progress))
        except DiedError as death:
            raise RuntimeError(
                f"the measured process died ({death}); if it was killed for its memory, give a smaller --size"
            ) from None


def _measure(folder: Path, config: BenchConfig, progress: Progress) -> dict[str, Any]:
    """Run the job; this is the measured process."""
    began = time.perf_counter()
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # torch's profiler is to write to its file alone
    from voin.jobs.complete import complete
    from voin.jobs.profile import profiled

    inpainter = config.load()
    options = CompleteOptions(hwaccel=config.hwaccel, quality=Quality(codec=config.codec))
    first = _FirstFrame(progress)
    watch = profiled(config.profile) if config.profile else nullcontext()
    ready = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=folder) as out, watch as functions:
        record = complete(folder / "video.mp4", folder / "masks", out, options, inpainter=inpainter, progress=first)
        seconds = time.perf_counter() - ready
    return {
        "seconds": seconds,
        "frames_per_second": config.frames / seconds,
        "stages": {stage: seconds for stage, seconds in record["seconds"].items() if stage != "total"},
        "startup_seconds": ready - began,
        "first_frame_seconds": first.at - began,
        "limit_seconds": _copy_clip(folder, config),
        "peak_memory": record["peak_memory_bytes"],
        "functions": functions,
    }


class _FirstFrame:
    """Passes progress on, and notes when the first frame is written: `at`, by `time.perf_counter`."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self.at = progress, math.nan

    def stage(self, name: str, total: int) -> None:
        self._progress.stage(name, total)

    def advance(self, name: str, count: int = 1) -> None:
        if name == "write" and math.isnan(self.at):
            self.at = time.perf_counter()
        self._progress.advance(name, count)


def _copy_clip(folder: Path, config: BenchConfig) -> float:
    """Decode the clip and encode it again, one frame at a time, and return the seconds: no method can be faster."""
    began, info = time.perf_counter(), probe(folder / "video.mp4", hwaccel=config.hwaccel)
    if config.codec != "auto":
        copy = folder / f"copy{CODINGS[config.codec].suffix}"
        with SamplesWriter(copy, info, info.times, Quality(codec=config.codec)) as writer:
            for _, frame, _ in read_video(info, 0, info.count):
                assert frame is not None
                writer.write_samples(frame)
        return time.perf_counter() - began
    with VideoWriter(folder / "copy.mp4", info, info.times) as writer:
        for frame in read(info):
            writer.write(frame)
    return time.perf_counter() - began
