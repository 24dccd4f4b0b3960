"""Disks that fill, turn read-only, go away or belong to somebody else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from store_rows import row

from lmc_sweep.errors import StoreError
from lmc_sweep.store.store import Store

pytestmark = pytest.mark.fault
SCRIPT = Path(__file__).parents[1] / "support" / "small_disk.py"
NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]
NOBODY = 65534


def _may_mount(folder: Path) -> bool:
    """Whether a small disk of our own can be had here."""
    try:
        command = [*NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", str(folder)]
        return 0 == subprocess.run(command, capture_output=True).returncode
    except FileNotFoundError:
        return False


def test_a_small_disk_is_served_through_its_life(tmp_path: Path) -> None:
    """Full, freed, read-only, writable, unmounted: one line each time, and no commit that ended is lost."""
    if not _may_mount(tmp_path):
        pytest.skip("no disk can be mounted here")
    done = subprocess.run(
        [*NAMESPACE, sys.executable, str(SCRIPT), str(tmp_path)], capture_output=True, text=True, timeout=600
    )
    assert (0, "") == (done.returncode, done.stderr)
    seen = json.loads(done.stdout)
    assert seen["committed"] > 3
    assert "No space left on device. Free some space, then run the same command again" in seen["full"]
    assert ([], 0) == (seen["lost when full"], seen["left when full"])
    assert "" == seen["freed meanwhile"]
    assert "Choose a store on a disk that is not read-only" in seen["read-only"]
    assert "" == seen["writable again"]
    assert [] == seen["lost at last"]
    assert "the store is gone" in seen["unmounted"]
    assert [] == seen["made under the mount"]


def _as_nobody(action: Callable[[], object]) -> str:
    """What an action's error says when a user without rights tries it; empty when it succeeds."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setuid(NOBODY)
            action()
            os._exit(0)
        except StoreError as error:
            os.write(writer, str(error).encode())
            os._exit(3)
        finally:
            os._exit(4)
    os.close(writer)
    with open(reader) as said:  # noqa: PTH123  a descriptor
        told = said.read()
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == (3 if told else 0)
    return told


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_store_of_somebody_else_is_read_and_not_written() -> None:
    """Without the right to write, a commit and a creation end in one line; reading works, nothing changes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        store = Store.create(folder / "store")
        store.commit("barriers", [row("barriers", "a")])
        before = sorted(store.path.rglob("*"))
        told = _as_nobody(lambda: Store(store.path).commit("barriers", [row("barriers", "b")]))
        assert "Permission denied. Choose a store that you may write to." in told
        assert "Permission denied" in _as_nobody(lambda: Store.create(folder / "new"))
        assert "" == _as_nobody(lambda: Store(store.path).fetch("barriers", ["a"], ["width"]))
        assert before == sorted(store.path.rglob("*"))
        assert not (folder / "new").exists()
        for path in (store.path, *store.path.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        assert "" == _as_nobody(lambda: Store(store.path).commit("barriers", [row("barriers", "b")]))
        assert {"a", "b"} == store.ids("barrier")
