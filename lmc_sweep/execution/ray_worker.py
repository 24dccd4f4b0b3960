"""What surrounds a task on a Ray worker: versions, device, sign of life, and the end of its process.

Worker processes are warm: starting one and importing torch takes longer than many a batch. They are
replaced after ``MAX_CALLS`` tasks, after an error that leaves a GPU unusable, when a task was cancelled in
the middle, and when their memory has grown far beyond what a first task took.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from lmc_sweep.errors import StoreError
from lmc_sweep.execution import code, worker_log
from lmc_sweep.execution.causes import VersionMismatch
from lmc_sweep.execution.executor import Lost
from lmc_sweep.execution.task import Receipt, Task, execute, failure_of, open_store
from lmc_sweep.store import sweeps

MAX_CALLS = 500
"""Tasks of a process, of one attempt number, after which Ray replaces it."""

GROWTH_BYTES = 2e9
GROWTH_FACTOR = 4.0
"""A process is replaced once its memory has grown by more than both: bytes, and times its first task's."""

WATCH_SECONDS = 0.5
LINGER_SECONDS = 10.0
"""What a process that was asked to end gets for handing over its receipt."""

_first_bytes: list[int] = []


def attempt_function(number: int, generation: int) -> Callable[[Task], Receipt | Lost]:
    """A task's body under a name of its own: Ray schedules what has different names apart."""

    def body(task: Task) -> Receipt | Lost:
        from lmc_sweep.execution.ray_worker import execute_on_ray  # found where the worker runs

        return execute_on_ray(task)

    body.__name__ = body.__qualname__ = f"attempt_{number}_{generation}"
    return body


def execute_on_ray(task: Task) -> Receipt | Lost:
    """A task's body on a Ray worker, on the device that Ray assigned."""
    import ray

    end_with_raylet()
    context = ray.get_runtime_context()
    device = device_of(context.get_accelerator_ids().get("GPU", []), os.environ.get("CUDA_VISIBLE_DEVICES"))
    share = float(context.get_assigned_resources().get("GPU", 0.0))
    node = context.get_node_id()[:8]
    worker_log.begun(task, device, node)
    start = time.perf_counter()
    outcome = run_task(replace(task, device=device), share, node=node)
    worker_log.ended(task, outcome, time.perf_counter() - start)
    if must_end(outcome, resident_bytes()):
        end_process()
    return outcome


def device_of(gpus: Sequence[str], visible: str | None) -> str:
    """The device of a task to which Ray assigned these GPUs; a task without any may see all and uses none.

    Ray names a GPU as CUDA_VISIBLE_DEVICES (``visible``) does where that is set, by number or UUID; torch
    counts through what is listed there.
    """
    if not gpus:
        return "cpu"
    listed = [name.strip() for name in (visible or "").split(",")]
    return f"cuda:{listed.index(gpus[0]) if gpus[0] in listed else gpus[0]}"


def run_task(task: Task, gpu_share: float = 0.0, node: str = "") -> Receipt | Lost:
    """What becomes of a task in this process, whose versions must be those of the driver.

    While it runs, a sign in the store says so.
    """
    try:
        if task.code not in ("", code.fingerprint()):
            differing = code.difference(task.code, code.fingerprint())
            raise VersionMismatch(
                f"the driver has {differing} on a worker (node {node or 'unknown'}). "
                "Install the same versions on every node; what is stored is kept."
            )
        if task.device != "cpu":
            _limit_device_memory(task.device, gpu_share)
        _leave_sign(task, node)
        return execute(task)
    except KeyboardInterrupt:  # how Ray cancels; nothing is stored in part, but a module may be half imported
        return Lost("cancelled", "TaskCancelledError", "the task was cancelled")
    except Exception as error:  # the task boundary
        return Receipt((), (failure_of(task, error),))
    finally:
        _remove_sign(task)


def must_end(outcome: Receipt | Lost, resident: int) -> bool:
    """Whether a process should be replaced after a task that left it with so much memory, in bytes."""
    if not _first_bytes:
        _first_bytes.append(resident)
    first = _first_bytes[0]
    if resident - first > max(GROWTH_BYTES, GROWTH_FACTOR * first):
        return True
    return isinstance(outcome, Lost) or any(
        failure.cause in ("device_error", "version") for failure in outcome.failures
    )


def end_process() -> None:
    """Has Ray replace this process once the task's outcome has been handed over.

    Ray itself does so after ``max_calls`` tasks, so its count is put just below that. It offers no other
    way that spares the next task; should this one go away, the process ends without ceremony, and a task
    that has come in meanwhile is tried again.
    """
    import ray

    try:
        counts = ray._private.worker.global_worker.function_actor_manager._num_task_executions
        counts.update(dict.fromkeys(list(counts), MAX_CALLS - 1))
    except AttributeError:
        _end_after(1.0)
    else:
        _end_after(LINGER_SECONDS)


def resident_bytes() -> int:
    """Memory that this process holds."""
    import psutil  # Ray carries it along

    return int(psutil.Process().memory_info().rss)


@functools.cache
def end_with_raylet() -> None:
    """From now on this process ends when its raylet does: an orphan would hold memory and a GPU for ever.

    Ray looks for it too, but was seen to let workers finish what took them long. The raylet may have died
    while this process was still importing, so Ray's word on who it was counts, not today's parent.
    """
    raylet = int(os.environ.get("RAY_RAYLET_PID") or os.getppid())

    def watch() -> None:
        while _lives(raylet):
            time.sleep(WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="end with the raylet", daemon=True).start()


def _lives(raylet: int) -> bool:
    """Whether the raylet is this process's parent, or at least there where something stands between."""
    if os.getppid() == raylet:
        return True
    import psutil

    try:
        return bool(psutil.Process(raylet).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _end_after(seconds: float) -> None:
    """Ends the process by then, whatever it does."""
    timer = threading.Timer(seconds, os._exit, (1,))
    timer.daemon = True
    timer.start()


@functools.lru_cache(maxsize=1)
def _limit_device_memory(device: str, share: float) -> None:
    """Keeps the process to its share of a GPU, which Ray only counts; set again when either changes."""
    import torch

    torch.cuda.set_per_process_memory_fraction(min(1.0, share) if share > 0 else 1.0, device)


def _leave_sign(task: Task, node: str) -> None:
    """Says in the store that this attempt has begun: advice, so a store that takes no sign is no error."""
    if not (task.sweep and task.run_id and task.key):
        return
    sign: dict[str, Any] = {
        "kind": task.kind,
        "num_items": len(task.items),
        "pid": os.getpid(),
        "node": node,
        "started_at": time.time(),
    }
    with contextlib.suppress(StoreError, OSError):
        sweeps.write_started(open_store(task.store_uri).files, task.sweep, task.run_id, task.key, sign)


def _remove_sign(task: Task) -> None:
    """Takes the sign away again."""
    if task.sweep and task.run_id and task.key:
        with contextlib.suppress(StoreError, OSError):
            sweeps.remove_started(open_store(task.store_uri).files, task.sweep, task.run_id, task.key)
