"""Score trials of the benchmark and keep the scores: one small file a clip, method, setting and damage.

A score is taken from its file where the file says that it was made from the same: the set, the method with its
settings, the rules, the reference networks. So an evaluation that was stopped goes on, and nothing stale is ever used.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from voin.benchmark import corrupt as degrade
from voin.benchmark import scores
from voin.benchmark.corrupt import Damage, damage
from voin.benchmark.options import ReferenceOptions, Setting
from voin.benchmark.scores import ClipScores, score_clip
from voin.benchmark.trials import Entry, Outcome
from voin.benchmark.true_flow import TrueFlow
from voin.core import __version__, metrics
from voin.core.files import write_whole
from voin.core.lpips import LPIPS
from voin.data.manifest import MANIFEST, ClipRecord
from voin.data.sets import VoiClip, VoiSet
from voin.method.motion import Motion, load_motion

SCORES, FLOW = ".scores", ".flow"
WHOLE = "whole"  # instead of a damage's name, where the masks are as they are


@dataclass(frozen=True)
class Trial:
    """A method in a setting, under a damage or none; `entry` is its place among the judge's entries."""

    entry: int
    setting: Setting
    damage: Damage | None = None


@dataclass(frozen=True)
class Unit:
    """Trials on one clip with the same masks: what one process does at a time."""

    record: ClipRecord
    trials: tuple[Trial, ...]


@dataclass(frozen=True)
class References(ReferenceOptions):
    """The networks that judge, as they are asked for."""

    def load(self) -> None:
        """Load what was asked for, so that what is missing is said before work starts."""
        if self.lpips:
            _perceptual(self.lpips_weights)
        if self.flow_truth != "none":
            _raft(self.flow_truth, self.flow_truth_weights)

    def identity(self) -> dict[str, Any]:
        """Say what the scores depend on."""
        return {
            "lpips": _weights(self.lpips_weights) if self.lpips else None,
            "flow": [self.flow_truth, _weights(self.flow_truth_weights)] if self.flow_truth != "none" else None,
        }

    def missing(self) -> list[str]:
        """Say what is not judged, and how it would be."""
        notes = []
        if not self.lpips:
            notes.append("LPIPS is not judged: --lpips, or --lpips-weights FILE, turns it on")
        if self.flow_truth == "none":
            notes.append("flow error and warp error are not judged: --flow-truth raft-large turns them on")
        return notes


@dataclass(frozen=True)
class Score:
    """What is kept of a trial: the scores, the seconds the method took, why it failed."""

    scores: ClipScores
    seconds: float | None
    error: str


@dataclass(frozen=True)
class Scorer:
    """Scores units of trials; small enough to be sent to other processes.

    Args:
        voi_set: the set.
        basis: what all scores depend on; see `basis_of`.
        entries: the methods.
        references: the networks that judge.
        out: folder of the evaluation.
        seed: of the damages; each clip gets one of its own out of it.
    """

    voi_set: VoiSet
    basis: dict[str, str]
    entries: tuple[Entry, ...]
    references: References
    out: Path
    seed: int = 0

    def __call__(self, unit: Unit) -> int:
        """Score all trials of a unit; gives the number of frames that were scored."""
        return unit.record.count * sum(1 for _ in self.score(unit))

    def score(self, unit: Unit) -> Iterator[Trial]:
        """Score the trials of a unit one after the other, each kept once it is yielded."""
        clip = self.voi_set.load(unit.record)
        frames = clip.frames
        for trial in unit.trials:
            outcome = self.run(clip, frames, trial)
            content = {
                "request": self.request(unit.record, trial),
                "scores": self._scores(clip, frames, trial, outcome).to_json(),
                "seconds": outcome.seconds,
                "error": outcome.error,
                "trace": outcome.trace,
            }
            path = self.path_of(unit.record, trial)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, json.dumps(content).encode())
            yield trial

    def run(self, clip: VoiClip, frames: np.ndarray, trial: Trial) -> Outcome:
        """Run a trial's method on a clip, whose input frames are `frames`."""
        visible = clip.visible
        if trial.damage is not None:
            visible = damage(visible, trial.damage, zlib.crc32(f"{self.seed} {clip.record.name}".encode()))
        amodal = clip.amodal if trial.setting == "given" else None
        entry = self.entries[trial.entry]
        # The method gets arrays of its own: what it does to them must not touch what it is judged by.
        arrays = (frames.copy(), visible.copy(), None if amodal is None else amodal.copy())
        return entry.run(clip.record.name, *arrays, clip.record.category)

    def _scores(self, clip: VoiClip, frames: np.ndarray, trial: Trial, outcome: Outcome) -> ClipScores:
        # The curves over damage show two numbers; the networks would take most of the time.
        judged = self.references if trial.damage is None else References()
        content = self.entries[trial.entry].content
        truth_flow = None
        if content and judged.flow_truth != "none":
            truth_flow = _flow_of(clip, judged, self.out / FLOW)
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
            perceptual=_perceptual(judged.lpips_weights) if judged.lpips and content else None,
            content=content,
            shape=trial.setting == "end to end",
            name=clip.record.name,
            video=clip.record.video,
        )

    def request(self, record: ClipRecord, trial: Trial) -> dict[str, Any]:
        """Say all that a score depends on, as JSON holds it."""
        judged = self.references if trial.damage is None else References()
        request = {
            **self.basis,
            "clip": record.name,
            "setting": trial.setting,
            "damage": [trial.damage.name, self.seed] if trial.damage else None,
            "entry": self.entries[trial.entry].identity(record.name),
            **judged.identity(),
        }
        return json.loads(json.dumps(request, default=str))

    def path_of(self, record: ClipRecord, trial: Trial) -> Path:
        """Give the file that keeps a score, there or not."""
        damaged = trial.damage.name if trial.damage else WHOLE
        folder = self.out / SCORES / trial.setting.replace(" ", "-") / damaged / self.entries[trial.entry].name
        return folder / f"{record.name}.json"

    def kept(self, record: ClipRecord, trial: Trial) -> Score | None:
        """Read a score that was made from the same; None if there is none."""
        try:
            content = json.loads(self.path_of(record, trial).read_text(encoding="utf-8"))
            if content["request"] != self.request(record, trial):
                return None
            return Score(ClipScores.from_json(content["scores"]), content["seconds"], content["error"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None


def basis_of(voi_set: VoiSet) -> dict[str, str]:
    """Say what all scores of a set depend on: its manifest, which holds the checksums of its files, and our rules.

    To be asked once: files may change while an evaluation runs.
    """
    rules = "".join(map(inspect.getsource, (metrics, scores, degrade)))
    return {
        "voin": __version__,
        "rules": hashlib.sha256(rules.encode()).hexdigest()[:16],
        "set": hashlib.sha256((voi_set.root / MANIFEST).read_bytes()).hexdigest(),
    }


@cache
def _weights(path: Path | None) -> str:
    return "torchvision" if path is None else hashlib.sha256(path.read_bytes()).hexdigest()[:16]


@cache
def _perceptual(weights: Path | None) -> LPIPS:
    return LPIPS(weights)


@cache
def _raft(name: str, weights: Path | None) -> Motion:
    return load_motion(name, weights)


def _flow_of(clip: VoiClip, references: References, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    motion = _raft(references.flow_truth, references.flow_truth_weights)
    return TrueFlow(folder, motion)(clip.truth)
