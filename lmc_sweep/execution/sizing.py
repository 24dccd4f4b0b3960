"""The size of a batch when its turn comes, by what was measured by then, and the memory that it takes."""

from __future__ import annotations

from collections.abc import Callable

from lmc_sweep.execution.schedule import Schedule
from lmc_sweep.execution.work import Work
from lmc_sweep.planning.batching import Batch
from lmc_sweep.planning.items import Item
from lmc_sweep.planning.resizing import LONGEST_SECONDS, SHORTEST_SECONDS, joined, load, split

PROCESS_BYTES = 6e8
"""A worker that has imported torch, its CUDA build (measured: 0.56 GB), and little else."""
GPU_PROCESS_BYTES = 2e9
"""A worker with a CUDA context, whose libraries lie in the machine's memory too; not measured here."""


def resized(
    work: Work,
    schedule: Schedule,
    scale: float,
    num_slots: int,
    max_stack_bytes: float,
    seconds: Callable[[Item], float],
    num_threads: int,
) -> Work:
    """The first part of work that would take too long, or it and others like it where it would be short.

    The other parts go back to the schedule, and what was joined is taken from it. Nothing is joined that a
    slot would lack, and nothing that was attempted before: what went wrong once goes alone.

    Args:
        work: What was taken from the schedule.
        schedule: Where the rest of its group waits.
        scale: Measured over estimated seconds of batches like it.
        num_slots: Tasks of its kind that can run at a time.
        max_stack_bytes: Bound of the memory of one stack.
        seconds: Estimate for one item.
        num_threads: Of a task: a part keeps as many networks, if there are.
    """
    if not work.is_fresh:
        return work
    expected = scale * work.batch.seconds
    if expected > LONGEST_SECONDS:
        first, *others = split(work.batch, scale, seconds, num_threads)
        for part in others:
            schedule.add(work.with_batch(part))
        return work.with_batch(first)
    most = (schedule.num_ready(work.batch.kind) + 1) // max(num_slots, 1)
    if expected >= SHORTEST_SECONDS or most < 2:
        return work
    parts, whole = [work.batch], load(work.batch, max_stack_bytes)
    while len(parts) < most and (other := schedule.peek(work.group)) is not None and other.is_fresh:
        whole = whole + load(other.batch, max_stack_bytes)
        if not whole.is_within(scale, max_stack_bytes):
            break
        parts.append(schedule.take_alike(work.group).batch)
    return work.with_batch(joined(parts)) if len(parts) > 1 else work


def host_bytes(batch: Batch, max_stack_bytes: float, on_gpu: bool) -> float:
    """Memory of its machine that a batch is expected to take, in bytes: the process, and its stack on
    CPUs."""
    if on_gpu:
        return GPU_PROCESS_BYTES
    stack = load(batch, max_stack_bytes)
    return PROCESS_BYTES + min(float(stack.num_trajectories * stack.largest_bytes), max_stack_bytes)
