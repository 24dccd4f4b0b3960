"""What became of a task on Ray: its receipt, an error on the worker, or how Ray lost it."""

from __future__ import annotations

from typing import Any

from lmc_sweep.execution.executor import Lost
from lmc_sweep.execution.ray_cluster import gone
from lmc_sweep.execution.task import ItemFailure, Receipt, Task
from lmc_sweep.redaction import redact

_MESSAGE_CHARACTERS = 1000


def outcome(ray: Any, reference: Any, task: Task) -> Receipt | Lost:
    """What a reference that is ready says of its task.

    Raises:
        ExecutorGone: If the machine through which we are connected is gone.
    """
    known = ray.exceptions
    try:
        receipt: Receipt = ray.get(reference)
        return receipt
    except known.TaskCancelledError as error:  # also a RayTaskError where the task was interrupted
        return Lost("cancelled", "TaskCancelledError", _told(error))
    except known.RayTaskError as error:
        return Receipt((), (_failure(task, error),))
    except known.LocalRayletDiedError as error:
        raise gone() from error
    except known.RayError as error:
        return Lost(_cause(known, error), type(error).__name__, _told(error))


def _cause(known: Any, error: Exception) -> str:
    """The class of what Ray says of a task that it lost."""
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
