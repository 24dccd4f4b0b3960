"""Plans of many equal batches of one network each, and what stands in for computing them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lmc_sweep.config import parse_sweep
from lmc_sweep.config.sweep import Execution
from lmc_sweep.execution.ray_executor import RayExecutor
from lmc_sweep.execution.ray_functions import Functions
from lmc_sweep.execution.task import Receipt, Task
from lmc_sweep.planning.batching import Batch
from lmc_sweep.planning.plan import Plan, make_plan

ESTIMATE_SECONDS = 30.0
"""Of every batch, and as long it says that it took: a driver that trusts it neither joins nor splits any."""

SWEEP = """
name: batches
store: s
networks:
  - {{dataset: digits, architecture: {{name: mlp, width: [4, 8, 16, 32, 64]}}, seeds: {seeds}}}
execution: {{num_cpus: 1}}
"""


def one_item_plan(num_batches: int, num_slots: int) -> Plan:
    """A plan of so many batches, a multiple of five."""
    plan = make_plan(parse_sweep(SWEEP.format(seeds=num_batches // 5)), None, num_slots)
    batches = [Batch(item.kind, (item,), ESTIMATE_SECONDS) for item in plan.items["network"]]
    return replace(plan, batches=batches)


def pretended(task: Task) -> Receipt:
    """The receipt of a task that did nothing at all."""
    return Receipt(tuple(item.id for item in task.items), seconds=ESTIMATE_SECONDS)


def body(sleep_seconds: float = 0.0) -> Callable[[Task], Receipt]:
    """What a worker does instead of computing: nothing, or sleep. Travels to it by value."""

    def pretend(task: Task) -> Receipt:
        time.sleep(sleep_seconds)
        return Receipt(tuple(item.id for item in task.items), seconds=ESTIMATE_SECONDS)

    return pretend


class PretendingExecutor(RayExecutor):
    """Runs tasks on Ray, whose body is another."""

    def __init__(self, address: str, execution: Execution, instead: Callable[[Task], Receipt]) -> None:
        super().__init__(address, execution)
        self._functions = _Pretending(self._ray, instead)


class _Pretending(Functions):
    """The other body, whatever the number of the attempt."""

    def __init__(self, ray: Any, instead: Callable[[Task], Receipt]) -> None:
        super().__init__(ray)
        self._instead = instead

    def _remote(self, number: int) -> Any:
        return self._ray.remote(max_retries=0)(self._instead)
