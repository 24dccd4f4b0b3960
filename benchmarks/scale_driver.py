"""The driver's own cost: no-op batches on Ray against bare Ray tasks, and its memory over 100,000 batches."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from typing import Any

import psutil

from benchmarks.scale_batches import PretendingExecutor, body, one_item_plan, pretended
from benchmarks.whole_process import allowed, printed
from lmc_sweep.execution.driver import Driver
from lmc_sweep.execution.executor import Attempt, Completion, InlineExecutor
from lmc_sweep.execution.progress import StopRequest
from lmc_sweep.execution.run import SilentReporter
from lmc_sweep.execution.task import Task
from lmc_sweep.store.store import Store

NUM_TASKS = 10_000
NUM_PRETENDED = 100_000
FIRST_LOOK = 1_000
LEAST_SHARE = 0.7
GROWTH_MEGABYTES = 20.0
ASKED_RATE = 5_000.0


def rows() -> list[dict[str, Any]]:
    """Batches per second of driver and bare tasks on one cluster; megabytes and rate without Ray."""
    growth, rate = printed("benchmarks.scale_driver", "without_ray")
    ours, bare, window = printed("benchmarks.scale_driver", "on_ray", NUM_TASKS)
    return [
        {
            "name": f"{NUM_TASKS} no-op batches on Ray, {window} in flight",
            "ours": ours,
            "baseline": bare,
            "ratio": ours / bare,
            "target": LEAST_SHARE,
            "unit": "batches per second",
        },
        {
            "name": f"{NUM_PRETENDED} batches without Ray",
            "ours": rate,
            "baseline": ASKED_RATE,
            "ratio": rate / ASKED_RATE,
            "target": 1.0,
            "unit": "batches per second",
        },
        allowed(
            f"driver's growth, {FIRST_LOOK} to {NUM_PRETENDED} batches",
            max(growth, 0.1),
            GROWTH_MEGABYTES,
            "MB",
        ),
    ]


def on_ray(num_tasks: int) -> tuple[float, float, int]:
    """Batches per second of our driver, of bare Ray tasks under the same window, and that window."""
    from lmc_sweep.config.sweep import Execution

    with tempfile.TemporaryDirectory() as folder:
        executor = PretendingExecutor("local", Execution(), body())
        try:
            window = 0
            while executor.has_room("network", {"network": window}):
                window += 1
            first = max(num_tasks // 10, 50)  # starts the workers, which import what they need
            _bare(first, window)
            _ours(first, executor, f"{folder}/first")
            bare = _bare(num_tasks, window)
            ours = _ours(num_tasks, executor, f"{folder}/second")
        finally:
            executor.close()
    return ours, bare, window


def _ours(num_tasks: int, executor: PretendingExecutor, store: str) -> float:
    """Batches per second of our driver."""
    driver = Driver(
        one_item_plan(num_tasks, 2), Store.create(store), executor, SilentReporter(), StopRequest()
    )
    start = time.perf_counter()
    driver.run()
    seconds = time.perf_counter() - start
    _require_all(driver, num_tasks)
    return num_tasks / seconds


def _bare(num_tasks: int, window: int) -> float:
    """Tasks per second of a plain loop over ``ray.wait``, so many in flight."""
    import ray

    def nothing(number: int) -> int:
        return number

    remote = ray.remote(max_retries=0)(nothing)
    pending: list[Any] = []
    submitted = 0
    start = time.perf_counter()
    while submitted < num_tasks or pending:
        while submitted < num_tasks and len(pending) < window:
            pending.append(remote.options(num_cpus=1).remote(submitted))
            submitted += 1
        ready, pending = ray.wait(pending, num_returns=1)
        ray.get(ready)
    return num_tasks / (time.perf_counter() - start)


class _WithoutRay(InlineExecutor):
    """Hands every task back at once, as done; looks at this process's memory twice."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[tuple[str, Task]] = []
        self._ended = 0
        self.megabytes = [0.0, 0.0]

    def num_slots(self, kind: str) -> int:
        """As many as eight cores have."""
        return 8

    def has_room(self, kind: str, running: Any) -> bool:
        """Twice that."""
        return sum(running.values()) < 16

    def submit(self, key: str, task: Task, attempt: Attempt) -> None:
        """Keeps a task for the next look."""
        self._waiting.append((key, task))

    def wait(self, timeout: float) -> list[Completion]:
        """Everything that was submitted."""
        over = [Completion(key, pretended(task)) for key, task in self._waiting]
        before, self._ended = self._ended, self._ended + len(over)
        self._waiting = []
        if before < FIRST_LOOK <= self._ended:
            self.megabytes[0] = resident_megabytes()
        if self._ended == NUM_PRETENDED:
            self.megabytes[1] = resident_megabytes()
        return over


def without_ray() -> tuple[float, float]:
    """Megabytes by which a driver grows from its first batches to its last, and batches per second."""
    plan = one_item_plan(NUM_PRETENDED, 8)
    executor = _WithoutRay()
    with tempfile.TemporaryDirectory() as folder:
        driver = Driver(plan, Store.create(f"{folder}/store"), executor, SilentReporter(), StopRequest())
        start = time.perf_counter()
        driver.run()
        seconds = time.perf_counter() - start
    _require_all(driver, NUM_PRETENDED)
    return executor.megabytes[1] - executor.megabytes[0], NUM_PRETENDED / seconds


def resident_megabytes() -> float:
    """What this process holds now."""
    return float(psutil.Process().memory_info().rss / 1e6)


def _require_all(driver: Driver, num_tasks: int) -> None:
    """Raises RuntimeError where a driver ended without having done everything."""
    done = driver.progress().kinds["network"].done
    if done != num_tasks:
        raise RuntimeError(f"{done} of {num_tasks} batches were done")


if __name__ == "__main__":
    print(json.dumps(without_ray() if sys.argv[1] == "without_ray" else on_ray(int(sys.argv[2]))))
