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
from collections.abc import Mapping
from typing import Any

from lmc_sweep.config.sweep import Execution, Kind
from lmc_sweep.errors import StoreError, SweepError
from lmc_sweep.execution.executor import Attempt, Completion, Lost
from lmc_sweep.execution.ray_cluster import Node, RayCluster, gone
from lmc_sweep.execution.ray_suspects import Suspects
from lmc_sweep.execution.ray_worker import MAX_CALLS, attempt_function
from lmc_sweep.execution.task import ItemFailure, Receipt, Task
from lmc_sweep.redaction import redact
from lmc_sweep.store import sweeps
from lmc_sweep.store.files import open_files

_KINDS: tuple[Kind, ...] = ("network", "alignment", "barrier")
_MESSAGE_CHARACTERS = 1000

MANY_TASKS = 16
"""In flight, beyond which one more question, for all that have ended, costs less than it spares."""


class RayExecutor:
    """Runs tasks on Ray."""

    def __init__(self, address: str, execution: Execution) -> None:
        """Starts (``local``) or joins (``auto``, ``HOST:PORT``) a cluster.

        Raises:
            SweepError: If the cluster is not there, refuses us, or lacks what a task asks for.
        """
        self._execution = execution
        self._cluster = RayCluster(address, uses_gpus=any(execution.resources(kind)[1] for kind in _KINDS))
        self._ray = self._cluster.ray
        self._suspects = Suspects(self._ray)
        self._tasks: dict[Any, tuple[str, Task]] = {}
        self._references: dict[str, Any] = {}
        self._waiting: dict[str, tuple[Task, Attempt]] = {}
        self._functions: dict[int, Any] = {}
        self._handles: dict[tuple[int, str, float, str], Any] = {}
        self._generation = 0
        self._known: set[str] = set()
        where = "a private cluster on this machine" if address == "local" else f"the cluster at {address}"
        cpus, gpus = _total(self._nodes())
        self.description = f"Ray on {where}, {cpus:g} CPUs, {gpus:g} GPUs"
        for kind in _KINDS:
            if self.num_slots(kind) == 0:
                wanted = "{:g} CPUs and {:g} GPUs".format(*execution.resources(kind))
                self.close()
                raise SweepError(
                    f"execution: a task of kind {kind} asks for {wanted}, and no node of {where} has them "
                    f"({cpus:g} and {gpus:g} in all). Lower execution.num_cpus or execution.num_gpus."
                )

    def num_slots(self, kind: str) -> int:
        """Tasks of a kind that fit into the nodes that are alive."""
        cpus, gpus = self._execution.resources(kind)  # type: ignore[arg-type]
        return sum(int(_times(node, cpus, gpus) + 1e-9) for node in self._nodes())

    def has_room(self, kind: str, running: Mapping[str, int]) -> bool:
        """Until what the kind needs is taken twice: one waits behind each that runs, so that none idles.

        Raises:
            ExecutorGone: If the cluster is gone.
        """
        self._cluster.look()
        if not self._cluster.answers:
            return False
        nodes = self._nodes()
        cpus, gpus = self._execution.resources(kind)  # type: ignore[arg-type]
        taken_cpus = taken_gpus = 0.0
        for other, count in running.items():
            other_cpus, other_gpus = self._execution.resources(other)  # type: ignore[arg-type]
            taken_cpus += count * other_cpus
            taken_gpus += count * other_gpus
        total_cpus, total_gpus = _total(nodes)
        return taken_cpus < max(2 * total_cpus, cpus) and (not gpus or taken_gpus < max(2 * total_gpus, gpus))

    def _max_share(self, kind: str) -> float:
        """How many times its resources a task of a kind could have on the largest machine; at least 1."""
        cpus, gpus = self._execution.resources(kind)  # type: ignore[arg-type]
        return max([1.0, *(_times(node, cpus, gpus) for node in self._nodes())])

    def submit(self, key: str, task: Task, attempt: Attempt) -> None:
        """Hands a task to Ray, apart from earlier attempts and from machines that do not answer.

        A function that is new to Ray needs the cluster's head: while that does not answer, the task waits.
        """
        if attempt.number not in self._functions and not self._cluster.answers_now():
            self._waiting[key] = (task, attempt)
            return
        share = min(attempt.share, self._max_share(task.kind)) if attempt.share > 1 else 1.0
        reference = self._asking(attempt.number, task.kind, share).remote(task)
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
        """The machines that are alive; all names change when one has left."""
        nodes = self._cluster.nodes()
        now = {node.id for node in nodes}
        if self._known - now:
            self._renew()
        self._known = now
        return nodes

    def _renew(self) -> None:
        """From now on functions get other names."""
        self._generation += 1
        self._functions.clear()
        self._handles.clear()

    def _asking(self, number: int, kind: str, share: float) -> Any:
        """An attempt's remote function with what it asks for; kept, since Ray takes a while to make one."""
        selector = self._suspects.selector(self._nodes())  # may change all names, so it comes first
        function = self._function(number)
        known = (number, kind, share, str(selector))
        if known not in self._handles:
            cpus, gpus = self._execution.resources(kind)  # type: ignore[arg-type]
            self._handles[known] = function.options(
                num_cpus=cpus * share,
                num_gpus=_whole_above_1(gpus * share),
                name=kind,
                label_selector=selector,
            )
        return self._handles[known]

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


def _times(node: Node, cpus: float, gpus: float) -> float:
    """How many times a machine has what is asked for."""
    return min([node.cpus / cpus, *([node.gpus / gpus] if gpus else [])])


def _whole_above_1(amount: float) -> float:
    """GPUs that Ray can give: a part of one, or whole ones."""
    return amount if amount <= 1 else float(int(amount))


def _total(nodes: list[Node]) -> tuple[float, float]:
    """CPUs and GPUs of all machines."""
    return sum(node.cpus for node in nodes), sum(node.gpus for node in nodes)
