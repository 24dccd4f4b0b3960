"""An S3 server that is away for a while: who has results in hand waits, who sits at a terminal is told."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from s3_proxy import Fault, Proxy, Request
from s3_server import fresh_uri
from store_rows import row

from lmc_sweep.config import parse_sweep
from lmc_sweep.errors import StoreError
from lmc_sweep.execution.run import run
from lmc_sweep.store import object_clients, objects
from lmc_sweep.store.store import Store

pytestmark = pytest.mark.fault
AWAY_SECONDS = 3.0
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


@pytest.mark.usefixtures("impatient")
def test_a_patient_writer_outlives_an_outage(s3_proxy: Proxy) -> None:
    """A commit that begins while the server is away succeeds once it is back, and is there once."""
    store = Store.create(fresh_uri())
    store.patience_seconds = 60.0
    s3_proxy.go_away()
    threading.Timer(AWAY_SECONDS, s3_proxy.come_back).start()
    started = time.monotonic()
    store.commit("barriers", [row("barriers", "a")])
    assert time.monotonic() - started > AWAY_SECONDS - 0.5
    assert [("a",)] == store.sql("SELECT barrier_id FROM barriers").fetchall()


@pytest.mark.usefixtures("impatient")
def test_without_patience_an_outage_is_told(s3_proxy: Proxy) -> None:
    """Without patience the same commit fails within seconds, with the remedy, and nothing is written."""
    store = Store.create(fresh_uri())
    s3_proxy.go_away()
    started = time.monotonic()
    with pytest.raises(StoreError, match=r"no connection to the server.*AWS_ENDPOINT_URL"):
        store.commit("barriers", [row("barriers", "a")])
    assert time.monotonic() - started < 15
    s3_proxy.come_back()
    assert set() == store.ids("barrier")


@pytest.mark.slow
def test_a_run_outlives_an_outage_of_twenty_seconds(
    s3_proxy: Proxy, tmp_path: Path, measured_tables: Callable[[Any], dict[str, list[tuple[Any, ...]]]]
) -> None:
    """A server that goes away for 20 s in the middle of a run costs time, and no item fails for it."""
    on_disk = str(tmp_path / "disk")
    assert 0 == run(parse_sweep(SWEEP), store=on_disk, inline=True).exit_code
    uri = fresh_uri()
    gone: list[float] = []

    def rule(request: Request) -> Fault:
        if request.method == "PUT" and "/records/networks/" in request.path and not gone:
            gone.append(time.monotonic())
            threading.Thread(target=s3_proxy.go_away).start()
            threading.Timer(20.0, s3_proxy.come_back).start()
            return Fault("lose")
        return Fault()

    s3_proxy.rule = rule
    result = run(parse_sweep(SWEEP), store=uri, inline=True)
    assert gone
    assert time.monotonic() - gone[0] > 20
    assert (0, ()) == (result.exit_code, result.failures)
    assert measured_tables(on_disk) == measured_tables(uri)


@pytest.mark.parametrize("command", [("status",), ("query",), ("verify",)])
def test_commands_tell_within_seconds(s3_proxy: Proxy, command: tuple[str, ...]) -> None:
    """A command on a store whose server is away ends with code 2 and one line, within seconds."""
    s3_proxy.go_away()
    program = str(Path(sys.executable).with_name("lmc-sweep"))
    started = time.monotonic()
    done = subprocess.run(
        [program, *command, "s3://store-bucket/somewhere"], capture_output=True, text=True, timeout=100
    )
    seconds = time.monotonic() - started
    assert 2 == done.returncode
    assert "no connection to the server" in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2
    assert seconds < 30
