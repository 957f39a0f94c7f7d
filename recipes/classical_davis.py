"""Measure the method `classical` on DAVIS clips whose object is crossed by another clip's object.

    python recipes/classical_davis.py DAVIS_ROOT [--flow raft-small --raft-weights FILE] [--split train]

Prints, for each clip, PSNR inside the hidden region with the true amodal mask given (per-frame Telea over the occluder,
and `classical`), and the amodal mask's IoU without it (the visible mask itself, its convex hull, and `classical`).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from pasted_clips import PastedClip, paste_clip

import voin
from voin.method.pipeline import Inpainter
from voin.method.window import CompletedBox, cut_clip, paste


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("davis", type=Path, help="folder with JPEGImages, Annotations and ImageSets")
    parser.add_argument("--flow", default="dis", help="dis, raft-small or raft-large")
    parser.add_argument("--raft-weights", type=Path, help="state-dict file for RAFT")
    parser.add_argument("--split", default="val", help="val or train")
    options = parser.parse_args()
    names = (options.davis / "ImageSets" / "2016" / f"{options.split}.txt").read_text().split()
    names = sorted(name for name in set(names) if (options.davis / "JPEGImages" / "480p" / name).is_dir())
    inpainter = voin.load("classical", flow=options.flow, raft_weights=options.raft_weights)
    shaper = voin.load("classical")  # shapes are completed by the coarse_motion's flow, which is always DIS
    print("| clip | hidden | Telea | classical | found | IoU visible | IoU hull | IoU classical |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    rows = []
    for name in names:
        rows.append(measure(inpainter, shaper, paste_clip(options.davis, name)))
        print(_row(name, rows[-1]), flush=True)
    print(_row("**mean**", np.mean(rows, axis=0)))


def _row(name: str, figures: np.ndarray) -> str:
    hidden, telea, classical, found, *ious = figures
    shares = " | ".join(f"{iou:.3f}" for iou in ious)
    return f"| {name} | {hidden:.2f} | {telea:.2f} | {classical:.2f} | {found:.2f} | {shares} |"


def measure(inpainter: Inpainter, shaper: Inpainter, clip: PastedClip) -> np.ndarray:
    """Return share hidden, PSNR of Telea and of `classical` (dB), share found, and three IoUs."""
    telea = [
        cv2.inpaint(np.ascontiguousarray(frame), occluder.astype(np.uint8), 3, cv2.INPAINT_TELEA)
        for frame, occluder in zip(clip.frames, clip.occluder, strict=True)
    ]
    given = _complete(inpainter, clip, list(clip.amodal))
    frames = [paste(frame, [patch]) for frame, patch in zip(clip.frames, given, strict=True)]
    missing = sum(int(patch.missing.sum()) for patch in given)
    found = 1 - missing / max(int(clip.occluded.sum()), 1)
    completed = np.zeros_like(clip.amodal)
    for mask, patch in zip(completed, _complete(shaper, clip, None), strict=True):
        mask[patch.rows, patch.columns] = patch.amodal
    hulls = np.stack([_hull(mask) for mask in clip.visible])
    return np.array(
        [
            clip.occluded.sum() / clip.amodal.sum(),
            _psnr(clip, telea),
            _psnr(clip, frames),
            found,
            *(_iou(masks, clip.amodal) for masks in (clip.visible, hulls, completed)),
        ]
    )


def _complete(inpainter: Inpainter, clip: PastedClip, amodal: list[np.ndarray] | None) -> list[CompletedBox]:
    cut = cut_clip(list(clip.frames), list(clip.visible), amodal, config=inpainter.config.window)
    return inpainter.complete_object(cut, range(len(cut)))


def _psnr(clip: PastedClip, frames: list[np.ndarray]) -> float:
    """Mean over the frames that have hidden pixels, inside the hidden region, 8 bits."""
    values = []
    for truth, frame, hidden in zip(clip.truth, frames, clip.occluded, strict=True):
        if hidden.any():
            error = ((truth[hidden].astype(float) - frame[hidden]) ** 2).mean()
            values.append(10 * np.log10(255**2 / max(error, 1e-2)))
    return float(np.mean(values))


def _iou(masks: np.ndarray, truth: np.ndarray) -> float:
    """Mean over the frames that have the object."""
    both, either = (masks & truth).sum(axis=(1, 2)), (masks | truth).sum(axis=(1, 2))
    present = truth.any(axis=(1, 2))
    return float((both[present] / either[present]).mean())


def _hull(mask: np.ndarray) -> np.ndarray:
    points = np.argwhere(mask)[:, ::-1].astype(np.int32)
    result = np.zeros(mask.shape, np.uint8)
    if len(points) > 2:
        cv2.fillConvexPoly(result, cv2.convexHull(points), 1)
    return result > 0


if __name__ == "__main__":
    main()
