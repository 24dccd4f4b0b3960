"""Tasks on Ray: a private local cluster, or one that is already running.

Decisions that come from what Ray does:

- Ray's own retries are off: the driver retries, and knows why.
- Ray groups tasks by what they ask for and by the name of their function, and sends a group where it sent
  the one before. Tasks of a machine that hangs may so be pending for ever, and what is submitted alike
  joins them (measured: 72 submissions did nothing, while one under another name ran within seconds). So
  every attempt number has a function of its own, and all names change when a machine is lost or a task
  that nobody began is given up.
- GPU tasks keep their process (Ray would start a new one for each). Since a process may then see several
  devices in its life, Ray is told to leave the device variables alone, and each task is told its device.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lmc_sweep.config.sweep import Execution, Kind
from lmc_sweep.errors import StoreError, SweepError
from lmc_sweep.execution.executor import Attempt, Completion, Lost
from lmc_sweep.execution.node_check import Needs
from lmc_sweep.execution.placement import kind_of, places, resources
from lmc_sweep.execution.progress import Progress
from lmc_sweep.execution.ray_cluster import RayCluster, gone
from lmc_sweep.execution.ray_metrics import RunMetrics
from lmc_sweep.execution.ray_nodes import Demand, Node, fits, listed, num_slots, stepped, total, within
from lmc_sweep.execution.ray_probe import Probe
from lmc_sweep.execution.ray_suspects import NODE_LABEL, Suspects
from lmc_sweep.execution.ray_worker import MAX_CALLS, attempt_function
from lmc_sweep.execution.task import ItemFailure, Receipt, Task
from lmc_sweep.redaction import redact
from lmc_sweep.store import sweeps
from lmc_sweep.store.files import open_files

_KINDS: tuple[Kind, ...] = ("network", "alignment", "barrier")
_MESSAGE_CHARACTERS = 1000

MOST_HANDLES = 4096
"""Remote functions with what they ask for that are kept: far more than a sweep has cells and methods."""

MANY_TASKS = 16
"""In flight, beyond which one more question, for all that have ended, costs less than it spares."""


class RayExecutor:
    """Runs tasks on Ray."""

    def __init__(
        self, address: str, execution: Execution, notice: Callable[[str], None] = lambda text: None
    ) -> None:
        """Starts (``local``) or joins (``auto``, ``HOST:PORT``) a cluster; ``notice`` is told of its
        machines.

        Raises:
            SweepError: If the cluster is not there, refuses us, or lacks what a task asks for.
        """
        self._execution, self._notice = execution, notice
        self._cluster = RayCluster(address, uses_gpus=any(execution.resources(kind)[1] for kind in _KINDS))
        self._ray = self._cluster.ray
        self._suspects = Suspects(self._ray)
        self._probe = Probe(self._ray)
        self._tasks: dict[Any, tuple[str, Task]] = {}
        self._references: dict[str, Any] = {}
        self._waiting: dict[str, tuple[Task, Attempt]] = {}
        self._functions: dict[int, Any] = {}
        self._handles: dict[tuple[int, Demand, str, str], Any] = {}
        self._memory_bytes: dict[str, float] = {}
        self._generation = 0
        self._metrics: RunMetrics | None = None
        self._known: set[str] = set()
        self._seen: list[Node] = []
        self._usable: list[Node] = []
        self._total = (0.0, 0.0)
        self._num_slots: dict[Demand, int] = {}
        self._quick: dict[tuple[int, str, float, float, str], Any] = {}
        where = "a private cluster on this machine" if address == "local" else f"the cluster at {address}"
        cpus, gpus = total(self._nodes())
        self.description = f"Ray on {where}, {cpus:g} CPUs, {gpus:g} GPUs"
        try:
            self._require_room(where)
        except SweepError:
            self.close()
            raise

    def _require_room(self, where: str) -> None:
        """Raises SweepError where no machine has what a task asks for, and none is to come."""
        if self._execution.num_pending:
            return
        for kind in _KINDS:
            if self.num_slots(kind) == 0:
                raise SweepError(
                    f"execution: a task of kind {kind} asks for {self._demand(kind)}, and no node of "
                    f"{where} has "
                    f"them: {listed(self._nodes())}. Lower execution.num_cpus or execution.num_gpus, change "
                    "execution.labels, or let machines be added for what waits: execution.num_pending."
                )

    def require_nodes(self, needs: Needs) -> None:
        """Asks every machine that may get tasks whether it has what the run needs; not our own, which has.

        Raises:
            SweepError: If one lacks something, naming it; nothing was started.
        """
        if self._cluster.is_own:
            return
        late = self._probe.require(self._able(), needs)
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
        return self._counted(self._nodes(), self._demand(place))

    def has_room(self, place: str, running: Mapping[str, int]) -> bool:
        """Until what the place needs is taken twice: one waits behind each that runs, so that none idles.

        With ``execution.num_pending``, until so many wait: an autoscaler adds machines for what waits.

        Raises:
            ExecutorGone: If the cluster is gone.
        """
        self._cluster.look()
        if not self._cluster.answers:
            return False
        nodes, demand, pending = self._nodes(), self._demand(place), self._execution.num_pending
        taken_cpus = taken_gpus = 0.0
        for other, count in running.items():
            other_cpus, other_gpus = resources(self._execution, other)
            taken_cpus += count * other_cpus
            taken_gpus += count * other_gpus
        total_cpus, total_gpus = self._total
        own = self._counted(nodes, demand)
        if running.get(place, 0) >= max(own + max(own, pending or 0), 1):
            return False
        more_cpus = total_cpus if pending is None else max(total_cpus, pending * demand.cpus)
        more_gpus = total_gpus if pending is None else max(total_gpus, pending * demand.gpus)
        return taken_cpus < max(total_cpus + more_cpus, demand.cpus) and (
            not demand.gpus or taken_gpus < max(total_gpus + more_gpus, demand.gpus)
        )

    def _counted(self, nodes: Sequence[Node], demand: Demand) -> int:
        """Tasks that fit into the machines, counted once for as long as those are the same."""
        if demand not in self._num_slots:
            self._num_slots[demand] = num_slots(nodes, demand)
        return self._num_slots[demand]

    def _demand(self, place: str, memory_bytes: float | None = None) -> Demand:
        """What one task of a place asks for; without ``memory_bytes``, as the last that was submitted
        there."""
        cpus, gpus = resources(self._execution, place)
        memory = self._memory_bytes.get(place, 0.0) if memory_bytes is None else memory_bytes
        return Demand(cpus, gpus, memory, self._execution.labels_of(kind_of(place)))

    def _able(self) -> list[Node]:
        """The machines that may get a task of any kind."""
        demands = [self._demand(place) for kind in _KINDS for place in places(self._execution, kind)]
        return [node for node in self._nodes() if any(fits(node, demand) >= 1 - 1e-9 for demand in demands)]

    def submit(self, key: str, task: Task, attempt: Attempt) -> None:
        """Hands a task to Ray, apart from earlier attempts and from machines that do not answer.

        A function that is new to Ray needs the cluster's head: while that does not answer, the task waits.
        """
        if attempt.number not in self._functions and not self._cluster.answers_now():
            self._waiting[key] = (task, attempt)
            return
        reference = self._asking(task.kind, attempt).remote(task)
        self._tasks[reference] = (key, task)
        self._references[key] = reference

    def cancel(self, key: str, *, force: bool) -> None:
        """Raises KeyboardInterrupt in the task, or ends its process; asks all machines whether they live.

        Raises:
            ExecutorGone: If the cluster is gone.
        """
        reference = self._references.get(key)
        if reference is None:
            return
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
            self._renew()

    def is_started(self, key: str) -> bool:
        """Whether its sign stands in the store: a worker has begun it and has not ended in order.

        Of a store that cannot be read nobody knows: no attempt is held against an item then.
        """
        reference = self._references.get(key)
        if reference is None:
            return False
        task = self._tasks[reference][1]
        if not (task.sweep and task.run_id):
            return False
        try:
            files = open_files(task.store_uri)
            return (task.key or key) in sweeps.read_started(files, task.sweep, task.run_id)
        except (StoreError, OSError):
            return False

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
            self._renew()
        for told in self._probe.look(nodes).values():
            self._notice(f"{told}. It gets no tasks.")
        self._known, self._seen = now, nodes
        refused = self._probe.refused
        self._usable = [node for node in nodes if node.id not in refused] if refused else nodes
        self._total = total(self._usable)
        self._num_slots.clear()
        self._quick.clear()
        return self._usable

    def _renew(self) -> None:
        """From now on functions get other names."""
        self._generation += 1
        self._functions.clear()
        self._handles.clear()
        self._quick.clear()

    def _asking(self, kind: str, attempt: Attempt) -> Any:
        """An attempt's remote function with what it asks for; kept, since Ray takes a while to make one."""
        place = attempt.place or kind
        nodes = self._nodes()  # may change all names, so it comes first
        quick = (attempt.number, place, attempt.share, attempt.memory_bytes, attempt.name)
        is_calm = not (self._suspects.is_asking or self._probe.silent)
        if is_calm and quick in self._quick:
            return self._quick[quick]
        demand = within(self._demand(place, stepped(attempt.memory_bytes)), nodes)
        self._memory_bytes[place] = demand.memory_bytes
        if attempt.share > 1:
            roomiest = max((fits(node, demand) for node in nodes), default=1.0)
            demand = demand.times(max(1.0, min(attempt.share, roomiest)))
        selector = self._selector(demand, nodes)
        known = (attempt.number, demand, attempt.name, str(selector))
        if known not in self._handles:
            if len(self._handles) >= MOST_HANDLES:
                self._handles.clear()
            self._handles[known] = self._function(attempt.number).options(
                num_cpus=demand.cpus,
                num_gpus=demand.gpus,
                memory=int(demand.memory_bytes) or None,
                name=attempt.name or kind,
                label_selector=selector,
            )
        if is_calm:
            self._quick[quick] = self._handles[known]
        return self._handles[known]

    def _selector(self, demand: Demand, nodes: Sequence[Node]) -> dict[str, str] | None:
        """Labels that a machine must have: those asked for, and not to be one that is silent or refused."""
        avoided = {*self._suspects.silent(nodes), *self._probe.silent, *self._probe.refused}
        selector = dict(demand.labels)
        if avoided and len(avoided.intersection(node.id for node in nodes)) < len(nodes):
            selector[NODE_LABEL] = f"!in({','.join(sorted(avoided))})"
        return selector or None

    def _function(self, number: int) -> Any:
        """The remote function of an attempt number."""
        if number not in self._functions:
            body = attempt_function(number, self._generation)
            self._functions[number] = self._ray.remote(max_retries=0, max_calls=MAX_CALLS)(body)
        return self._functions[number]

    def _completion(self, reference: Any) -> Completion:
        """What became of a task: its receipt, an error on the worker, or how Ray lost it."""
        key, task = self._tasks.pop(reference)
        del self._references[key]
        known = self._ray.exceptions
        try:
            return Completion(key, self._ray.get(reference))
        except known.TaskCancelledError as error:  # also a RayTaskError where the task was interrupted
            return Completion(key, Lost("cancelled", "TaskCancelledError", _told(error)))
        except known.RayTaskError as error:
            return Completion(key, Receipt((), (_failure(task, error),)))
        except known.LocalRayletDiedError as error:
            raise gone() from error
        except known.RayError as error:
            return Completion(key, Lost(self._cause(error), type(error).__name__, _told(error)))

    def _cause(self, error: Exception) -> str:
        """The class of what Ray says of a task that it lost."""
        known = self._ray.exceptions
        if isinstance(error, known.OutOfMemoryError):
            return "host_memory"
        if isinstance(error, known.NodeDiedError | known.TaskUnschedulableError):
            return "node_lost"
        return "worker_died"


def _failure(task: Task, error: Exception) -> ItemFailure:
    """What a worker raised before or after it was in our hands, which catch everything.

    A worker that cannot even read the task has another program than the driver, or none.
    """
    cause = getattr(error, "cause", None) or error
    names = {kind.__name__ for kind in type(cause).__mro__}
    if isinstance(cause, MemoryError):
        name = "host_memory"
    else:
        name = "version" if names & {"ImportError", "AttributeError", "RaySystemError"} else "error"
    told = _told(cause)
    if name == "version":
        told = f"a worker cannot load the task; is the same lmc_sweep installed there? {told}"
    return ItemFailure(
        kind=task.kind,
        item_ids=tuple(item.id for item in task.items),
        error_type=type(cause).__name__,
        message=told[:_MESSAGE_CHARACTERS],
        traceback=redact(str(error))[-8 * _MESSAGE_CHARACTERS :],
        cause=name,
    )


def _told(error: BaseException) -> str:
    """An error's text in one line."""
    return redact(" ".join(str(error).split()))[:_MESSAGE_CHARACTERS]
