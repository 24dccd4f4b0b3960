"""Devices, threads, and what running out of memory looks like."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
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


@contextmanager
def tf32(is_allowed: bool) -> Iterator[None]:
    """Whether CUDA products inside may round their operands to TF32; a setting of the process."""
    matmul, convolution = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, convolution.allow_tf32
    matmul.allow_tf32 = convolution.allow_tf32 = is_allowed
    try:
        yield
    finally:
        matmul.allow_tf32, convolution.allow_tf32 = before


LARGEST_KEPT_BYTES = 32 << 20
"""Of one tensor whose memory is kept; glibc takes no more for a bound."""

KEPT_BYTES = 256 << 20
"""Free memory at the end of a heap that is kept."""

ADDED_BYTES = 16 << 20
"""What a heap grows by at least."""


@cache
def keep_freed_memory() -> bool:
    """Whether the process now keeps memory that it freed, for the next tensor; a setting of the process.

    By default glibc hands the memory of large tensors back at once, and the system clears it for the next
    one. Measured, a ResNet-20 on 64 images spent 30 of its 120 ms of processor time on that; keeping it
    took 80 MB more at the peak. Other systems, and processes whose allocator was set by
    its environment variables, are left as they are.
    """
    if sys.platform != "linux" or any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt"):
        return False
    # numbers of M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_TOP_PAD in glibc's malloc.h
    settings = {-3: LARGEST_KEPT_BYTES, -1: KEPT_BYTES, -2: ADDED_BYTES}
    return all(libc.mallopt(option, value) == 1 for option, value in settings.items())


def single_threads(count: int) -> ThreadPoolExecutor:
    """A pool of threads, each of which computes on itself alone; to be used inside ``threads(1)``.

    A thread must say so before its first product: torch counts its threads for each thread anew, and the
    library that forms the product does not wait for that (measured: one product in a new thread ran on
    two).
    """
    keep_freed_memory()
    return ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,))


def map_on_threads(function: Callable[[Task], Result], tasks: Sequence[Task]) -> list[Result]:
    """``[function(task) for task in tasks]``, as many at once as torch has threads, each on one of them.

    Tasks stand side by side instead of every operation being split and awaited: results do not depend
    on the number of threads, and a core that is busy elsewhere delays one task and not each operation
    (measured on two such cores: three to eight times faster). The function must not differentiate, and
    is called without gradients; on CUDA, no product rounds its operands to TF32.
    """

    def without_gradients(task: Task) -> Result:
        with torch.no_grad():  # a setting of the thread
            return function(task)

    keep_freed_memory()
    num_together = min(torch.get_num_threads(), len(tasks))
    with threads(1), tf32(False):
        if num_together <= 1:
            return [without_gradients(task) for task in tasks]
        with single_threads(num_together) as pool:
            return list(pool.map(without_gradients, tasks))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error says that host or device memory ran out."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
