"""Devices, threads, and what running out of memory looks like."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

Task = TypeVar("Task")
Result = TypeVar("Result")


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Torch uses ``count`` threads inside; CPU results are tied to this number."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def map_on_threads(function: Callable[[Task], Result], tasks: Sequence[Task]) -> list[Result]:
    """``[function(task) for task in tasks]``, as many at once as torch has threads, each on one of them.

    Tasks stand side by side instead of every operation being split and awaited: results do not depend
    on the number of threads, and a core that is busy elsewhere delays one task and not each operation
    (measured on two such cores: three to eight times faster). The function must not differentiate, and
    is called without gradients.
    """

    def without_gradients(task: Task) -> Result:
        with torch.no_grad():  # a setting of the thread
            return function(task)

    num_together = min(torch.get_num_threads(), len(tasks))
    with threads(1):
        if num_together <= 1:
            return [without_gradients(task) for task in tasks]
        with ThreadPoolExecutor(num_together) as pool:
            return list(pool.map(without_gradients, tasks))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error says that host or device memory ran out."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
