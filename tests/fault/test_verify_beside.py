"""Verification and repair beside writers, and repair that is killed at any step."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from store_rows import row

from lmc_sweep.store import repair
from lmc_sweep.store.compaction import compact
from lmc_sweep.store.store import Store
from lmc_sweep.store.verification import verify

pytestmark = pytest.mark.fault


def commit(store: Store, number: int) -> None:
    """Two networks, their file of weights and their record."""
    checkpoint = store.write_tensors("networks", {"weight": torch.full((2, 3), float(number))})
    keys = [f"network-{number}-{k}" for k in range(2)]
    store.commit(
        "networks", [row("networks", key, checkpoint=checkpoint, row=k) for k, key in enumerate(keys)]
    )


def ended(store: Store, stop: threading.Event, failures: list[BaseException]) -> threading.Thread:
    """A thread that commits until it is told to stop."""

    def write() -> None:
        number = 1000
        try:
            while not stop.is_set():
                commit(store, number)
                number += 1
                stop.wait(0.02)  # else the store outgrows who reads it
        except BaseException as error:  # told to the test
            failures.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    return thread


def test_what_a_running_sweep_writes_is_never_taken_for_damage(tmp_path: Path) -> None:
    """Verified again and again beside a writer and compactions: no error, no id that counts is unsound."""
    store = Store.create(tmp_path / "store")
    commit(store, 0)
    stop, failures = threading.Event(), list[BaseException]()
    writer = ended(Store(store.path), stop, failures)
    try:
        for number in range(8):
            found = verify(Store(store.path))
            assert [] == [finding for finding in found.findings if finding.is_error]
            assert frozenset() == found.lost["network"]
            if number % 3 == 2:
                compact(Store(store.path), grace_seconds=0.0)
    finally:
        stop.set()
        writer.join()
    assert [] == failures


def test_repair_beside_a_writer_costs_what_was_damaged_alone(tmp_path: Path) -> None:
    """One altered file of weights is set aside while others are written: exactly its networks are missing."""
    store = Store.create(tmp_path / "store")
    for number in range(3):
        commit(store, number)
    damaged = next(iter((store.path / "networks").iterdir()))
    rows = store.sql(
        f"SELECT network_id FROM networks WHERE checkpoint = 'networks/{damaged.name}'"
    ).fetchall()
    content = damaged.read_bytes()
    damaged.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    stop, failures = threading.Event(), list[BaseException]()
    writer = ended(Store(store.path), stop, failures)
    try:
        moved = repair.repair(store.files, verify(Store(store.path)).findings)
    finally:
        stop.set()
        writer.join()
    assert [] == failures
    assert [f"networks/{damaged.name}"] == list(moved)
    held = Store(store.path).ids("network")
    expected = {f"network-{number}-{k}" for number in range(3) for k in range(2)} - {key for (key,) in rows}
    assert expected == {key for key in held if int(key.split("-")[1]) < 1000}


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("survived", range(3))
def test_a_repair_that_is_killed_at_any_step_is_finished_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, survived: int
) -> None:
    """Before the second name, before the loss of the first, after both: one copy is set aside."""
    store = Store.create(tmp_path / "store")
    commit(store, 0)
    record = next(iter((store.path / "records" / "networks").iterdir()))
    record.write_bytes(record.read_bytes()[:-1])
    damaged = record.read_bytes()
    left = [survived]

    def counted(call: Any) -> Any:
        def stepped(*arguments: Any, **options: Any) -> Any:
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            return call(*arguments, **options)

        return stepped

    with monkeypatch.context() as patched:
        patched.setattr(os, "link", counted(os.link))
        patched.setattr(Path, "unlink", counted(Path.unlink))
        try:
            repair.repair(store.files, verify(Store(store.path)).findings)
        except Killed:
            assert survived < 2
    repair.repair(store.files, verify(Store(store.path)).findings)
    assert not record.exists()
    folder = store.path / "quarantine" / "records" / "networks"
    assert [damaged] == [file.read_bytes() for file in folder.iterdir()]
