"""Machines that a cluster takes for alive and that do not answer.

Ray notices after about a minute that a machine hangs, and what it had sent there meanwhile may stay
pending for ever. So when a task has to be cancelled, every machine is asked for a sign of life, and those
that give none get no tasks until they do.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from lmc_sweep.execution.ray_nodes import Node

ANSWER_SECONDS = 8.0
"""Time for a sign of life: a busy machine may have to start a process for it."""
REPEAT_SECONDS = 5.0


class Suspects:
    """The machines that were asked and have not answered."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self._asked: dict[str, tuple[float, list[Any]]] = {}
        self._round = 0
        self._last = 0.0

    @property
    def is_due(self) -> bool:
        """Whether the last question was not asked a moment ago."""
        return not self._round or time.monotonic() - self._last >= REPEAT_SECONDS

    def ask(self, nodes: Sequence[Node]) -> None:
        """Asks every machine for a sign of life, unless that was done a moment ago; does not wait."""
        if not self.is_due:
            return
        now = time.monotonic()
        self.among(nodes)  # an answer to an earlier question says nothing of now
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self._last = now
        self._round += 1
        probe = self._ray.remote(num_cpus=0, max_retries=0)(_probe(self._round))
        for node in nodes:
            strategy = NodeAffinitySchedulingStrategy(node.id, soft=False)
            since, references = self._asked.get(node.id, (now, []))
            reference = probe.options(scheduling_strategy=strategy, name="sign of life").remote()
            self._asked[node.id] = (since, [*references[-2:], reference])

    def among(self, nodes: Sequence[Node]) -> list[str]:
        """Ids of those machines that owe an answer."""
        alive = {node.id for node in nodes}
        for node_id, (_, references) in list(self._asked.items()):
            if node_id not in alive or self._ray.wait(references, timeout=0)[0]:
                del self._asked[node_id]
        late = time.monotonic() - ANSWER_SECONDS
        return [node_id for node_id, (since, _) in self._asked.items() if since < late]

    @property
    def is_asking(self) -> bool:
        """Whether any machine owes an answer."""
        return bool(self._asked)

    def silent(self, nodes: Sequence[Node]) -> list[str]:
        """As ``among``, at once where none was asked."""
        return self.among(nodes) if self._asked else []


def _probe(number: int) -> Any:
    """A task that answers at once, under a name of its own: an earlier one may be stuck."""

    def body() -> bool:
        return True

    body.__name__ = body.__qualname__ = f"sign_of_life_{number}"
    return body
