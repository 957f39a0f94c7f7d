"""Small synthetic clips for the tests of reading and writing."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import cv2
import numpy as np
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from voin.io.video import Colour, Quality, VideoInfo, VideoWriter

SIZE = (48, 64)
COUNT = 12


def pictures(count: int = COUNT, size: tuple[int, int] = SIZE, seed: int = 0) -> list[np.ndarray]:
    """Smooth moving texture: nothing in it looks the same mirrored, turned or a frame later."""
    h, w = size
    noise = np.random.default_rng(seed).integers(0, 256, (h + count, w + 2 * count, 3), dtype=np.uint8)
    smooth = cv2.GaussianBlur(noise.astype(np.float32), (0, 0), 4)
    sheet = ((smooth - smooth.min()) / (smooth.max() - smooth.min()) * 255).astype(np.uint8)
    return [np.ascontiguousarray(sheet[i : i + h, 2 * i : 2 * i + w]) for i in range(count)]


def described(
    size: tuple[int, int] = SIZE,
    count: int = COUNT,
    times: Sequence[int] | None = None,
    time_base: Fraction = Fraction(1, 25),
    rotation: int = 0,
    mirrored: bool = False,
    aspect: Fraction = Fraction(1),
    colour: Colour | None = None,
) -> VideoInfo:
    """Describe a video that need not exist, as the source of what a test writes."""
    times = tuple(range(count)) if times is None else tuple(times)
    return VideoInfo(
        path=Path("source.mp4"),
        kind="video",
        size=size,
        count=count,
        rate=Fraction(25),
        time_base=time_base,
        times=times,
        duration=times[-1] - times[0] + max(1, round(Fraction(1, 25) / time_base)),
        rotation=rotation,
        colour=colour or Colour(),
        audio=False,
        names=tuple(f"{i:05d}" for i in range(count)),
        mirrored=mirrored,
        aspect=aspect,
    )


@contextmanager
def same_scheduling() -> Iterator[None]:
    """Keep how the system schedules this process.

    SVT-AV1 makes the process that calls it a real-time one where it may, as root: what computes then, and in processes
    begun later, leaves nothing to others.
    """
    if sys.platform != "linux":
        yield
        return
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, *before)


def encode(
    path: Path,
    frames: Sequence[np.ndarray],
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    layout: str = "yuv420p",
    sound: str | None = None,
    sound_rate: int = 44100,
    seconds: float = 0.5,
    speakers: str = "stereo",
) -> Path:
    """Encode frames at 25 a second as others would: reordered frames, key frames every six, a sine for sound."""
    h, w = frames[0].shape[:2]
    with same_scheduling(), av.open(str(path), "w") as container:
        given = {"g": "6"} | (options or {})
        stream = cast(VideoStream, container.add_stream(codec, rate=25, options=given))
        stream.width, stream.height, stream.pix_fmt = w, h, layout
        track = cast(AudioStream, container.add_stream(sound, rate=sound_rate, layout=speakers)) if sound else None
        for index, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, "rgb24").reformat(format=layout)
            picture.pts, picture.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(picture))
        if track is not None:
            wave = 0.5 * np.sin(np.arange(int(seconds * sound_rate)) * 2 * np.pi * 440 / sound_rate)
            for at in range(0, len(wave), 1024):
                block = np.stack([wave[at : at + 1024]] * len(av.AudioLayout(speakers).channels)).astype(np.float32)
                heard = av.AudioFrame.from_ndarray(block, format="fltp", layout=speakers)
                heard.sample_rate, heard.pts, heard.time_base = sound_rate, at, Fraction(1, sound_rate)
                container.mux(track.encode(heard))
            container.mux(track.encode(None))
        container.mux(stream.encode(None))
    return path


def save(path: Path, frames: Sequence[np.ndarray], info: VideoInfo, quality: Quality | None = None) -> Path:
    """Write frames with `VideoWriter`."""
    with VideoWriter(path, info, info.times, quality) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def seconds_of(info: VideoInfo) -> list[Fraction]:
    """The times of a video's frames in seconds."""
    return [time * info.time_base for time in info.times]


def packets(path: Path, kind: str) -> list[tuple[Fraction, bytes]]:
    """The (time in seconds, content) of all packets of a kind, "video" or "audio"."""
    with av.open(str(path)) as container:
        found = [packet for packet in container.demux() if packet.stream.type == kind and packet.size]
        return [((packet.pts or 0) * packet.time_base, bytes(packet)) for packet in found]


def difference(first: np.ndarray, second: np.ndarray) -> float:
    """Mean absolute difference of two pictures, in levels."""
    return float(np.abs(first.astype(int) - second.astype(int)).mean())


def garbled(data: bytes, random: np.random.Generator) -> bytes:
    """Damage a file: cut it short, change bytes, overwrite a stretch, or take one out."""
    damaged = bytearray(data)
    begin = int(random.integers(0, len(data)))
    end = min(len(data), begin + int(random.integers(1, 200)))
    way = random.integers(0, 4)
    if way == 0:
        del damaged[begin:]
    elif way == 1:
        for at in random.integers(0, len(data), 10):
            damaged[at] = random.integers(0, 256)
    elif way == 2:
        damaged[begin:end] = random.bytes(end - begin)
    else:
        del damaged[begin:end]
    return bytes(damaged)
