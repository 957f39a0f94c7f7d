"""Prepared batches kept on disk, where preparing is dear: motion and propagation are computed once, not each time."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from voin.core import __version__
from voin.core.config import to_json
from voin.core.files import identity, write_whole
from voin.training.config import TrainConfig
from voin.training.options import TrainOptions

Inputs = dict[str, Tensor]


class KeptBatches:
    """What makes batches by their number, and keeps each in a file: masks as bytes, other floats as fp16.

    What is found in the folder is what was made, to the last bit: a batch is rounded before it is given for the first
    time, too.
    """

    def __init__(self, make: Callable[[int], Inputs], folder: Path) -> None:
        self.make, self.folder = make, folder

    def __call__(self, number: int) -> Inputs:
        """Make a batch, or find it; it comes back on the CPU."""
        path = self.folder / f"{number:07d}.safetensors"
        try:
            stored = load_file(path)
        except (OSError, SafetensorError):  # not there, or not whole
            stored = {name: _small(x.cpu()) for name, x in self.make(number).items()}
            self.folder.mkdir(parents=True, exist_ok=True)
            write_whole(path, save(stored))
        return {name: _full(x) for name, x in stored.items()}


def folder_of(options: TrainOptions, config: TrainConfig, rank: int, ranks: int) -> Path:
    """Name the folder of all batches that come out alike: of the same packs, stage, sampler, propagation and seed."""
    packs = [None if path is None else identity(path) for path in (options.pack, options.cutouts, options.sprites)]
    parts = {
        "voin": __version__,
        "stage": options.stage,
        "packs": packs,
        "sampler": to_json(config.sampler),
        "propagation": asdict(config.simulated_propagation),
        "motion": [config.estimator, config.truth],
        "seed": config.seed,
        "share": [rank, ranks],
        "evidence": config.shape.evidence,
    }
    assert options.batch_cache is not None
    return options.batch_cache / sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _small(x: Tensor) -> Tensor:
    if not x.is_floating_point():
        return x.contiguous()
    return (x.byte() if bool(((x == 0) | (x == 1)).all()) else x.half()).contiguous()


def _full(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.uint8, torch.float16) else x
