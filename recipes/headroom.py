"""Measure what the method `voin` could still win where the whole mask is given, by stages that know the truth.

    python recipes/headroom.py VOI_SET --raft-weights raft_small.pt [--clips camel,dog]

Prints, for each validation clip, PSNR inside the hidden region (dB): of `classical`, of `voin`, of `voin` with the flow
of the clean video (RAFT-small) in the place of the flow network, and of `voin` when each hidden pixel is the better of
what was propagated and what was generated. The last two cannot be had: they say what better flow and better choice
could bring.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import voin
from voin.core.metrics import masked_psnr
from voin.data.sets import VoiClip, open_set
from voin.method.motion import Motion, load_motion
from voin.method.pipeline import Inpainter
from voin.method.window import ObjectClip, cut_clip, paste, to_working

COLUMNS = ("classical", "voin", "true flow", "better of both")


class TrueFlow:
    """A flow stage that looks at the clean video."""

    def __init__(self, truth: Tensor, motion: Motion) -> None:
        self.truth, self.motion = truth, motion

    def __call__(self, frames, forward, backward, visible, amodal, given=None) -> tuple[Tensor, Tensor]:
        """Return the true flow inside `amodal`."""
        true_forward, true_backward = self.motion(self.truth)
        inside = amodal > 0.5
        return torch.where(inside[:, :-1], true_forward, forward), torch.where(inside[:, 1:], true_backward, backward)


class BetterOfBoth:
    """A fill stage that knows which of two pixels is nearer to the truth."""

    def __init__(self, truth: Tensor, fill) -> None:
        self.truth, self.fill = truth, fill

    def __call__(self, frames, visible, amodal, confidence, category=None) -> Tensor:
        """Fill all that is hidden, and keep what was propagated where that is better."""
        made = self.fill(frames, visible, amodal, torch.zeros_like(confidence), category)
        errors = [(x - self.truth).square().sum(dim=2, keepdim=True) for x in (frames, made)]
        return torch.where((confidence > 0) & (errors[0] < errors[1]), frames, made)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("voi_set", type=Path, help="made by voin data build")
    parser.add_argument("--raft-weights", type=Path, help="state-dict file of RAFT-small")
    parser.add_argument("--clips", help="these alone, with commas")
    options = parser.parse_args()
    voi_set = open_set(options.voi_set)
    names = [record.name for record in voi_set.records("validation")]
    wanted = options.clips.split(",") if options.clips else names
    if not set(wanted) <= set(names):
        parser.error(f"--clips is {options.clips}; it must name some of {', '.join(names)}; correct it")
    motion = load_motion("raft-small", options.raft_weights, "cpu")
    print("| clip | " + " | ".join(COLUMNS) + " |")
    print("|---|" + "---:|" * len(COLUMNS), flush=True)
    rows = []
    for record in voi_set.records("validation"):
        if record.name in wanted:
            rows.append(measure(voi_set.load(record), motion))
            print(_row(record.name, rows[-1]), flush=True)
    print(_row("**mean**", np.mean(rows, axis=0)))


def _row(name: str, figures: np.ndarray) -> str:
    return f"| {name} | " + " | ".join(f"{figure:.2f}" for figure in figures) + " |"


@torch.inference_mode()
def measure(clip: VoiClip, motion: Motion) -> np.ndarray:
    """Return the figures of one clip, in the order of `COLUMNS`."""
    inpainter = voin.load("voin")
    window = inpainter.config.window
    given, clean = (_cut(frames, clip, window) for frames in (clip.frames, clip.truth))
    truth = to_working(clean.frames, window.size)[None]
    figures = [_score(voin.load("classical"), given, clip), _score(inpainter, given, clip)]
    flow, fill = inpainter.flow, inpainter.fill
    inpainter.flow = TrueFlow(truth, motion)
    figures.append(_score(inpainter, given, clip))
    inpainter.flow, inpainter.fill = flow, BetterOfBoth(truth, fill)
    figures.append(_score(inpainter, given, clip))
    return np.array(figures)


def _cut(frames: np.ndarray, clip: VoiClip, window) -> ObjectClip:
    return cut_clip(list(frames), list(clip.visible), list(clip.amodal), config=window)


def _score(inpainter: Inpainter, given: ObjectClip, clip: VoiClip) -> float:
    patches = inpainter.complete_object(given, range(len(given)))
    scores = [
        masked_psnr(truth, paste(frame, [patch]), hidden)
        for truth, frame, patch, hidden in zip(clip.truth, clip.frames, patches, clip.occluded, strict=True)
    ]
    return float(np.nanmean(scores))


if __name__ == "__main__":
    main()
