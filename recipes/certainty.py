"""How sure of a pixel shape should be: scenes of sprites that it was not trained on, before films of training.

    python recipes/certainty.py TRAIN_PACK SPRITES_PACK SHAPE.safetensors...

In `clear` scenes nothing is hidden, in `behind` something passes behind the object, in `before` before it; in `given`,
the same scenes, what passes is given, so that nothing is added beside it. Printed for each certainty: the area wrongly
added, of the object's; of `before` and `given` also the share of the hidden part that is found, and the IoU of the
hidden part and of the whole.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import torch

from voin.data.packs.pack import open_pack
from voin.method.load import NETWORKS
from voin.training.batch.config import Batch
from voin.training.config import PRESETS
from voin.training.sampler import Sampler
from voin.training.tasks.shape import complete_shape, find_evidence
from voin.weights.checkpoint import load_checkpoint

CERTAINTIES = (0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7)
KINDS = {"clear": {"clear": 1.0}, "behind": {"clear": 1.0, "distractors": 1.0}, "before": {}}
BATCHES, SEED = 8, 7


def make_scenes(films: Path, sprites: Path) -> dict[str, list[Batch]]:
    """Make the same scenes each time; windows drift in most of them."""
    plain = replace(
        PRESETS["small"].sampler,
        frames=16,
        strides=(1, 1),
        sprites=1.0,
        cutouts=0.0,
        pasted=0.0,
        unknown=1.0,
        drift=0.6,
    )
    packs = open_pack(films), open_pack(sprites)
    samplers = {
        kind: Sampler(packs[0], replace(plain, **changes), seed=SEED, sprites=packs[1])
        for kind, changes in KINDS.items()
    }
    return {kind: [sampler.batch(i) for i in range(BATCHES)] for kind, sampler in samplers.items()}


@torch.no_grad()
def judge(weights: Path, scenes: dict[str, list[Batch]]) -> None:
    """Print a row for each kind of scene and certainty."""
    network = load_checkpoint(weights, NETWORKS)
    config = replace(PRESETS["small"], shape=network.config)
    for kind, batches in scenes.items():
        inputs = [{**vars(batch), **find_evidence(config, batch)} for batch in batches]
        with torch.autocast("cpu", torch.bfloat16):
            logits = [complete_shape(network, x).float() for x in inputs]
        sure = torch.cat(logits).sigmoid()
        visible, whole = (torch.cat([getattr(batch, name) for batch in batches]) for name in ("visible", "amodal"))
        hidden = whole * (1 - visible)
        front = torch.cat([batch.occluder for batch in batches])
        names = (kind, "given") if kind == "before" else (kind,)
        for name, certainty in product(names, CERTAINTIES):
            possible = (sure > certainty).float() * (front if name == "given" else 1)
            found = torch.maximum(possible, visible)
            added = (found * (1 - whole)).flatten(1).sum(dim=1) / whole.flatten(1).sum(dim=1)
            scores = {"added": added.mean()}
            if kind == "before":
                frames = hidden.flatten(2).sum(dim=2) > 0
                new = found * (1 - visible)
                scores["found"] = _share(found * hidden, hidden, 1)[hidden.flatten(1).sum(dim=1) > 50].mean()
                scores["IoU hidden"] = _share(new * hidden, torch.maximum(new, hidden), 2)[frames].mean()
                scores["IoU"] = _share(found * whole, torch.maximum(found, whole), 1).mean()
            print(name, certainty, "  ".join(f"{score} {value:.4f}" for score, value in scores.items()))


def _share(part: torch.Tensor, of: torch.Tensor, axes: int) -> torch.Tensor:
    return part.flatten(axes).sum(dim=axes) / of.flatten(axes).sum(dim=axes)


if __name__ == "__main__":
    films, sprites, *models = map(Path, sys.argv[1:])
    scenes = make_scenes(films, sprites)
    for model in models:
        print(model)
        judge(model, scenes)
