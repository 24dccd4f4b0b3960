"""Services that let nobody write, stop letting anybody in, or never answer: told, and nothing is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path

import pytest
from s3_proxy import Fault, Proxy, Request, refusing
from s3_server import S3Server, fresh_uri
from store_rows import row

from lmc_sweep.config import parse_sweep
from lmc_sweep.errors import StoreError
from lmc_sweep.execution import patience
from lmc_sweep.execution import run as running
from lmc_sweep.execution.run import run
from lmc_sweep.store.store import Store, require_writable

SWEEP = """
name: tiny
store: store
networks:
  - dataset: digits
    architecture: {name: mlp, width: [4, 8], depth: 1}
    training: {max_epochs: 1}
    seeds: 2
barriers:
  alignments:
    - {method: identity}
  interpolation: {alphas: 3}
"""
ENDLESSLY = """
from lmc_sweep.cli import main
from lmc_sweep.store import object_clients
object_clients.SILENCE_SECONDS = 3600.0
main()
"""
"""The program, but that it waits for an hour for an answer."""
ONLY_READ = refusing("403 Forbidden", "AccessDenied")
EXPIRED = refusing("400 Bad Request", "ExpiredToken")


@pytest.fixture(autouse=True)
def _own_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMC_SWEEP_CACHE", str(tmp_path / "cache"))


def read_only(request: Request) -> Fault:
    """What a service does for keys that may list and read, and nothing else."""
    return Fault() if request.method in ("GET", "HEAD") else ONLY_READ


def test_keys_that_may_only_read_are_refused_before_anything_starts(
    s3_proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run into a store that may not be written ends with the remedy, before Ray or a batch is started."""
    uri = fresh_uri()
    Store.create(uri)
    monkeypatch.setattr(running, "_executor", lambda *_: pytest.fail("an executor was started"))
    s3_proxy.rule = read_only
    before = s3_proxy.num_seen("PUT")
    told = r"store\.json: cannot be written: .*AccessDenied.*right to list, read"
    with pytest.raises(StoreError, match=told):
        run(parse_sweep(SWEEP), store=uri)
    assert before + 1 == s3_proxy.num_seen("PUT")


@pytest.mark.usefixtures("s3")
def test_asking_whether_a_store_may_be_written_changes_nothing() -> None:
    """A store that may be written is afterwards what it was; where there is none there is none afterwards."""
    uri, nowhere = fresh_uri(), fresh_uri()
    store = Store.create(uri)
    before = [*store.files.walk()], store.files.read_marker()
    require_writable(uri)
    require_writable(nowhere)
    assert before == ([*store.files.walk()], store.files.read_marker())
    with pytest.raises(StoreError, match="there is no store here"):
        Store(nowhere)


def test_keys_that_expire_in_the_middle_end_a_run_and_lose_nothing(
    s3_proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run stops with a word on the credentials; with new ones the same command carries on."""
    uri, expired = fresh_uri(), [False]

    def rule(request: Request) -> Fault:
        answer = EXPIRED if expired[0] else Fault()
        expired[0] |= request.method == "PUT" and "/records/networks/" in request.path
        return answer

    s3_proxy.rule = rule
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 0.0)
    result = run(parse_sweep(SWEEP), store=uri, inline=True)
    assert 1 == result.exit_code
    assert "AWS_ACCESS_KEY_ID" in str(result.stop_reason)
    expired[0], s3_proxy.rule = False, lambda request: Fault()
    stored = Store(uri).ids("network")
    assert stored
    again = run(parse_sweep(SWEEP), store=uri, inline=True)
    assert 0 == again.exit_code
    assert stored.isdisjoint(item for batch in again.plan.batches for item in (i.id for i in batch.items))
    assert (4, 8) == tuple(len(Store(uri).ids(kind)) for kind in ("network", "barrier"))


def test_ctrl_c_ends_a_command_that_waits_for_many_answers(s3_proxy: Proxy) -> None:
    """While a service that never answers is to list all tables, Ctrl-C ends the command, and no time-out."""
    uri = fresh_uri()
    Store.create(uri)
    waiting = []

    def rule(request: Request) -> Fault:
        if "list-type" not in request.path:
            return Fault()
        waiting.append(request)
        return Fault("hang")

    s3_proxy.rule = rule
    process = subprocess.Popen(
        [sys.executable, "-c", ENDLESSLY, "query", uri, "SELECT 1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while len(waiting) < 2:
        assert process.poll() is None
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=200)
    assert 130 == process.returncode
    assert len(told.strip().splitlines()) <= 2


@pytest.mark.parametrize(
    "name", ["records/barriers//x.parquet", "records/barriers/..", "records/barriers/\x01"]
)
def test_an_object_that_stands_in_the_way_is_named(s3: S3Server, name: str) -> None:
    """Where somebody else's object has a name that no store's file can have, its name is told."""
    uri = fresh_uri()
    store = Store.create(uri)
    store.commit("barriers", [row("barriers", "a")])
    path = f"{uri.removeprefix('s3://')}/{urllib.parse.quote(name)}"
    s3.request("PUT", path, b"x")
    with pytest.raises(StoreError, match="Delete that object") as told:
        Store(uri).ids("barrier")
    assert repr(name)[1:-1] in str(told.value)
    s3.request("DELETE", path)
    assert {"a"} == Store(uri).ids("barrier")
