"""Average a network of two models, weight by weight: what a run gained is kept, and less of what it unlearned is lost.

    python recipes/average_weights.py generator OLD_MODEL NEW_MODEL 0.7 OUT

The last number is the new model's share. Both networks must have one config, and the new one should have been started
from the old one. Scores are not carried over: measure the average.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from voin.method.load import NETWORKS
from voin.weights.checkpoint import load_checkpoint, read_record, save_checkpoint


def average(kind: str, old: Path, new: Path, share: float, out: Path) -> None:
    """Write the averaged network into the folder `out`."""
    first, second = (load_checkpoint(folder / f"{kind}.safetensors", NETWORKS) for folder in (old, new))
    network: Any = second
    if first.config != network.config:
        sys.exit(f"{old} and {new} have {kind} networks of different configs; they must have one; nothing was written")
    weights = first.state_dict()
    network.load_state_dict({name: weights[name].lerp(x, share) for name, x in network.state_dict().items()})
    about = read_record(new / f"{kind}.safetensors").about
    command = f"{share:g} of what it gave, {1 - share:g} of the weights it started from; {about.recipe.command}"
    about = replace(about, recipe=replace(about.recipe, command=command), scores={})
    save_checkpoint(out / f"{kind}.safetensors", network, about, "fp16")


if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    average(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4]), Path(sys.argv[5]))
