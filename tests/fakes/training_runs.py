"""Training in processes of their own."""

from __future__ import annotations

import traceback
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from unittest.mock import patch

from fakes.copies import COPIES
from voin.training.config import TrainConfig
from voin.training.options import TrainOptions
from voin.training.train import train


def start_run(
    options: TrainOptions, config: TrainConfig, start: str = "spawn", errors: Path | None = None
) -> BaseProcess:
    """Begin to train in a process of its own.

    Args:
        options: as of `train`.
        config: likewise.
        start: how processes that share a batch are begun: "spawn", as `train` does it, or "fork".
        errors: a file for the traceback, if there is one.
    """
    process = COPIES.Process(target=_run, args=(options, config, start, errors))
    process.start()
    return process


def _run(options: TrainOptions, config: TrainConfig, start: str, errors: Path | None) -> None:
    from lightning.fabric import Fabric

    def fabric(strategy: str, **more: Any) -> Fabric:
        return Fabric(strategy=strategy.replace("spawn", start), **more)

    try:
        with patch("lightning.fabric.Fabric", fabric):
            train(options, config)
    except BaseException:
        if errors is not None:
            errors.write_text(traceback.format_exc())
        raise
