"""Remote functions of attempts, with what they ask for; kept, since Ray takes a while to make one.

Ray groups tasks by what they ask for and by the name of their function, and sends a group where it sent
the one before. Tasks of a machine that hangs may so be pending for ever, and what is submitted alike
joins them (measured: 72 submissions did nothing, while one under another name ran within seconds). So
every attempt number has a function of its own, and all names change when a machine is lost or a task that
nobody began is given up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmc_sweep.execution.ray_nodes import Demand
from lmc_sweep.execution.ray_worker import MAX_CALLS, attempt_function

MOST_HANDLES = 4096
"""Remote functions with what they ask for that are kept: far more than a sweep has cells and methods."""


class Functions:
    """The functions that Ray was told of until now."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self._generation = 0
        self._bodies: dict[int, Any] = {}
        self._handles: dict[tuple[int, Demand, str, str], Any] = {}

    def __contains__(self, number: int) -> bool:
        """Whether the function of an attempt number is not new to Ray."""
        return number in self._bodies

    def renew(self) -> None:
        """From now on functions get other names."""
        self._generation += 1
        self._bodies.clear()
        self._handles.clear()

    def handle(self, number: int, demand: Demand, name: str, selector: Mapping[str, str] | None) -> Any:
        """The function of an attempt number, whose tasks have this name and ask for this much on machines
        with these labels."""
        known = (number, demand, name, str(selector))
        if known not in self._handles:
            if len(self._handles) >= MOST_HANDLES:
                self._handles.clear()
            if number not in self._bodies:
                self._bodies[number] = self._remote(number)
            self._handles[known] = self._bodies[number].options(
                num_cpus=demand.cpus,
                num_gpus=demand.gpus,
                memory=int(demand.memory_bytes) or None,
                name=name,
                label_selector=selector,
            )
        return self._handles[known]

    def _remote(self, number: int) -> Any:
        """The remote function of an attempt number."""
        body = attempt_function(number, self._generation)
        return self._ray.remote(max_retries=0, max_calls=MAX_CALLS)(body)
