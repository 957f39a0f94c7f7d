"""Train a network, or all three: the loop, its checkpoints, its log.

RUN/train.json          what was asked for
RUN/best, RUN/last      models as `voin.load` and `--init` take them: averaged weights, fp16
RUN/scores.jsonl        a line each validation
RUN/events              losses, scores and pictures for TensorBoard
RUN/pictures            the pictures as files
RUN/state.json ...      what a resumed run goes on from, exactly (`voin.training.state`)
"""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from voin.core.config import to_json
from voin.core.errors import FileRefusal, PackageRefusal, ValueRefusal
from voin.core.files import JobFolder, write_whole
from voin.core.system import choose_device, sound_kernels
from voin.data.packs.pack import open_pack
from voin.training.config import TrainConfig, flatten_settings
from voin.training.options import OLD_STAGES, TrainOptions
from voin.training.run import SCORES, Run, Say
from voin.training.state import STATE, read_numbers

RECORD = "train.json"
# What a run writes before its first checkpoint.
_FIRST = (RECORD, "events", "pictures", "best", "last", SCORES)


def train(options: TrainOptions, config: TrainConfig, say: Say | None = None) -> Path:
    """Train until the config's steps or minutes are over, and return the folder of the best model.

    `say` gets a line at each entry of the log and each validation.

    Raises:
        ImportError: lightning or tensorboard is missing.
        OSError: a pack or a model cannot be read, or `out` holds a run and `resume` was not asked for.
        ValueError: the run in `out` has another config, or the packs or the model do not fit.
        KeyboardInterrupt: the run was stopped; its state is kept.
    """
    fabric = _fabric(options)
    for pack in (options.pack, options.cutouts, options.sprites, options.validation):
        if pack is not None:
            open_pack(pack)  # refused before processes are started
    folder = RunFolder(options, config)
    folder.check()
    with folder.held():
        folder.claim()
        # Not as arguments of `launch`, which would take them apart.
        fabric.launch(partial(_work, options=options, config=config, say=say))
    return options.out / "best"


def is_finished(options: TrainOptions, config: TrainConfig) -> bool:
    """Return whether `out` holds this very run, at its end."""
    if not RunFolder(options, config).is_begun() or not (options.out / "best").is_dir():
        return False
    numbers = read_numbers(options.out)
    if config.minutes:
        return numbers.get("seconds", 0.0) >= 60 * config.minutes
    return numbers.get("step", 0) >= config.steps


def _fabric(options: TrainOptions) -> Any:
    try:
        from lightning.fabric import Fabric
        from torch.utils.tensorboard import SummaryWriter  # noqa: F401
    except ImportError as error:
        raise PackageRefusal(
            f"training needs lightning and tensorboard, which do not import ({error})",
            remedy="install them with: pip install 'voin[train]'",
        ) from error
    place, strategy = choose_device(options.device).type, "ddp_spawn" if options.devices > 1 else "auto"
    # Fabric's "bf16-mixed" would round the inputs too, flow among them; so `Run` asks for bfloat16 itself.
    return Fabric(accelerator=place, devices=options.devices, strategy=strategy, precision="32-true")


class RunFolder(JobFolder):
    """The folder of a training run; its record stands there from the beginning, its state is `voin.training.state`."""

    RECORD, STATE = RECORD, ".train"

    def __init__(self, options: TrainOptions, config: TrainConfig) -> None:
        self._command, self._resume = options.command, options.resume
        super().__init__(options.out, {"stage": options.stage, "config": to_json(config)})

    def look(self) -> None:
        """Read what stands in the folder, and change nothing."""
        self.record = self.read(self.path / RECORD)
        # A run that was refused before its first checkpoint is no run.
        self.state = self.record if (self.path / STATE).is_file() else None

    def request_of(self, content: dict[str, Any]) -> dict[str, Any]:
        """Return what was asked for, as far as it is said; older names of stages are read as today's."""
        stage = content.get("stage")
        return {"stage": OLD_STAGES.get(str(stage), stage), "config": content.get("config", {})}

    def is_same(self, content: dict[str, Any] | None) -> bool:
        """Return whether a record is of this very run, by whatever version; what it lacks is as by default."""
        if content is None:
            return False
        held = self.request_of(content)
        usual, old, new = map(flatten_settings, (to_json(TrainConfig()), held["config"], self.request["config"]))
        return held["stage"] == self.request["stage"] and usual | old == new

    def others(self) -> list[dict[str, Any]]:
        """Return nothing: no run is ever replaced."""
        return []

    def stranger(self, overwrite: bool) -> str | None:
        """Return what no run has written."""
        if self.state is not None or not self.path.is_dir():
            return None
        names = {entry.name for entry in self.path.iterdir()} - {*_FIRST, self.lock_name()}
        return f"something else ({min(names)})" if names else None

    def check(self, overwrite: bool = False) -> None:
        """Refuse a folder that holds anything but this run, or this run where it is not to be gone on with."""
        super().check(overwrite)
        if self.state is not None and not self._resume:
            raise FileRefusal(
                f"{self.path} holds a run", "it must be empty or not there", "use --resume to go on with it"
            )
        if self.state is not None and not self.is_begun():
            raise ValueRefusal(
                f"{self.path} holds a run with other settings (other {self.told_differences(self.state)})",
                "to go on they must be the same",
                "repeat its command with --resume, or name another folder",
            )

    def claim(self) -> None:
        """Note which run this is."""
        if self.state is None:
            write_whole(self.path / RECORD, json.dumps({**self.request, "command": self._command}, indent=2).encode())


def _work(fabric: Any, options: TrainOptions, config: TrainConfig, say: Say | None) -> None:
    with sound_kernels() if options.stage == "dfvi" else nullcontext(), _stoppable() as stopped:
        Run(fabric, options, config, say).go(stopped)
    if stopped.is_set():
        raise KeyboardInterrupt


@contextmanager
def _stoppable() -> Iterator[threading.Event]:
    """Let Ctrl-C and SIGTERM ask for a stop after the step at hand: weights are never left half changed."""
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return
    before = {number: signal.signal(number, lambda *_: stopped.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
