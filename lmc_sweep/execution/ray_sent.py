"""Tasks in the hands of Ray: which have begun, and which a lost machine may have taken along."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from lmc_sweep.errors import StoreError
from lmc_sweep.execution.executor import Attempt
from lmc_sweep.execution.task import Task
from lmc_sweep.store import sweeps
from lmc_sweep.store.files import open_files

SETTLE_SECONDS = 20.0
"""From the loss of a machine until tasks that were under way to it are missed: Ray finds most by itself."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A task in Ray's hands."""

    key: str
    task: Task
    attempt: Attempt
    at: float
    """When it was submitted, by a clock that only runs forward."""
    is_cancelled: bool = False


def begun(task: Task) -> Collection[str] | None:
    """Keys of the attempts of a task's run that workers compute now; None where nobody can tell.

    They are known by the signs that workers leave in the store while they are at it.
    """
    if not (task.sweep and task.run_id):
        return None
    try:
        return sweeps.read_started(open_files(task.store_uri), task.sweep, task.run_id)
    except (StoreError, OSError):
        return None


def missed(pending: Sequence[Sent], lost_at: float) -> list[Sent] | None:
    """Of the tasks without an outcome those that no worker has begun, submitted before a machine was lost.

    None where nobody can tell now. What was under way to that machine may be pending for ever (seen with
    Ray 2.60, now and then), and would be missed only at its deadline.
    """
    before = [sent for sent in pending if sent.at <= lost_at and not sent.is_cancelled]
    known = begun(before[0].task) if before else ()
    return None if known is None else [sent for sent in before if sent.key not in known]
