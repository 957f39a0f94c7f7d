"""ComfyUI's own progress bar, cancel button, device and count of free memory; outside of ComfyUI there are none."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch


def comfy(module: str) -> Any:
    """Return a module of ComfyUI; None outside of it."""
    try:
        return import_module(f"comfy.{module}")
    except ModuleNotFoundError:
        return None


def device_name(asked: str) -> str:
    """Return the device that is asked for; `auto` is the one that ComfyUI computes on, or the processor."""
    management = comfy("model_management")
    if asked != "auto" or management is None:
        return asked
    kind = management.get_torch_device().type
    return kind if kind in ("cuda", "mps") else "cpu"


def free_bytes() -> int | None:
    """Return how much memory is free, as ComfyUI counts it; None outside of it."""
    management = comfy("model_management")
    return None if management is None else int(management.get_free_memory(torch.device("cpu")))


class Run:
    """A node at work: moves ComfyUI's progress bar, and stops where the user has cancelled."""

    def __init__(self, steps: int) -> None:
        utils = comfy("utils")
        self._bar = None if utils is None else utils.ProgressBar(steps)
        self._management = comfy("model_management")

    def check(self) -> None:
        """Raise ComfyUI's own exception if the user has cancelled."""
        if self._management is not None:
            self._management.throw_exception_if_processing_interrupted()

    def advance(self, count: int = 1) -> None:
        """Take `count` more steps."""
        self.check()
        if self._bar is not None:
            self._bar.update(count)


class StageClock(dict[str, float]):
    """The clock of a method, which writes into it at the end of each of its stages: the place to look for a cancel."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self._run = run

    def __setitem__(self, stage: str, seconds: float) -> None:
        super().__setitem__(stage, seconds)
        self._run.check()
