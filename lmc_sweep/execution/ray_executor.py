"""Tasks on Ray: a private local cluster, or one that is already running.

Decisions that come from what Ray does:

- Ray's own retries are off: the driver retries, and knows why.
- Every attempt number has a function of its own (``ray_functions``).
- GPU tasks keep their process (Ray would start a new one for each). Since a process may then see several
  devices in its life, Ray is told to leave the device variables alone, and each task is told its device.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from lmc_sweep.config.sweep import Execution
from lmc_sweep.errors import SweepError
from lmc_sweep.execution.executor import Attempt, Completion
from lmc_sweep.execution.node_check import Needs
from lmc_sweep.execution.progress import Progress
from lmc_sweep.execution.ray_answers import outcome
from lmc_sweep.execution.ray_cluster import RayCluster
from lmc_sweep.execution.ray_functions import Functions
from lmc_sweep.execution.ray_metrics import RunMetrics
from lmc_sweep.execution.ray_nodes import Node, fits, selector, stepped, total, within
from lmc_sweep.execution.ray_probe import Probe
from lmc_sweep.execution.ray_room import KINDS, Room
from lmc_sweep.execution.ray_sent import SETTLE_SECONDS, Sent, begun, missed
from lmc_sweep.execution.ray_suspects import Suspects
from lmc_sweep.execution.task import Task

MANY_TASKS = 16
"""In flight, beyond which one more question, for all that have ended, costs less than it spares."""


class RayExecutor:
    """Runs tasks on Ray."""

    def __init__(
        self, address: str, execution: Execution, notice: Callable[[str], None] = lambda text: None
    ) -> None:
        """Starts or joins the cluster at an address; ``notice`` is told of its machines.

        Raises:
            SweepError: If the cluster is not there, refuses us, or lacks what a task asks for.
        """
        self._notice = notice
        self._cluster = RayCluster(address, uses_gpus=any(execution.resources(kind)[1] for kind in KINDS))
        self._ray = self._cluster.ray
        self._suspects = Suspects(self._ray)
        self._probe = Probe(self._ray)
        self._tasks: dict[Any, Sent] = {}
        self._references: dict[str, Any] = {}
        self._waiting: dict[str, tuple[Task, Attempt]] = {}
        self._functions = Functions(self._ray)
        self._room = Room(execution)
        self._metrics: RunMetrics | None = None
        self._known: set[str] = set()
        self._lost_at: float | None = None
        self._seen: list[Node] = []
        self._usable: list[Node] = []
        self._quick: dict[tuple[int, str, float, float, str], Any] = {}
        places = {"local": "a private cluster on this machine", "auto": "the cluster of this machine"}
        where = places.get(address, f"the cluster at {address}")
        cpus, gpus = total(self._nodes())
        self.description = f"Ray on {where}, {cpus:g} CPUs, {gpus:g} GPUs"
        try:
            self._room.require(where)
        except SweepError:
            self.close()
            raise

    def require_nodes(self, needs: Needs) -> None:
        """Asks every machine that may get tasks whether it has what the run needs; not our own, which has.

        Raises:
            SweepError: If one lacks something, naming it; nothing was started.
        """
        if self._cluster.is_own:
            return
        self._nodes()
        late = self._probe.require(self._room.able(), needs)
        if late:
            self._notice(
                f"{len(late)} nodes do not answer, such as {late[0].told}: they get no tasks until they do."
            )

    def store_is_made(self, needs: Needs) -> None:
        """From now on machines that join are asked for this store."""
        self._probe.now_at(needs)

    def tell_metrics(self, sweep: str, progress: Progress, slots: Mapping[str, int]) -> None:
        """Sets the metrics of a run, which Ray's agents export; nobody looks at those of a cluster of our
        own."""
        if self._cluster.is_own or not self._cluster.answers:
            return
        if self._metrics is None:
            from ray.util import metrics

            self._metrics = RunMetrics(metrics, sweep)
        self._metrics.tell(progress, slots)

    def num_slots(self, place: str) -> int:
        """Tasks of a place that fit into the machines that are alive and have what the run needs."""
        self._nodes()
        return self._room.num_slots(place)

    def has_room(self, place: str, running: Mapping[str, int]) -> bool:
        """Whether the cluster answers and has room for a task of a place beside those that run.

        Raises:
            ExecutorGone: If the cluster is gone.
        """
        self._cluster.look()
        if not self._cluster.answers:
            return False
        self._nodes()
        return self._room.is_left(place, running)

    def submit(self, key: str, task: Task, attempt: Attempt) -> None:
        """Hands a task to Ray, apart from earlier attempts and from machines that do not answer.

        A function that is new to Ray needs the cluster's head: while that does not answer, the task waits.
        """
        if attempt.number not in self._functions and not self._cluster.answers_now():
            self._waiting[key] = (task, attempt)
            return
        reference = self._asking(task.kind, attempt).remote(task)
        self._tasks[reference] = Sent(key, task, attempt, time.monotonic())
        self._references[key] = reference

    def cancel(self, key: str, *, force: bool) -> None:
        """Raises KeyboardInterrupt in the task, or ends its process; asks all machines whether they live.

        Raises:
            ExecutorGone: If the cluster is gone.
        """
        reference = self._references.get(key)
        if reference is None:
            return
        self._tasks[reference] = replace(self._tasks[reference], is_cancelled=True)
        self._ray.cancel(reference, force=force, recursive=False)
        if self._suspects.is_due:  # of many tasks that are cancelled together only the first asks
            if self._cluster.answers_now():
                self._suspects.ask(self._nodes())
            self._cluster.look()

    def forget(self, key: str) -> None:
        """Drops the task's reference; what is submitted from now on takes other ways than it did."""
        self._waiting.pop(key, None)
        reference = self._references.pop(key, None)
        if reference is not None:
            del self._tasks[reference]
            self._functions.renew()
            self._quick.clear()

    def is_started(self, key: str) -> bool:
        """Whether its sign stands in the store: a worker has begun it and has not ended in order.

        Of a store that cannot be read nobody knows: no attempt is held against an item then.
        """
        reference = self._references.get(key)
        return reference is not None and key in (begun(self._tasks[reference].task) or ())

    def wait(self, timeout: float) -> list[Completion]:
        """Tasks that have ended; waits up to ``timeout`` seconds for the first.

        Raises:
            ExecutorGone: If the cluster is gone.
        """
        self._cluster.look()
        if self._waiting and self._cluster.answers:
            waiting, self._waiting = self._waiting, {}
            for key, (task, attempt) in waiting.items():
                self.submit(key, task, attempt)
        if not self._tasks:
            time.sleep(timeout if self._waiting else 0)
            return []
        if self._lost_at is not None and time.monotonic() - self._lost_at >= SETTLE_SECONDS:
            self._send_again(self._lost_at)
        ready, _ = self._ray.wait(list(self._tasks), num_returns=1, timeout=timeout)
        if ready and len(self._tasks) > MANY_TASKS:
            ready, _ = self._ray.wait(list(self._tasks), num_returns=len(self._tasks), timeout=0)
        return [self._completion(reference) for reference in ready]

    def close(self) -> None:
        """Leaves the cluster; a private one ends, with its workers."""
        self._tasks.clear()
        self._references.clear()
        self._waiting.clear()
        self._cluster.close()

    def kill(self) -> None:
        """Ends the processes of a private cluster at once, without asking them."""
        self._cluster.kill()

    def _nodes(self) -> list[Node]:
        """The machines that are alive and were not refused; all names change when one has left."""
        nodes = self._cluster.nodes()
        if nodes is self._seen and not self._probe.silent:
            return self._usable
        now = {node.id for node in nodes}
        if self._known - now:
            self._functions.renew()
            self._lost_at = time.monotonic()
        for told in self._probe.look(nodes).values():
            self._notice(f"{told}. It gets no tasks.")
        self._known, self._seen = now, nodes
        left_out = {*self._probe.refused, *self._probe.silent}
        self._usable = [node for node in nodes if node.id not in left_out] if left_out else nodes
        self._room.now_on(self._usable)
        self._quick.clear()
        return self._usable

    def _send_again(self, lost_at: float) -> None:
        """Submits anew what a machine may have taken along that was lost then.

        What merely queued loses its place by that, and nothing else; should the first come to be computed
        after all, the second finds its results in the store.
        """
        if not self._cluster.answers_now():
            return
        _, pending = self._ray.wait(list(self._tasks), num_returns=len(self._tasks), timeout=0)
        found = missed([self._tasks[reference] for reference in pending], lost_at)
        self._lost_at = None if found is not None else lost_at + SETTLE_SECONDS  # then it is asked again
        for sent in found or ():
            reference = self._references.pop(sent.key)
            del self._tasks[reference]
            self._ray.cancel(reference, force=False, recursive=False)
            self.submit(sent.key, sent.task, sent.attempt)

    def _asking(self, kind: str, attempt: Attempt) -> Any:
        """An attempt's remote function with what it asks for; kept, since Ray takes a while to make one."""
        place = attempt.place or kind
        nodes = self._nodes()  # may change all names, so it comes first
        quick = (attempt.number, place, attempt.share, attempt.memory_bytes, attempt.name)
        is_calm = not (self._suspects.is_asking or self._probe.silent)
        if is_calm and quick in self._quick:
            return self._quick[quick]
        demand = within(self._room.demand(place, stepped(attempt.memory_bytes)), nodes)
        self._room.expect(place, demand.memory_bytes)
        if attempt.share > 1:
            roomiest = max((fits(node, demand) for node in nodes), default=1.0)
            demand = demand.times(max(1.0, min(attempt.share, roomiest)))
        silent = {*self._suspects.silent(nodes), *self._probe.silent}
        labels = selector(demand, nodes, silent, self._probe.refused) or None
        handle = self._functions.handle(attempt.number, demand, attempt.name or kind, labels)
        if is_calm:
            self._quick[quick] = handle
        return handle

    def _completion(self, reference: Any) -> Completion:
        """What became of a task, which is not waited for any more."""
        sent = self._tasks.pop(reference)
        del self._references[sent.key]
        return Completion(sent.key, outcome(self._ray, reference, sent.task))
