"""Score trials of the benchmark and keep the scores: one small file a clip, method, setting and corruption.

A score is taken from its file where the file says that it was made from the same: the set, the method with its
settings, the version of the rules, the reference networks. So an evaluation that was stopped goes on.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from voin.benchmark.corrupt import Corruption, corrupt
from voin.benchmark.options import ReferenceOptions, Setting
from voin.benchmark.results import Row
from voin.benchmark.scores import RULES_VERSION, ClipScores, score_clip
from voin.benchmark.trials import Entry, Outcome
from voin.benchmark.true_flow import TrueFlow
from voin.core import __version__
from voin.core.files import as_json, read_json, write_whole
from voin.core.lpips import LPIPS
from voin.data.manifest import MANIFEST, ClipRecord
from voin.data.sets import VoiClip, VoiSet
from voin.method.motion import Motion, load_motion

SCORES, FLOW = ".scores", ".flow"
WHOLE = "whole"  # instead of a corruption's name, where the masks are as they are


@dataclass(frozen=True)
class Trial:
    """A method in a setting, with corrupted masks or not; `entry` is its place among the scorer's entries."""

    entry: int
    setting: Setting
    corruption: Corruption | None = None


@dataclass(frozen=True)
class Unit:
    """Trials on one clip with the same masks: what one process does at a time."""

    record: ClipRecord
    trials: tuple[Trial, ...]


@dataclass(frozen=True)
class References(ReferenceOptions):
    """The networks that score, as they are asked for."""

    def load(self) -> None:
        """Load what was asked for, so that what is missing is refused before work starts."""
        if self.lpips:
            _perceptual(self.lpips_weights)
        if self.flow_truth != "none":
            _raft(self.flow_truth, self.flow_truth_weights)

    def identity(self) -> dict[str, Any]:
        """Return what the scores depend on."""
        return {
            "lpips": _weights(self.lpips_weights) if self.lpips else None,
            "flow": [self.flow_truth, _weights(self.flow_truth_weights)] if self.flow_truth != "none" else None,
        }

    def missing(self) -> list[str]:
        """Return a note on each network that is left out, and how to have it."""
        notes = []
        if not self.lpips:
            notes.append("LPIPS is not judged: --lpips, or --lpips-weights FILE, turns it on")
        if self.flow_truth == "none":
            notes.append("flow error and warp error are not judged: --flow-truth raft-large turns them on")
        return notes


@dataclass(frozen=True)
class Scorer:
    """Scores units of trials; small enough to be sent to other processes."""

    voi_set: VoiSet
    basis: dict[str, Any]  # what all scores depend on, from `basis_of`
    entries: tuple[Entry, ...]
    references: References
    out: Path  # folder of the evaluation
    seed: int = 0  # of the corruptions; each clip gets one of its own out of it

    def __call__(self, unit: Unit) -> int:
        """Score all trials of a unit; return the number of frames that were scored."""
        return unit.record.count * sum(1 for _ in self.score(unit))

    def score(self, unit: Unit) -> Iterator[Trial]:
        """Score the trials of a unit one after the other, each kept once it is yielded."""
        clip = self.voi_set.load(unit.record)
        frames = clip.frames
        for trial in unit.trials:
            outcome = self.run(clip, frames, trial)
            scores = self._scores(clip, frames, trial, outcome).to_json()
            said = {name: getattr(outcome, name) for name in ("seconds", "error", "trace")}
            content = {"request": self.request(unit.record, trial), "scores": scores, **said}
            path = self.path_of(unit.record, trial)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, json.dumps(content).encode())
            yield trial

    def run(self, clip: VoiClip, frames: np.ndarray, trial: Trial) -> Outcome:
        """Run a trial's method on a clip, whose input frames are `frames`."""
        visible = clip.visible
        if trial.corruption is not None:
            visible = corrupt(visible, trial.corruption, zlib.crc32(f"{self.seed} {clip.record.name}".encode()))
        amodal = clip.amodal if trial.setting == "given" else None
        entry = self.entries[trial.entry]
        # The method gets arrays of its own: what it does to them must not touch what it is scored by.
        arrays = (frames.copy(), visible.copy(), None if amodal is None else amodal.copy())
        return entry.run(clip.record.name, *arrays, clip.record.category)

    def _scores(self, clip: VoiClip, frames: np.ndarray, trial: Trial, outcome: Outcome) -> ClipScores:
        references = self._references(trial)
        content = self.entries[trial.entry].content
        truth_flow = None
        if content and references.flow_truth != "none":
            motion = _raft(references.flow_truth, references.flow_truth_weights)
            truth_flow = TrueFlow(references.flow_folder or self.out / FLOW, motion)(clip.truth)
        return score_clip(
            clip.truth,
            frames,
            outcome.frames,
            clip.amodal,
            clip.visible,
            outcome.amodal,
            forward=outcome.forward,
            backward=outcome.backward,
            truth_flow=truth_flow,
            perceptual=_perceptual(references.lpips_weights) if references.lpips and content else None,
            content=content,
            shape=trial.setting == "end to end",
            name=clip.record.name,
            video=clip.record.video,
        )

    def _references(self, trial: Trial) -> References:
        # Curves over corruptions show two numbers, and networks would take most of the time.
        return self.references if trial.corruption is None else References()

    def request(self, record: ClipRecord, trial: Trial) -> dict[str, Any]:
        """Return all that a score depends on, as JSON holds it."""
        request = {
            **self.basis,
            "clip": record.name,
            "setting": trial.setting,
            "damage": [trial.corruption.name, self.seed] if trial.corruption else None,
            "entry": self.entries[trial.entry].identity(record.name),
            **self._references(trial).identity(),
        }
        return as_json(request)

    def path_of(self, record: ClipRecord, trial: Trial) -> Path:
        """Return the file that keeps a score, whether it exists or not."""
        masks = trial.corruption.name if trial.corruption else WHOLE
        folder = self.out / SCORES / trial.setting.replace(" ", "-") / masks / self.entries[trial.entry].name
        return folder / f"{record.name}.json"

    def kept(self, record: ClipRecord, trial: Trial) -> Row | None:
        """Read a score that was made from the same; None if there is none."""
        content = read_json(self.path_of(record, trial))
        try:
            if content is None or content["request"] != self.request(record, trial):
                return None
            name, scores = self.entries[trial.entry].name, ClipScores.from_json(content["scores"])
            return Row(name, trial.setting, trial.corruption, record, scores, content["seconds"], content["error"])
        except (ValueError, KeyError, TypeError, AttributeError):
            return None


def basis_of(voi_set: VoiSet) -> dict[str, Any]:
    """Return what all scores of a set depend on: its manifest, with the checksums of its files, and the rules."""
    manifest = hashlib.sha256((voi_set.root / MANIFEST).read_bytes()).hexdigest()
    return {"voin": __version__, "rules": RULES_VERSION, "set": manifest}


@cache
def _weights(path: Path | None) -> str:
    return "torchvision" if path is None else hashlib.sha256(path.read_bytes()).hexdigest()[:16]


@cache
def _perceptual(weights: Path | None) -> LPIPS:
    return LPIPS(weights)


@cache
def _raft(name: str, weights: Path | None) -> Motion:
    return load_motion(name, weights)
