"""Independent work side by side, a share of the cores for each: many small operations gain little by all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from voin.core.system import trim_heap

T = TypeVar("T")


def side_by_side(tasks: Sequence[Callable[[], T]]) -> list[T]:
    """Call functions at the same time, as far as there are cores, and return their results in order."""
    cores = torch.get_num_threads()
    if cores == 1 or len(tasks) < 2:
        return [task() for task in tasks]
    workers = min(cores, len(tasks))
    # What torch knows of a thread, new ones do not.
    inference, gradients = torch.is_inference_mode_enabled(), torch.is_grad_enabled()

    def run(task: Callable[[], T]) -> T:
        torch.set_num_threads(cores // workers)
        with torch.inference_mode(inference), torch.set_grad_enabled(gradients and not inference):
            return task()

    try:
        with ThreadPoolExecutor(workers, thread_name_prefix="cores") as pool:
            return list(pool.map(run, tasks))
    finally:
        # It was set for threads to come, too.
        torch.set_num_threads(cores)
        trim_heap()  # many small arrays were taken at once, by all of the threads
