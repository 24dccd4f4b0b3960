"""An S3 server that is away for a while: who has results in hand waits, who sits at a terminal is told."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from s3_proxy import Fault, Proxy, Request
from s3_server import fresh_uri
from store_rows import row

from lmc_sweep.config import parse_sweep
from lmc_sweep.errors import StoreError
from lmc_sweep.execution import patience
from lmc_sweep.execution.run import run
from lmc_sweep.store import object_clients, objects, terms
from lmc_sweep.store.store import Store

pytestmark = pytest.mark.fault
SWEEP = """
name: tiny
store: store
networks:
  - dataset: digits
    architecture: {name: mlp, width: [4, 8], depth: 1}
    training: {max_epochs: 2}
    seeds: 2
barriers:
  alignments: [{method: weight_matching}]
  interpolation: {alphas: 3}
"""


@pytest.fixture(autouse=True)
def _own_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMC_SWEEP_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request is given up sooner than the server comes back, as in an outage of minutes."""
    monkeypatch.setattr(object_clients, "RETRY_SECONDS", 0.5)
    monkeypatch.setattr(objects, "RETRY_SECONDS", 0.5)


@pytest.fixture
def pauses(s3_proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long who waits for the server has paused each time; after the third pause the server is back."""
    found: list[float] = []

    def pause(seconds: float) -> None:
        found.append(seconds)
        if len(found) == 3:
            s3_proxy.come_back()

    monkeypatch.setattr(terms, "time", SimpleNamespace(monotonic=lambda: sum(found), sleep=pause))
    return found


@pytest.mark.usefixtures("impatient")
def test_a_patient_writer_outlives_an_outage(s3_proxy: Proxy, pauses: list[float]) -> None:
    """A commit that begins while the server is away succeeds once it is back, and is there once."""
    store = Store.create(fresh_uri())
    store.patience_seconds = 60.0
    s3_proxy.go_away()
    store.commit("barriers", [row("barriers", "a")])
    assert 3 <= len(pauses)
    assert [("a",)] == store.sql("SELECT barrier_id FROM barriers").fetchall()


@pytest.mark.usefixtures("impatient")
def test_without_patience_an_outage_is_told(s3_proxy: Proxy, pauses: list[float]) -> None:
    """Without patience the same commit fails without a pause, with the remedy, and nothing is written."""
    store = Store.create(fresh_uri())
    s3_proxy.go_away()
    with pytest.raises(StoreError, match=r"no connection to the server.*AWS_ENDPOINT_URL"):
        store.commit("barriers", [row("barriers", "a")])
    assert [] == pauses
    s3_proxy.come_back()
    assert set() == store.ids("barrier")


@pytest.mark.usefixtures("impatient")
def test_a_run_outlives_an_outage(
    s3_proxy: Proxy,
    pauses: list[float],
    tmp_path: Path,
    measured_tables: Callable[[Any], dict[str, list[tuple[Any, ...]]]],
) -> None:
    """A server that goes away in the middle of a run, for longer than any request is tried, costs time, and
    no item fails for it."""
    on_disk = str(tmp_path / "disk")
    assert 0 == run(parse_sweep(SWEEP), store=on_disk, inline=True).exit_code
    uri = fresh_uri()
    gone: list[Request] = []

    def rule(request: Request) -> Fault:
        if request.method == "PUT" and "/records/networks/" in request.path and not gone:
            gone.append(request)
            away.start()
            return Fault("lose")
        return Fault()

    away = threading.Thread(target=s3_proxy.go_away)  # it waits until the rule has said what to do
    s3_proxy.rule = rule
    result = run(parse_sweep(SWEEP), store=uri, inline=True)
    assert gone
    assert 3 <= len(pauses)
    assert (0, ()) == (result.exit_code, result.failures)
    assert measured_tables(on_disk) == measured_tables(uri)


@pytest.mark.parametrize("command", [("status",), ("query",), ("verify",)])
def test_commands_tell_and_do_not_wait(s3_proxy: Proxy, command: tuple[str, ...]) -> None:
    """A command on a store whose server is away ends with code 2 and one line; it has no patience of minutes,
    as a run has."""
    s3_proxy.go_away()
    program = str(Path(sys.executable).with_name("lmc-sweep"))
    done = subprocess.run(
        [program, *command, "s3://store-bucket/somewhere"],
        capture_output=True,
        text=True,
        timeout=patience.PATIENCE_SECONDS / 2,
    )
    assert 2 == done.returncode
    assert "no connection to the server" in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2
