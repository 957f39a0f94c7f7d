"""How a video is encoded, and sizes as users write them; nothing heavy is imported, as help is made of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from voin.core.config import Checked, setting
from voin.core.errors import ValueRefusal

VideoCodec = Literal["auto", "h264", "hevc", "prores", "ffv1", "vp9", "h264_nvenc", "hevc_nvenc"]
Acceleration = Literal["none", "cuda"]
Speed = Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"]


@dataclass(frozen=True)
class Quality(Checked):
    """How to encode; crf 18 is visually near the source, and `veryfast` keeps up with 1080p on two cores."""

    crf: int = setting(
        18,
        "Quality of the video: 0 is best, 51 worst.",
        least=0,
        most=51,
        must="it must lie in 0 (best) to 51 (worst)",
        panel="Output",
        label="Compression: 0 is best and largest",
        page={"maximum": 40},
    )
    preset: Speed = setting(
        "veryfast",
        "Speed of x264, ultrafast to veryslow: slower makes smaller files.",
        flag="--x264-preset",
        metavar="NAME",
        panel="Output",
    )
    lossless: bool = setting(False, "Keep every pixel value in the video (large; not for browsers).", panel="Output")
    codec: VideoCodec = setting(
        "auto",
        "Codec of the completed video: auto keeps the source's bits and alpha (h264 for 8 bits, hevc for more, vp9, "
        "prores and ffv1 for their own); prores (.mov) and ffv1 (.mkv, lossless) are for compositors; h264_nvenc and "
        "hevc_nvenc encode on a graphics card of NVIDIA.",
        metavar="NAME",
        panel="Output",
    )


def parse_size(text: str) -> tuple[int, int]:
    """Turn "1920x1080" into (h, w)."""
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text.strip().lower())
    if match is None:
        raise ValueRefusal(f"the size is {text!r}", "it must be width x height in pixels", "write 1920x1080")
    return int(match[2]), int(match[1])


def shown(size: tuple[int, int]) -> str:
    """Write a (h, w) size in the order people read: 1920x1080."""
    return f"{size[1]}x{size[0]}"
