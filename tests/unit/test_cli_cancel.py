"""Asking runs to stop whose processes were killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmc_sweep.cli import cancel
from lmc_sweep.store import processes
from lmc_sweep.store.store import Store

pytestmark = pytest.mark.skipif(processes.described() is None, reason="the system has no /proc")

RUN = "a" * 32


def test_a_killed_run_is_not_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody waits for a run whose process on this machine has ended."""
    store = Store.create(tmp_path / "store")
    store.record_sweep("s", "name: s\n", [("barrier", "a")])
    gone = {**(processes.described() or {}), "started": 1}
    store.write_progress("s", RUN, {"state": "running", "updated_at": 1.0, "beat": 1, "process": gone})
    cancel.cancel_command(str(store.path), None, True)
    assert "No run is alive. Nothing to cancel. A job" in capsys.readouterr().err
    assert not store.cancel_requested("s", RUN)


def test_waiting_ends_when_the_run_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run that is killed while one waits for it to stop is told as such, at the next look."""
    store = Store.create(tmp_path / "store")
    store.record_sweep("s", "name: s\n", [("barrier", "a")])
    alive = processes.described() or {}
    told = {"state": "running", "updated_at": 1.0, "beat": 1}
    store.write_progress("s", RUN, {**told, "process": alive})

    def killed(seconds: float) -> None:
        store.write_progress("s", RUN, {**told, "process": {**alive, "started": 1}})

    monkeypatch.setattr(cancel.time, "sleep", killed)
    cancel.cancel_command(str(store.path), None, True)
    assert "run aaaaaaaa was killed or crashed (" in capsys.readouterr().err
