"""How many tasks fit into the machines of a cluster, and how many are put in flight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

from lmc_sweep.config.sweep import Execution, Kind
from lmc_sweep.errors import SweepError
from lmc_sweep.execution.placement import ON_CPUS, kind_of, places, resources
from lmc_sweep.execution.ray_nodes import Demand, Node, fits, listed, num_slots, total

KINDS: tuple[Kind, ...] = get_args(Kind)


class Room:
    """What tasks ask for, against what machines have."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._nodes: Sequence[Node] = ()
        self._total = (0.0, 0.0)
        self._resources = {
            place: resources(execution, place) for kind in KINDS for place in (kind, kind + ON_CPUS)
        }
        self._memory_bytes: dict[str, float] = {}
        self._num_slots: dict[str, int] = {}

    def now_on(self, nodes: Sequence[Node]) -> None:
        """From now on these are the machines."""
        self._nodes, self._total = nodes, total(nodes)
        self._num_slots.clear()

    def require(self, where: str) -> None:
        """Raises SweepError where no machine has what a task asks for, and none is to come."""
        if self._execution.num_pending:
            return
        for kind in KINDS:
            if self.num_slots(kind) == 0:
                raise SweepError(
                    f"execution: a task of kind {kind} asks for {self.demand(kind)}, and no node of "
                    f"{where} has "
                    f"them: {listed(self._nodes)}. Lower execution.num_cpus or execution.num_gpus, change "
                    "execution.labels, or let machines be added for what waits: execution.num_pending."
                )

    def demand(self, place: str, memory_bytes: float | None = None) -> Demand:
        """What one task of a place asks for; without ``memory_bytes``, as the last that was submitted
        there."""
        cpus, gpus = self._resources[place]
        memory = self._memory_bytes.get(place, 0.0) if memory_bytes is None else memory_bytes
        return Demand(cpus, gpus, memory, self._execution.labels_of(kind_of(place)))

    def expect(self, place: str, memory_bytes: float) -> None:
        """From now on a task of a place is expected to ask for so much memory."""
        if self._memory_bytes.get(place) != memory_bytes:
            self._memory_bytes[place] = memory_bytes
            self._num_slots.pop(place, None)

    def able(self) -> list[Node]:
        """The machines that may get a task of any kind."""
        demands = [self.demand(place) for kind in KINDS for place in places(self._execution, kind)]
        return [node for node in self._nodes if any(fits(node, demand) >= 1 - 1e-9 for demand in demands)]

    def num_slots(self, place: str) -> int:
        """Tasks of a place that fit at a time, counted once for as long as machines and memory are the
        same."""
        if place not in self._num_slots:
            self._num_slots[place] = num_slots(self._nodes, self.demand(place))
        return self._num_slots[place]

    def is_left(self, place: str, running: Mapping[str, int]) -> bool:
        """Until what the place needs is taken twice: one waits behind each that runs, so that none idles.

        With ``execution.num_pending``, until so many wait: an autoscaler adds machines for what waits.
        """
        pending, (cpus, gpus) = self._execution.num_pending, self._resources[place]
        own = self.num_slots(place)
        if running.get(place, 0) >= max(own + max(own, pending or 0), 1):
            return False
        taken_cpus = taken_gpus = 0.0
        for other, count in running.items():
            other_cpus, other_gpus = self._resources[other]
            taken_cpus += count * other_cpus
            taken_gpus += count * other_gpus
        total_cpus, total_gpus = self._total
        more_cpus = total_cpus if pending is None else max(total_cpus, pending * cpus)
        more_gpus = total_gpus if pending is None else max(total_gpus, pending * gpus)
        return taken_cpus < max(total_cpus + more_cpus, cpus) and (
            not gpus or taken_gpus < max(total_gpus + more_gpus, gpus)
        )
