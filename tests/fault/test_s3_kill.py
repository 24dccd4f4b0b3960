"""kill -9 of a writer at every write that it asks for: nothing is half there, and a retry succeeds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from s3_killed_writer import ACTIONS
from s3_proxy import Fault, Proxy, Request
from s3_server import fresh_uri
from store_rows import row

from lmc_sweep.store.store import Store

pytestmark = pytest.mark.fault
SCRIPT = Path(__file__).parents[1] / "support" / "s3_killed_writer.py"
KILLED = -signal.SIGKILL


@pytest.fixture
def deaths(
    s3_proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str, Callable[[str], None]], Iterator[tuple[str, str]]]]:
    """A function from an action, and what prepares a store for it, to the stores that its deaths leave."""
    monkeypatch.setenv("LMC_SWEEP_CACHE", str(tmp_path / "writers"))
    writer = subprocess.Popen(
        [sys.executable, str(SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert writer.stdin is not None
    assert writer.stdout is not None
    monkeypatch.setenv("LMC_SWEEP_CACHE", str(tmp_path / "reader"))

    def die(action: str, prepare: Callable[[str], None]) -> Iterator[tuple[str, str]]:
        for fatal in range(100):
            uri = fresh_uri()
            s3_proxy.rule = lambda request: Fault()
            prepare(uri)
            writer.stdin.write(f"{action} {uri}\n")
            child = int(writer.stdout.readline())
            killed: list[str] = []
            s3_proxy.rule = _killing(child, fatal, killed)
            writer.stdin.write("go\n")
            status = int(writer.stdout.readline())
            s3_proxy.rule = lambda request: Fault()
            if status == 0:
                assert [] == killed
                return
            assert KILLED == status
            yield uri, killed[0]
        raise AssertionError("the action never came to its end")

    yield die
    writer.stdin.close()
    writer.wait(300)


def _killing(child: int, fatal: int, killed: list[str]) -> Callable[[Request], Fault]:
    """A rule by which a process dies at its write ``fatal``, which is done all the same.

    That the service never saw the request is the same as a death after the write before it.
    """
    count = [-1]

    def rule(request: Request) -> Fault:
        count[0] += request.method in ("PUT", "POST", "DELETE")
        if count[0] != fatal or killed:
            return Fault()
        os.kill(child, signal.SIGKILL)
        killed.append(f"{request.method} {request.path}")
        return Fault("lose")

    return rule


def _empty(uri: str) -> None:
    """A store without records."""
    Store.create(uri)


def _three_files(uri: str) -> None:
    """A store with three record files."""
    store = Store.create(uri)
    for name in "abc":
        store.commit("barriers", [row("barriers", name)])


def _untouched(uri: str) -> None:
    """No store."""


Deaths = Callable[[str, Callable[[str], None]], Iterator[tuple[str, str]]]


def test_weights_are_whole_before_a_record_names_them(deaths: Deaths) -> None:
    """Whenever a network is visible its weights load; a retry after any death gives the same weights once."""
    expected = torch.tensor([3.0, 4.0, 5.0])
    seen = set()
    for uri, call in deaths("weights", _empty):
        store = Store(uri)
        visible = "victim" in store.ids("network")
        seen.add(visible)
        if visible:
            assert torch.equal(expected, store.load_network("victim")["w"]), call
        assert [] == store.problems(), call
        ACTIONS["weights"](uri)
        assert torch.equal(expected, store.load_network("victim")["w"]), call
        assert 1 == len(Store(uri).networks().fetchall()), call
    assert {False, True} == seen


def test_a_killed_creation_can_be_repeated(deaths: Deaths) -> None:
    """A prefix where a creation was killed at any write becomes a store by the same command again."""
    for uri, call in deaths("create", _untouched):
        assert [] == Store.create(uri).problems(), call


def test_a_killed_compaction_loses_and_repeats_nothing(deaths: Deaths) -> None:
    """After a compaction that was killed at any write every id is there once; another one finishes it."""
    for uri, call in deaths("compact", _three_files):
        for _ in range(2):
            store = Store(uri)
            assert [("a",), ("b",), ("c",)] == sorted(
                store.sql("SELECT barrier_id FROM barriers").fetchall()
            ), call
            assert [] == store.problems(), call
            ACTIONS["compact"](uri)
        assert 1 == len(store.files.objects.list("records/barriers")), call
