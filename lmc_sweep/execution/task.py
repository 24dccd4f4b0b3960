"""One task on a worker: a batch in, results committed, a small receipt out.

A batch that runs out of memory is halved and goes on. So is one that raises, until the item that
raises stands alone: that one is reported, and the others are stored.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from lmc_sweep.errors import DamageError, StoreError
from lmc_sweep.execution.causes import classify
from lmc_sweep.planning.items import Item
from lmc_sweep.redaction import redact
from lmc_sweep.store.terms import require_same

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store

TRACEBACK_CHARACTERS = 8000
PATIENCE_SECONDS = 60.0
"""How long a worker goes on trying to store results while the disk is full or does not answer."""
_READ_CHARACTERS = 200_000
"""Far more than is kept, so that no secret is cut in two where the reading ends."""


@dataclass(frozen=True)
class Machine:
    """What a body computes with: a device, and the memory that a search may take beside its inputs."""

    device: str
    max_bytes: float


Body = Callable[["Store", Sequence[Any], Machine], None]


@dataclass(frozen=True)
class Task:
    """What a worker is handed."""

    store_uri: str
    kind: str
    items: tuple[Item, ...]
    num_threads: int = 1
    device: str = "cpu"
    max_stack_bytes: float = 2e9
    import_path: str = ""
    """Directory from which the user's own modules are imported."""
    sweep: str = ""
    run_id: str = ""
    """The run that asks, in whose folder of the store a worker leaves signs."""
    key: str = ""
    """Name of this attempt: the batch's id, a dash, and the attempt's number."""
    code: str = ""
    """Versions that the worker must have (``execution.code.fingerprint``); empty: any."""
    marker: bytes = b""
    """What the marker of the store says that the driver writes to; empty: any."""

    @property
    def machine(self) -> Machine:
        """What its body computes with."""
        return Machine(self.device, self.max_stack_bytes)


@dataclass(frozen=True)
class ItemFailure:
    """Items that could not be computed, and why, as text."""

    kind: str
    item_ids: tuple[str, ...]
    error_type: str
    message: str
    traceback: str = ""
    cause: str = "error"
    """Name of one of ``lmc_sweep.execution.causes.CAUSES``."""


@dataclass(frozen=True)
class Receipt:
    """What became of a task. The results are in the store; this only says which."""

    done: tuple[str, ...]
    failures: tuple[ItemFailure, ...] = ()
    seconds: float = 0.0
    num_memory_splits: int = 0
    num_held: int = 0
    """Items of ``done`` that the store held before."""


@dataclass
class _Account:
    """What a running task has done so far."""

    done: list[str] = field(default_factory=list)
    failures: list[ItemFailure] = field(default_factory=list)
    num_memory_splits: int = 0
    num_held: int = 0
    damaged: set[str] = field(default_factory=set)
    """Files of the store that did not hold what they should; they are set aside, and computed anew later."""


def open_store(uri: str) -> Store:
    """The store, opened once per process, so that its listing is cached between batches.

    It is opened anew where another store has taken its place since.
    """
    store = _opened(uri)
    if not store.is_as_opened():
        _opened.cache_clear()
        store = _opened(uri)
    return store


@lru_cache(maxsize=4)
def _opened(uri: str) -> Store:
    """The store with the patience of a worker, which has in hand what took long to compute."""
    from lmc_sweep.store.store import Store

    store = Store(uri)
    store.patience_seconds = PATIENCE_SECONDS
    return store


def execute(task: Task) -> Receipt:
    """Computes and commits what the store does not hold yet of a batch; never raises.

    The receipt's seconds are those of the work: a process's first imports are not part of any rate.
    """
    account = _Account()
    start = time.perf_counter()
    try:
        if task.import_path and task.import_path not in sys.path:
            sys.path.insert(0, task.import_path)
        store = open_store(task.store_uri)
        _require_the_drivers(store, task)
        from lmc_sweep.store.schema import TABLE_OF_KIND

        ids = store.ids(task.kind)
        held = [item.id for item in task.items if item.id in ids]
        if held:
            store.settle([TABLE_OF_KIND[task.kind].name])  # before they count as done
        account.done += held
        account.num_held = len(held)
        missing = tuple(item for item in task.items if item.id not in ids)
        if missing:
            from lmc_sweep.execution.bodies import BODIES
            from workers.device import threads

            start = time.perf_counter()
            with threads(task.num_threads):
                _run(store, replace(task, items=missing), account, BODIES[task.kind])
            for path in account.damaged:
                from lmc_sweep.store.repair import set_aside

                set_aside(store.files, path)
    except Exception as error:  # the task boundary: a store that is not there, a broken installation
        known = {*account.done, *(item_id for failure in account.failures for item_id in failure.item_ids)}
        left = tuple(item for item in task.items if item.id not in known)
        if left:  # of an error after the last item was settled there is nobody to tell it of
            account.failures.append(failure_of(replace(task, items=left), error))
    return Receipt(
        done=tuple(account.done),
        failures=tuple(account.failures),
        seconds=time.perf_counter() - start,
        num_memory_splits=account.num_memory_splits,
        num_held=account.num_held,
    )


def _require_the_drivers(store: Store, task: Task) -> None:
    """Raises StoreError unless the store is the one that the driver writes to."""
    if task.marker:
        require_same(replace(store.terms, marker=task.marker))


def _run(store: Store, task: Task, account: _Account, body: Body) -> None:
    """Runs the items as one stack; halves them when that fails for a reason that may lie in one of them.

    Code of the user's own that wants to exit fails as if it raised: it shall not end the run.
    """
    from workers.device import is_out_of_memory

    try:
        body(store, task.items, task.machine)
    except (Exception, SystemExit) as error:  # the task boundary: whatever went wrong is recorded as text
        if isinstance(error, SystemExit) and _is_told_to_end(error):
            raise
        if isinstance(error, DamageError):
            account.damaged.add(error.path)
        elif isinstance(error, StoreError):
            raise  # no item is to blame, and none of the others would fare better
        elif classify(error) == "device_error":
            raise  # the process is of no use any more, to none of the others either
        _require_the_drivers(store, task)  # what another store lacks is no item's fault
        if len(task.items) == 1:
            account.failures.append(failure_of(task, error))
            return
        account.num_memory_splits += is_out_of_memory(error)
    else:
        account.done += [item.id for item in task.items]
        return
    middle = len(task.items) // 2
    _run(store, replace(task, items=task.items[:middle]), account, body)
    _run(store, replace(task, items=task.items[middle:]), account, body)


def _is_told_to_end(error: SystemExit) -> bool:
    """Whether it is Ray that ends this process, as it does on SIGTERM (checked on Ray 2.60)."""
    return hasattr(error, "ray_terminate_msg")


def failure_of(task: Task, error: BaseException) -> ItemFailure:
    """An error as a record of all items of a task, without the secrets that it may quote."""
    told = "".join(traceback.format_exception(error))
    return ItemFailure(
        kind=task.kind,
        item_ids=tuple(item.id for item in task.items),
        error_type=type(error).__name__,
        message=redact(str(error)[:_READ_CHARACTERS])[:1000],
        traceback=redact(told[-_READ_CHARACTERS:])[-TRACEBACK_CHARACTERS:],
        cause=classify(error),
    )
