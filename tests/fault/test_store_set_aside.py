"""A damaged file that somebody puts in order while it is set aside: the good one is never lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from file_calls import Call, watched
from store_rows import row

from lmc_sweep.store.local_files import LocalFiles
from lmc_sweep.store.repair import set_aside
from lmc_sweep.store.store import Store

pytestmark = pytest.mark.fault


def _write_tensors(root: Path) -> str:
    """A writer of tensors, which puts damaged ones in order."""
    return Store(root).write_tensors("networks", {"w": torch.arange(6.0).reshape(2, 3)})


def _write_environment(root: Path) -> str:
    """A writer of the environment of this process, likewise."""
    return f"environments/{Store(root).record_environment()}.json"


@pytest.mark.parametrize("write", [_write_tensors, _write_environment])
def test_a_good_file_that_comes_between_is_never_lost(tmp_path: Path, write: Callable[[Path], str]) -> None:
    """Before whichever call of the move another writer puts the file in order, it stays in order."""
    prepared = Store.create(tmp_path / "store").path
    path = write(prepared)
    good = (prepared / path).read_bytes()
    (prepared / path).write_bytes(good[:-2] + b"!!")
    at, struck = 0, []
    while len(struck) == at:
        root = tmp_path / f"{at}"
        shutil.copytree(prepared, root)
        count = 0

        def mended_before(call: Call) -> Any:
            nonlocal count
            if count == at:  # noqa: B023  called within this turn
                struck.append(f"{call.name} {call.path.name}")
                write(root)  # noqa: B023
            count += 1
            return call.perform()

        with watched(root, mended_before):
            set_aside(LocalFiles(root), path)
        if len(struck) > at:
            assert good == (root / path).read_bytes(), struck[at]
        at += 1
    assert {"link", "rename", "unlink"} <= {call.split()[0] for call in struck}
    assert not (root / path).exists()


def test_an_environment_that_is_whole_by_now_is_left(tmp_path: Path) -> None:
    """A file that was put in order before the move is not moved, and one that is not there costs nothing."""
    store = Store.create(tmp_path / "store")
    path = _write_environment(store.path)
    store.commit("barriers", [row("barriers", "a")])
    assert set_aside(store.files, path) is None
    assert (store.path / path).exists()
    (store.path / path).unlink()
    assert set_aside(store.files, path) is None
