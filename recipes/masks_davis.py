"""Measure `voin mask` on DAVIS clips: prompt is the box of the first frame's annotation.

    python recipes/masks_davis.py DAVIS_ROOT [--split train] [--clips dog,camel] [--frames 28]

Prints, for each clip, the IoU of the first frame's mask; the mean IoU over the frames after it of that mask kept as it
is (static), of that mask carried along by optical flow alone, frame by frame (flow), and of the embedded tracker; and
the tracker's seconds a frame.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from voin.io.images import list_pictures, read_picture
from voin.tracking.flow_link import Link
from voin.tracking.flow_tracker import FlowTracker
from voin.tracking.prompts import Prompt
from voin.tracking.shot import mark


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("davis", type=Path, help="folder with JPEGImages, Annotations and ImageSets")
    parser.add_argument("--split", default="val", help="val or train")
    parser.add_argument("--clips", default="", help="only these, with commas between")
    parser.add_argument("--frames", type=int, default=None, help="only so many frames of each clip")
    options = parser.parse_args()
    names = (options.davis / "ImageSets" / "2016" / f"{options.split}.txt").read_text().split()
    names = sorted(name for name in set(names) if (options.davis / "JPEGImages" / "480p" / name).is_dir())
    chosen = options.clips.split(",") if options.clips else names
    print("| clip | first frame | static | flow | tracker | s a frame |")
    print("|---|---:|---:|---:|---:|---:|", flush=True)
    rows = []
    for name in (name for name in names if name in chosen):
        rows.append(measure(options.davis, name, options.frames))
        print(_row(name, rows[-1]), flush=True)
    print(_row("**mean**", np.mean(rows, axis=0)))


def _row(name: str, figures: np.ndarray) -> str:
    shares = " | ".join(f"{iou:.3f}" for iou in figures[:4])
    return f"| {name} | {shares} | {figures[4]:.2f} |"


def measure(davis: Path, name: str, count: int | None) -> np.ndarray:
    """Return the first frame's IoU, the mean IoU of the three methods, and seconds a frame of the last."""
    frames = [read_picture(path) for path in list_pictures(davis / "JPEGImages" / "480p" / name)[:count]]
    paths = list_pictures(davis / "Annotations" / "480p" / name)[:count]
    truth = [read_picture(path).max(axis=2) > 127 for path in paths]
    x, y, w, h = cv2.boundingRect(truth[0].astype(np.uint8))
    tracker = FlowTracker()
    began = time.perf_counter()
    first = mark(tracker, frames.__getitem__, Prompt(0, box=(x, y, w, h)), 0, len(frames))
    tracked = list(tracker.follow(iter(frames), first))
    seconds = (time.perf_counter() - began) / len(frames)
    methods = ([first] * len(frames), list(_warped(frames, first)), tracked)
    return np.array([_iou(first, truth[0]), *(_mean_iou(masks, truth) for masks in methods), seconds])


def _warped(frames: list[np.ndarray], mask: np.ndarray) -> Iterator[np.ndarray]:
    """Carry a mask along by DIS, link by link; it stays soft on the way."""
    soft = mask.astype(np.float32)
    yield mask
    for before, now in pairwise(frames):
        flow = Link.between(before, now).backward
        rows, columns = np.mgrid[0 : mask.shape[0], 0 : mask.shape[1]].astype(np.float32)
        soft = cv2.remap(soft, columns + flow[..., 0], rows + flow[..., 1], cv2.INTER_LINEAR)
        yield soft > 0.5


def _mean_iou(masks: list[np.ndarray], truth: list[np.ndarray]) -> float:
    return float(np.mean([_iou(mask, true) for mask, true in zip(masks[1:], truth[1:], strict=True)]))


def _iou(mask: np.ndarray, truth: np.ndarray) -> float:
    either = np.count_nonzero(mask | truth)
    return np.count_nonzero(mask & truth) / either if either else 1.0


if __name__ == "__main__":
    main()
