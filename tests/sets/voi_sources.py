"""Small synthetic sources in each layout: textured discs that slide over a textured background."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from voin.data.build_clip import BuildConfig
from voin.io.images import write_image
from voin.io.masks.source import write_label

SIZE = (64, 96)
COUNT = 10


def sheet(size: tuple[int, int], seed: int) -> np.ndarray:
    """Smooth random colours, uint8 (h, w, 3)."""
    noise = np.random.default_rng(seed).integers(0, 256, (*size, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    return ((smooth - smooth.min()) / (smooth.max() - smooth.min()) * 255).astype(np.uint8)


def shot(seed: int, count: int = COUNT, size: tuple[int, int] = SIZE, objects: int = 1) -> tuple[list, list]:
    """Give frames and labels (ids 1 ...) of a video."""
    h, w = size
    behind = sheet(size, seed)
    skins = [sheet(size, 1000 + 10 * seed + number) for number in range(objects)]
    y, x = np.mgrid[0:h, 0:w]
    frames, labels = [], []
    for index in range(count):
        frame, label = behind.copy(), np.zeros(size, np.uint8)
        for number, skin in enumerate(skins):
            at_x = w * (0.3 + 0.35 * number) + index * 0.8 - (seed % 3)
            at_y = h * 0.5 + np.sin(index / 3 + seed) * 3
            mask = (x - at_x) ** 2 / 1.3 + (y - at_y) ** 2 < (0.18 * h) ** 2
            frame[mask], label[mask] = skin[mask] // 2 + 100, number + 1
        frames.append(frame)
        labels.append(label)
    return frames, labels


def save(
    frames: Path, masks: Path, pictures: Sequence[np.ndarray], labels: Sequence[np.ndarray], every: int = 1
) -> None:
    """Write a video's frames as JPEG and its masks, every so many frames, as indexed PNG."""
    frames.mkdir(parents=True)
    masks.mkdir(parents=True)
    for index, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        write_image(frames / f"{index:05d}.jpg", picture)
        if index % every == 0:
            write_label(masks / f"{index:05d}.png", label)


def youtube_vos(
    root: Path, videos: int = 3, part: str = "train", objects: int = 1, every: int = 1, count: int = COUNT
) -> Path:
    """Write YouTube-VOS: `PART/JPEGImages`, `PART/Annotations`, `PART/meta.json`; its objects are foxes."""
    listed = {}
    for number in range(videos):
        name = f"{part[0]}{number:03d}"
        pictures, labels = shot(number + (100 if part == "valid" else 0), count, objects=objects)
        save(root / part / "JPEGImages" / name, root / part / "Annotations" / name, pictures, labels, every)
        stems = [f"{i:05d}" for i in range(0, count, every)]
        listed[name] = {"objects": {str(i + 1): {"category": "fox", "frames": stems} for i in range(objects)}}
    (root / part / "meta.json").write_text(json.dumps({"videos": listed}))
    return root


def davis(
    root: Path,
    train: Sequence[str] = ("bear", "bus", "hike", "boat"),
    val: Sequence[str] = ("camel", "dog"),
    year: str = "2016",
    objects: int = 1,
    resolution: str = "480p",
) -> Path:
    """Write DAVIS: `JPEGImages/480p`, `Annotations/480p`, `ImageSets/YEAR`."""
    for seed, name in enumerate((*train, *val)):
        pictures, labels = shot(seed, objects=objects)
        save(root / "JPEGImages" / resolution / name, root / "Annotations" / resolution / name, pictures, labels)
    lists = root / "ImageSets" / year
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("\n".join(train) + "\n")
    (lists / "val.txt").write_text("\n".join(val) + "\n")
    return root


def folder(root: Path, videos: int = 3) -> Path:
    """Write `VIDEO/frames` and `VIDEO/masks`."""
    for number in range(videos):
        save(root / f"video{number}" / "frames", root / f"video{number}" / "masks", *shot(number))
    return root


def small(layout, **given) -> BuildConfig:
    """Settings of a build in the size of these sources."""
    return BuildConfig(**{"layout": layout, "seed": 3, "size": SIZE, **given})


def tree(root: Path) -> dict[str, str]:
    """Sum up every file under a folder."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
