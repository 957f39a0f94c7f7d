"""Batches made ahead of the steps that take them: in a thread, or in processes of their own where one is too slow.

A batch is a pure function of the seed and its number, so it does not matter who makes it: process k of n makes every
n-th, and they are taken in turn. Where making is dearer than learning, each batch can be learned from several times,
with others in between.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from hashlib import sha256
from itertools import count
from typing import Any

import numpy as np
import torch
from torch import Tensor

from voin.core.processes.apart import Ahead, DiedError, FaultError
from voin.data.packs.pack import Pack, open_pack
from voin.method.motion import load_motion
from voin.method.shape.evidence import MIRRORED
from voin.training.batch.choose import mix_seed
from voin.training.batch.kept import KeptBatches, folder_of
from voin.training.config import TrainConfig
from voin.training.flow_targets import KeptMotion
from voin.training.options import TrainOptions
from voin.training.sampler import Sampler
from voin.training.tasks import TASKS
from voin.training.tasks.base import ESTIMATORS, Estimators, Inputs, Task

Make = Callable[[int], Inputs]  # gives the batch of a number
_APART = 3  # so many batches lie between two echoes of one


def make_beside(
    build: Callable[..., Make],
    arguments: tuple[Any, ...],
    first: int,
    workers: int,
    spent: dict[int, float] | None = None,
) -> Iterator[Inputs]:
    """Make batch `first` and those after it in processes; each has one batch in its hands, and one ready.

    What makes batches is built in each process, by `build` with `arguments`; both must be picklable. `spent` is kept up
    to date: number of a process to the seconds of processor time that its batches so far took.

    Raises:
        Refusal: a process cannot make batches of what the user gave.
        RuntimeError: a process failed or is gone.
    """
    threads = max(torch.get_num_threads() // workers, 1)
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                closing(Ahead(_packed_batches, build, arguments, first + k, workers, threads, name="voin-batches"))
            )
            for k in range(workers)
        ]
        for number in count(first):
            k = (number - first) % workers
            batch, seconds = _take(processes[k])
            if spent is not None:
                spent[k] = seconds
            yield batch


def echo(start: Callable[[int], Generator[Inputs, None, None]], step: int, echoes: int) -> Iterator[Inputs]:
    """Yield the inputs of `step` and those after it, where each batch is learned from `echoes` times (data echoing).

    Echo k of batch n is at step `echoes * (n + k * _APART) + k`; every other one is its mirror image. So what a step
    is given depends on the step alone, wherever a run goes on. `start` makes batches from a number on.
    """
    first = step // echoes
    oldest = max(first - (echoes - 1) * _APART, 0)
    made = start(oldest)
    kept = {number: next(made) for number in range(oldest, first)}
    try:
        for at in count(step):
            newest, age = divmod(at, echoes)
            if newest not in kept:
                kept[newest] = next(made)
                kept.pop(newest - (echoes - 1) * _APART - 1, None)
            # In the beginning nothing is old.
            number = max(newest - age * _APART, 0)
            yield mirror(kept[number]) if age % 2 else kept[number]
    finally:
        made.close()


def mirror(x: Inputs) -> Inputs:
    """Exchange left and right in all maps (..., c, h, w); those of two channels are flows."""
    result = dict(x)
    for name, value in x.items():
        if value.ndim >= 5:
            signs = MIRRORED if name == "evidence" else (-1.0, 1.0) if value.shape[-3] == 2 else (1.0,)
            result[name] = value.flip(-1) * value.new_tensor(signs).view(-1, 1, 1)
    return result


Packed = dict[str, tuple[np.ndarray, bool]]  # arrays, and whether they are masks, which take a byte a pixel


def _packed_batches(
    build: Callable[..., Make], arguments: tuple[Any, ...], first: int, stride: int, threads: int
) -> Iterator[tuple[Packed, float]]:
    torch.set_num_threads(threads)
    make = build(*arguments)
    began = time.process_time()
    for number in count(first, stride):
        yield {name: _pack(x) for name, x in make(number).items()}, time.process_time() - began


def _take(process: Ahead[tuple[Packed, float]]) -> tuple[Inputs, float]:
    try:
        packed, seconds = process.take()
        arrays = packed.items()
        found = {name: torch.from_numpy(x).float() if mask else torch.from_numpy(x) for name, (x, mask) in arrays}
        return found, seconds
    except DiedError as death:
        raise RuntimeError(
            f"a process that makes batches died ({death}), perhaps for want of memory; use fewer of them: --workers"
        ) from death
    except FaultError as fault:
        raise RuntimeError(f"a process that makes batches failed:\n{fault}") from None


def _pack(x: Tensor) -> tuple[np.ndarray, bool]:
    array = x.cpu().numpy()
    mask = array.dtype == np.float32 and bool(((array == 0) | (array == 1)).all())
    return (array.astype(np.uint8), True) if mask else (array, False)


def make_batches(
    options: TrainOptions, config: TrainConfig, device: str, rank: int, ranks: int, task: Task | None = None
) -> Make:
    """Return what makes the inputs of a step, or the part of them that process `rank` of `ranks` trains on."""
    place = torch.device(device)
    if task is None:
        task = TASKS[options.stage](config, estimators_of(options, config, place))
    clips, *others = open_packs(options)
    sampler = Sampler(clips, config.sampler, place, config.seed, *others)
    share = config.sampler.batch // ranks
    places = range(rank * share, (rank + 1) * share)

    def prepare(number: int) -> Inputs:
        # The word is a part of the seed: with another one, runs could not be repeated.
        seeds = [mix_seed(config.seed, number, clip, "imitation") for clip in places]
        return task.prepare(sampler.batch(number, rank, ranks), seeds)

    if options.batch_cache is not None:
        prepare = KeptBatches(prepare, folder_of(options, config, rank, ranks))

    def make(step: int) -> Inputs:
        turn, number = divmod(step, config.pool) if config.pool else (0, step)
        inputs = prepare(number)
        return mirror(inputs) if turn % 2 else inputs

    return make


def open_packs(options: TrainOptions) -> tuple[Pack, Pack | None, Pack | None]:
    """Open the clips, and the photographed objects and the sprites or None."""
    cutouts, sprites = (None if path is None else open_pack(path) for path in (options.cutouts, options.sprites))
    return open_pack(options.pack), cutouts, sprites


def estimators_of(options: TrainOptions, config: TrainConfig, device: torch.device) -> Estimators:
    """Return what finds motion, as the config asks."""
    found = ESTIMATORS
    if (config.estimator, config.truth) != ("dis", "dis"):
        # At twice their size, as in `voin.method.load`: RAFT takes pictures of at least 128 pixels.
        names = (config.estimator, config.truth)
        motion, truth = (load_motion(name, options.raft_weights, device, enlarge=2) for name in names)
        found = Estimators(motion, truth, paint=config.estimator == "dis")  # as in `voin.method.load`
    if options.truth_cache is None:
        return found
    weights = options.raft_weights and sha256(options.raft_weights.read_bytes()).hexdigest()
    # DIS goes down to single pixels if it is alone.
    name = f"{config.truth} {weights} {getattr(found.truth, 'finest', '')}"
    return replace(found, truth=KeptMotion(found.truth, options.truth_cache, name))
