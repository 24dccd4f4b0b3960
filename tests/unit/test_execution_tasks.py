"""What a task says became of its items, whatever goes wrong around them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from lmc_sweep.config import parse_sweep
from lmc_sweep.errors import DamageError, StoreError
from lmc_sweep.execution import bodies, causes
from lmc_sweep.execution.task import Task, execute
from lmc_sweep.planning.plan import make_plan
from lmc_sweep.store import repair
from lmc_sweep.store.store import Store

SWEEP = """
name: two
store: store
networks:
  - {dataset: digits, architecture: {name: mlp, width: 4}, training: {max_epochs: 1}, seeds: 2}
"""


@pytest.fixture
def task(tmp_path: Path) -> Task:
    """Two networks to train."""
    Store.create(tmp_path / "store")
    (batch,) = make_plan(parse_sweep(SWEEP), None, 1).batches
    return Task(store_uri=str(tmp_path / "store"), kind=batch.kind, items=batch.items)


def test_what_is_held_counts_as_done_only_once_it_is_safe(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a disk refuses to sync what is there already, the store is to blame for all items, once each."""
    assert 2 == len(execute(task).done)

    def refuse(self: Store, tables: Sequence[str]) -> None:
        raise StoreError("read-only")

    monkeypatch.setattr(Store, "settle", refuse)
    receipt = execute(task)
    assert ((), 0) == (receipt.done, receipt.num_held)
    assert [("store", tuple(item.id for item in task.items))] == [
        (failure.cause, failure.item_ids) for failure in receipt.failures
    ]


def test_a_damaged_file_that_cannot_be_set_aside_fails_its_items_once(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No failure of nobody is told, on which a driver would stumble."""

    def damaged(store: Store, items: Sequence[Any], machine: object) -> None:
        raise DamageError("networks/x.safetensors was altered", "networks/x.safetensors")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setitem(bodies.BODIES, "network", damaged)
    monkeypatch.setattr(repair, "set_aside", refuse)
    receipt = execute(task)
    assert [("damage", (item.id,)) for item in task.items] == [
        (failure.cause, failure.item_ids) for failure in receipt.failures
    ]


def test_code_that_exits_fails_like_code_that_raises(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    """``sys.exit`` in the middle of a batch ends neither the process nor the other item."""
    good, bad = task.items

    def leaving(store: Store, items: Sequence[Any], machine: object) -> None:
        if bad in items:
            sys.exit(0)

    monkeypatch.setitem(bodies.BODIES, "network", leaving)
    receipt = execute(task)
    assert (good.id,) == receipt.done
    assert [("user_error", "SystemExit", (bad.id,))] == [
        (failure.cause, failure.error_type, failure.item_ids) for failure in receipt.failures
    ]


def test_a_process_that_is_told_to_end_does(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray raises SystemExit on SIGTERM: no item has failed by that."""

    def ended(store: Store, items: Sequence[Any], machine: object) -> None:
        told = SystemExit(1)
        told.ray_terminate_msg = "The process receives a SIGTERM."  # type: ignore[attr-defined]
        raise told

    monkeypatch.setitem(bodies.BODIES, "network", ended)
    with pytest.raises(SystemExit):
        execute(task)


@dataclass
class Refusing:
    """Raises in code that Python wrote: the file of its ``__init__`` is called "<string>"."""

    value: int

    def __post_init__(self) -> None:
        raise ValueError("never")


@pytest.mark.parametrize(("folder", "cause"), [(Path(__file__).parent, "error"), (None, "user_error")])
def test_generated_code_is_nobody_s(folder: Path | None, cause: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only files say whose code raised; with this one among ours, an error in it is the program's."""
    known = causes._known_folders()
    monkeypatch.setattr(causes, "_known_folders", lambda: [*known, *([folder] if folder else [])])
    with pytest.raises(ValueError, match="never") as raised:
        Refusing(1)
    assert cause == causes.classify(raised.value)


@pytest.mark.parametrize("place", ["lib/python3.11/site-packages", "local/lib/python3/dist-packages"])
def test_what_is_installed_anywhere_is_not_the_user_s(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package of ``pip install --user`` or ``--target`` raises: the program's error, tried again later."""
    monkeypatch.setattr(causes, "_known_folders", lambda: [Path(__file__).parent])
    folder = tmp_path / place
    folder.mkdir(parents=True)
    for file, cause in ((folder / "package.py", "error"), (tmp_path / "mine.py", "user_error")):
        names: dict[str, Any] = {}
        exec(compile("def fail(): raise ValueError('never')", file, "exec"), names)
        with pytest.raises(ValueError, match="never") as raised:
            names["fail"]()
        assert cause == causes.classify(raised.value)


def test_of_a_batch_in_part_there_the_rest_is_computed(task: Task) -> None:
    """What was held is counted apart from what was computed."""
    assert 0 == execute(replace(task, items=task.items[:1])).num_held
    receipt = execute(task)
    assert ({item.id for item in task.items}, 1) == (set(receipt.done), receipt.num_held)
