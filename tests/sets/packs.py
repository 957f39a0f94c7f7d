"""Small packs in memory: discs that wander over dark noise, each video with a colour of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from voin.data.packs.pack import Pack, PackClip, PackIndex, lay_out, write_pack


def pack_of(
    videos: Sequence[str], categories: Sequence[str | None] = (), count: int = 14, size: int = 32, empty: int = 0
) -> Pack:
    """Make a pack of one clip a video; in the first `empty` frames there is no object.

    Objects are brighter than 0.7 in red, and backgrounds darker than 0.3; green is the video's own, and blue is the
    number of the frame.
    """
    generator = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size] / size
    clips, parts, start = [], [], 0
    for number, video in enumerate(videos):
        centre = 0.5 + 0.1 * np.sin(
            0.5 * np.arange(count)[:, None, None] + np.array([number, number + 2])[:, None, None, None]
        )
        masks = ((x - centre[0]) ** 2 + (y - centre[1]) ** 2 < 0.22**2).astype(np.uint8)
        masks[:empty] = 0
        red = np.where(masks > 0, 190 + 60 * generator.random((count, size, size)), 70 * generator.random((size, size)))
        green = np.full_like(red, 255 * number / len(videos))
        blue = np.broadcast_to(4.0 * np.arange(count)[:, None, None], red.shape)
        frames = np.stack([red, green, blue], axis=-1).astype(np.uint8)
        category = categories[number] if categories else None
        clips.append(PackClip(f"{video}-{number}", video, category, count, start))
        parts += [frames.reshape(-1), masks.reshape(-1)]
        start += frames.size + masks.size
    return _pack("memory.pack", size, 1.5, clips, parts)


def cutouts_of(count: int, size: int = 40) -> Pack:
    """Make a pack of photos: smooth ellipses brighter than 0.6 in red before black."""
    y, x = np.mgrid[:size, :size] * 2 / size - 1
    clips, parts = [], []
    for number in range(count):
        mask = ((x / 0.5) ** 2 + (y / 0.8) ** 2 < 1).astype(np.uint8)
        shade = 0.5 + 0.5 * np.sin(3 * x + number) * np.cos(4 * y)
        frame = (
            np.stack([155 + 100 * shade, 255 * shade, 255 * (1 - shade)], axis=-1).astype(np.uint8) * mask[..., None]
        )
        clips.append(PackClip(f"c{number}", f"c{number}", "cat", 1, 4 * number * size * size))
        parts += [frame.reshape(-1), mask.reshape(-1)]
    return _pack("cutouts.pack", size, 1.125, clips, parts)


def sprites_of(count: int, frames: int = 9, size: int = 40) -> Pack:
    """Make a pack of sprites: soft discs, wholly green and blue, on a ground that nobody may see: white."""
    y, x = np.mgrid[:size, :size] * 2 / size - 1
    clips, parts = [], []
    for number in range(count):
        radii = 0.6 + 0.1 * np.sin(np.arange(frames) + number)[:, None, None]
        covers = (255 * np.clip(0.5 + (radii - np.hypot(x, y)) * size / 6, 0, 1)).astype(np.uint8)
        colours = np.where((covers > 0)[..., None], np.array([0, 255, 255], np.uint8), np.uint8(255))
        clips.append(PackClip(f"s{number}", f"s{number}", None, frames, 4 * number * frames * size * size))
        parts += [colours.reshape(-1), covers.reshape(-1)]
    return _pack("sprites.pack", size, 1.2, clips, parts, soft=True)


def _pack(
    path: str, size: int, enlarge: float, clips: list[PackClip], parts: list[np.ndarray], soft: bool = False
) -> Pack:
    given = {"size": size, "split": "train", "enlarge": enlarge, "source": "", "clips": tuple(clips), "soft": soft}
    return Pack(path=Path(path), data=np.concatenate(parts), **given)


def save_pack(pack: Pack, path: Path) -> Path:
    """Write a pack to a file."""
    area = pack.size**2
    windows = []
    for clip in pack.clips:
        part = pack.data[clip.start : clip.start + clip.count * area * 4]
        frames = part[: clip.count * area * 3].reshape(-1, pack.size, pack.size, 3)
        windows.append((frames, part[clip.count * area * 3 :].reshape(-1, pack.size, pack.size)))
    places = lay_out([(clip.name, clip.video, clip.category, clip.count) for clip in pack.clips], pack.size)
    given = {"size": pack.size, "split": pack.split, "enlarge": pack.enlarge, "source": pack.source, "soft": pack.soft}
    write_pack(path, PackIndex(**given, clips=places), windows)
    return path
