"""Asks every machine of a cluster, before it gets work, whether it has what a run needs.

All are asked at once, also those that join later. A machine that lacks something gets no tasks; before
anything has started, that ends the run with the machine's name. One that does not answer is left alone until
it does.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from lmc_sweep.errors import SweepError
from lmc_sweep.execution.node_check import Needs, asked_of, shown
from lmc_sweep.execution.ray_nodes import Node

ANSWER_SECONDS = 40.0
"""How long the first answers are waited for: a busy machine may have to start a process for it."""
MOST_QUESTIONS = 3
"""How often a machine is asked whose answers are lost: any process may be ended once."""
_SHOWN = 4


class Probe:
    """What the machines were asked, and what they said."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self._needs: Needs | None = None
        self._asked: dict[str, tuple[Node, Any]] = {}
        self._known: set[str] = set()
        self._num_asked: Counter[str] = Counter()
        self.refused: dict[str, str] = {}
        """Why machines get no tasks, by their ids."""

    @property
    def silent(self) -> list[str]:
        """Ids of machines that have not answered yet."""
        return list(self._asked)

    def require(self, nodes: Sequence[Node], needs: Needs) -> list[Node]:
        """Asks the machines and waits for them; returns those that do not answer.

        Raises:
            SweepError: If a machine lacks something, or none answers; naming machine and remedy.
        """
        self._needs = needs
        with shown(needs) as meanwhile:
            for node in nodes:
                self._ask(node, meanwhile)
            end = time.monotonic() + ANSWER_SECONDS
            while self._asked and time.monotonic() < end:
                self._ray.wait([reference for _, reference in self._asked.values()], timeout=0.5)
                self._hear(meanwhile)
        late = [node for node, _ in self._asked.values()]
        if self.refused:
            raise SweepError(_told(self.refused))
        if nodes and len(late) == len(nodes):
            raise SweepError(
                f"no node of the cluster began a task within {ANSWER_SECONDS:.0f} s, such as "
                f"{late[0].told}. Look "
                "at it with `ray status`, or run elsewhere"
            )
        return late

    def look(self, nodes: Sequence[Node]) -> dict[str, str]:
        """Asks machines that are new, without waiting; returns what was refused since the last look.

        What is asked of a store that was not there when the run began is left to the tasks.
        """
        alive = {node.id for node in nodes}
        for node_id in [known for known in (*self._asked, *self.refused) if known not in alive]:
            self._asked.pop(node_id, None)
            self.refused.pop(node_id, None)
        if self._needs is None:
            return {}
        for node in nodes:
            if node.id not in self._known:
                self._ask(node, self._needs)
        return self._hear(self._needs) if self._asked else {}

    def now_at(self, needs: Needs) -> None:
        """From now on machines are asked this: the store has been made."""
        self._needs = needs

    def _ask(self, node: Node, needs: Needs) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        strategy = NodeAffinitySchedulingStrategy(node.id, soft=False)
        task = self._ray.remote(num_cpus=0, max_retries=0)(_question())
        reference = task.options(scheduling_strategy=strategy, name="look at the node").remote(
            asked_of(needs)
        )
        self._asked[node.id] = (node, reference)
        self._known.add(node.id)
        self._num_asked[node.id] += 1

    def _hear(self, needs: Needs) -> dict[str, str]:
        """Books the answers that have come, asks anew where they were lost; returns the new refusals."""
        references = {reference: node for node, reference in self._asked.values()}
        ready, _ = self._ray.wait(list(references), num_returns=len(references), timeout=0)
        new = {}
        for reference in ready:
            node = references[reference]
            del self._asked[node.id]
            found, is_lost = _answered(self._ray, reference)
            if is_lost and self._num_asked[node.id] < MOST_QUESTIONS:
                self._ask(node, needs)
            elif found:
                new[node.id] = f"node {node.told}: {'; '.join(found)}"
        self.refused.update(new)
        return new


def _question() -> Any:
    """A task that says what is wrong where it runs. It travels by value: another version may run there."""

    def look_at_the_node(asked: Mapping[str, Any]) -> list[str]:
        from lmc_sweep.execution.node_check import answer

        return answer(asked)

    look_at_the_node.__qualname__ = "look_at_the_node"
    return look_at_the_node


def _answered(ray: Any, reference: Any) -> tuple[list[str], bool]:
    """What a machine said, or why it could not say anything; and whether that may be chance."""
    try:
        return list(ray.get(reference)), False
    except (ray.exceptions.NodeDiedError, ray.exceptions.TaskUnschedulableError):
        return [], False  # it has just left, and counts for nothing any more
    except ray.exceptions.RayTaskError as error:
        cause = getattr(error, "cause", None) or error
        told = " ".join(f"{type(cause).__name__}: {cause}".split())[:300]
        return [f"cannot run the program ({told}). Install the same lmc_sweep on every node"], False
    except ray.exceptions.RayError as error:
        told = " ".join(str(error).split())[:200]
        return [f"a task on it was lost ({type(error).__name__}: {told})"], True


def _told(refused: Mapping[str, str]) -> str:
    """The first refusals, what several nodes say once, and how many more there are."""
    nodes: dict[str, list[str]] = {}
    for text in list(refused.values())[:_SHOWN]:
        node, _, reason = text.removeprefix("node ").partition(": ")
        nodes.setdefault(reason.rstrip("."), []).append(node)
    told = [f"node{'s' * (len(who) > 1)} {', '.join(who)}: {reason}" for reason, who in nodes.items()]
    more = f"; and {len(refused) - _SHOWN} more nodes" if len(refused) > _SHOWN else ""
    return f"{'; '.join(told)}{more}. Nothing was started."
