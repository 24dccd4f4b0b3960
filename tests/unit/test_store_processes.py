"""A process that told who it is, and whether it has ended for certain."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from store_rows import row

from lmc_sweep.analysis.progress import sweep_status
from lmc_sweep.analysis.run_advice import read_advice
from lmc_sweep.cli.status_lines import status_parts
from lmc_sweep.execution.companions import Companions
from lmc_sweep.store import processes
from lmc_sweep.store.store import Store

pytestmark = pytest.mark.skipif(processes.described() is None, reason="the system has no /proc")

RUN, OTHER = "a" * 32, "b" * 32
NOW = 1_800_000_000.0
_TELL = """
import json, time
from lmc_sweep.store import processes
print(json.dumps(processes.described()), flush=True)
time.sleep(600)
"""


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    """A process that says who it is and waits."""
    with subprocess.Popen([sys.executable, "-c", _TELL], stdout=subprocess.PIPE, text=True) as started:
        yield started
        started.kill()


def told_by(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What the process says of itself."""
    assert process.stdout is not None
    told: dict[str, Any] = json.loads(process.stdout.readline())
    return told


def kill(process: subprocess.Popen[str]) -> None:
    """Ends it as nothing that it could answer to, and leaves its exit code unread."""
    os.kill(process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)


def test_a_killed_process_is_gone(process: subprocess.Popen[str]) -> None:
    """Alive it is not gone; killed it is, before and after its parent has asked for the exit code."""
    told = told_by(process)
    assert not processes.is_gone(told)
    kill(process)
    assert processes.is_gone(told)
    process.wait()
    assert processes.is_gone(told)


def test_another_process_with_the_same_id_is_another_one() -> None:
    """A process id that was given away again does not keep the first alive."""
    told = processes.described()
    assert told is not None
    assert not processes.is_gone(told)
    assert processes.is_gone({**told, "started": told["started"] - 1})


@pytest.mark.parametrize(
    "changed",
    [
        {"machine": "0" * 16},
        {"machine": None},
        {"pid": "7"},
        {"pid": -1},
        {"pid": 0},
        {"pid": True},
        {"pid": 10**30},
        {"started": 1.0},
        {"started": None},
    ],
)
def test_what_is_not_known_is_not_gone(changed: dict[str, Any]) -> None:
    """Another machine, and whatever no process says of itself, is never taken for gone."""
    told = {**(processes.described() or {}), "started": 1}
    assert processes.is_gone(told)
    assert not processes.is_gone({**told, **changed})


@pytest.mark.parametrize("told", [None, [], "x", 3, {}])
def test_what_says_nothing_is_not_gone(told: object) -> None:
    """Advice of a run that does not tell its process says nothing of its end."""
    assert not processes.is_gone(told)


def test_no_names_are_told() -> None:
    """Of the machine there are 16 hex digits, and nothing but numbers beside them."""
    told = processes.described() or {}
    assert re.fullmatch("[0-9a-f]{16}", told.pop("machine"))
    assert {"pid", "started"} == told.keys()
    assert {int} == {type(value) for value in told.values()}


def test_a_system_without_proc_tells_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no /proc, a process does not describe itself, and takes none for gone."""
    told = {**(processes.described() or {}), "started": 1}
    monkeypatch.setattr(processes, "_PROC", tmp_path)
    assert processes.described() is None
    assert not processes.is_gone(told)


def test_a_killed_run_is_not_at_work(tmp_path: Path, process: subprocess.Popen[str]) -> None:
    """From the instant of its death: no rate, nothing that runs, no companion; and the status says why."""
    store = Store.create(tmp_path / "store")
    store.record_sweep("s", "name: s\n", [("barrier", "a"), ("barrier", "b")])
    batch = {"key": "k-1", "kind": "barrier", "num_items": 2, "seconds": 3.0}
    advice = {"state": "running", "updated_at": NOW, "beat": 1, "process": told_by(process)}
    kinds = {"barrier": {"rate_per_second": 2.0}}
    store.write_progress("s", RUN, {**advice, "running": [batch], "kinds": kinds, "executor": "inline, cpu"})
    companions = Companions(store, "s", OTHER, lambda: NOW)

    def seen() -> tuple[str, float | None, bool]:
        status = sweep_status(store, "s", now=NOW)
        companions.should_reverse(companions._asked + 9 if companions._asked is not None else 0.0, False)
        return status.state, status.kinds["barrier"].rate_per_second, companions.any_alive

    assert ("running", 2.0, True) == seen()
    kill(process)
    assert ("not running", None, False) == seen()
    (heading, *_) = status_parts(sweep_status(store, "s", now=NOW), "store")
    assert "Sweep s: not running (its last run was killed or crashed)" == heading
    assert not read_advice(store.read_runs("s")[0]).claims_to_be_alive


def test_nothing_runs_in_a_complete_sweep(tmp_path: Path) -> None:
    """When every result is there, a run that still says that it works is no matter of interest."""
    store = Store.create(tmp_path / "store")
    store.record_sweep("s", "name: s\n", [("barrier", "a")])
    store.commit("barriers", [row("barriers", "a")])
    store.commit("attempts", [row("attempts", "t", sweep="s", cause="node_lost")])
    batch = {"key": "k-1", "kind": "barrier", "num_items": 2, "seconds": 3.0}
    store.write_progress(
        "s", RUN, {"state": "running", "updated_at": NOW, "beat": 1, "running": [batch], "executor": "x"}
    )
    status = sweep_status(store, "s", now=NOW)
    lines = [part for part in status_parts(status, "store") if isinstance(part, str)]
    assert ["Sweep s: complete", "1 attempt was lost on the way, and made again."] == lines
    assert [] == status.as_json("store")["runs"][0]["running"]
