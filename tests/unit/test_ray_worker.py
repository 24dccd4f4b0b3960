"""What surrounds a task on a worker, and how the executor sees a cluster; without Ray."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lmc_sweep.config import parse_sweep
from lmc_sweep.config.sweep import Execution
from lmc_sweep.errors import SweepError
from lmc_sweep.execution import code, ray_cluster, ray_connect, ray_worker
from lmc_sweep.execution.executor import Attempt, ExecutorGone, Lost
from lmc_sweep.execution.ray_cluster import RayCluster
from lmc_sweep.execution.ray_executor import RayExecutor
from lmc_sweep.execution.ray_functions import Functions
from lmc_sweep.execution.ray_nodes import Node
from lmc_sweep.execution.ray_probe import Probe
from lmc_sweep.execution.ray_room import Room
from lmc_sweep.execution.ray_sent import Sent, missed
from lmc_sweep.execution.ray_suspects import ANSWER_SECONDS, REPEAT_SECONDS, Suspects
from lmc_sweep.execution.task import ItemFailure, Receipt, Task
from lmc_sweep.planning.plan import make_plan
from lmc_sweep.store import sweeps
from lmc_sweep.store.local_files import LocalFiles
from lmc_sweep.store.store import Store

SWEEP = """
name: one
store: store
networks:
  - {dataset: digits, architecture: {name: mlp, width: 4}, training: {max_epochs: 1}, seeds: 1}
"""
RUN = "0" * 32


@pytest.fixture
def task(tmp_path: Path) -> Task:
    """One network to train, as the driver would hand it to a worker."""
    Store.create(tmp_path / "store")
    (batch,) = make_plan(parse_sweep(SWEEP), None, 1).batches
    return Task(
        store_uri=str(tmp_path / "store"),
        kind=batch.kind,
        items=batch.items,
        sweep="one",
        run_id=RUN,
        key=f"{batch.id}-1",
        code=code.fingerprint(),
    )


def test_the_fingerprint_needs_no_heavy_import() -> None:
    """It names the versions of torch and numpy, and imports neither."""
    program = (
        "import json, sys; from lmc_sweep.execution.code import fingerprint; "
        "print(json.dumps([fingerprint(), 'torch' in sys.modules, 'numpy' in sys.modules]))"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    fingerprint, *imported = json.loads(told)
    assert [False, False] == imported
    for package in ("torch", "numpy"):
        assert f"{package} {code.version(package)}" in fingerprint


def test_any_change_of_the_code_changes_its_hash(tmp_path: Path) -> None:
    """Content, name and number of files enter; what is not Python does not."""
    (tmp_path / "a.py").write_text("1")
    first = code.source_hash([tmp_path])
    (tmp_path / "notes.txt").write_text("1")
    assert first == code.source_hash([tmp_path])
    hashes = {first}
    (tmp_path / "a.py").write_text("2")
    hashes.add(code.source_hash([tmp_path]))
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    hashes.add(code.source_hash([tmp_path]))
    (tmp_path / "c.py").write_text("")
    hashes.add(code.source_hash([tmp_path]))
    assert 4 == len(hashes)


def test_a_worker_of_other_versions_computes_nothing(task: Task, tmp_path: Path) -> None:
    """Its receipt says which versions differ, those of the driver first; the store stays empty."""
    ours = code.fingerprint()
    theirs = ours.replace(f"torch {code.version('torch')}", "torch 1.0")
    outcome = ray_worker.run_task(Task(**{**vars(task), "code": theirs}), node="abc")
    assert isinstance(outcome, Receipt)
    (failure,) = outcome.failures
    assert ("version", "VersionMismatch", 1) == (failure.cause, failure.error_type, len(failure.item_ids))
    assert f"torch 1.0 against torch {code.version('torch')}" in failure.message
    assert "abc" in failure.message
    assert set() == Store(tmp_path / "store").ids("network")


def test_a_sign_stands_while_a_task_runs(task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says who works on what since when, and is gone afterwards."""
    seen: list[dict[str, Any]] = []

    def look(running: Task) -> Receipt:
        seen.append(sweeps.read_started(LocalFiles(tmp_path / "store"), "one", RUN))
        return Receipt(tuple(item.id for item in running.items))

    monkeypatch.setattr(ray_worker, "execute", look)
    monkeypatch.setattr(ray_worker, "time", SimpleNamespace(time=lambda: 1_800_000_000.5))
    ray_worker.run_task(task, node="abc")
    ((key, sign),) = seen[0].items()
    assert task.key == key
    assert ("network", 1, os.getpid(), "abc") == tuple(
        sign[name] for name in ("kind", "num_items", "pid", "node")
    )
    assert 1_800_000_000.5 == sign["started_at"]
    assert {} == sweeps.read_started(LocalFiles(tmp_path / "store"), "one", RUN)


def test_a_cancelled_task_is_lost_as_cancelled_and_costs_its_process(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KeyboardInterrupt in the middle leaves no sign; the process, which may hold half an import, ends."""

    def interrupted(_: Task) -> Receipt:
        raise KeyboardInterrupt

    monkeypatch.setattr(ray_worker, "execute", interrupted)
    outcome = ray_worker.run_task(task)
    assert isinstance(outcome, Lost)
    assert "cancelled" == outcome.cause
    assert {} == sweeps.read_started(LocalFiles(tmp_path / "store"), "one", RUN)
    assert ray_worker.must_end(outcome, 1)


def test_a_store_that_takes_no_sign_takes_the_results(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signs are advice: the network is trained and stored without one."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sweeps, "write_started", full)
    outcome = ray_worker.run_task(task)
    assert isinstance(outcome, Receipt)
    assert {item.id for item in task.items} == set(outcome.done) == Store(tmp_path / "store").ids("network")


@pytest.mark.parametrize(
    ("first", "now", "ends"),
    [(1e9, 4.9e9, False), (1e9, 5.1e9, True), (2e8, 2.1e9, False), (2e8, 2.3e9, True)],
)
def test_a_process_whose_memory_has_grown_ends(
    first: float, now: float, ends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By more than 2 GB and by more than four times what it held after its first task."""
    monkeypatch.setattr(ray_worker, "_first_bytes", [])
    assert not ray_worker.must_end(Receipt(()), int(first))
    assert ends == ray_worker.must_end(Receipt(()), int(now))


@pytest.mark.parametrize(
    ("cause", "ends"), [("device_error", True), ("device_memory", False), ("user_error", False)]
)
def test_a_process_whose_device_is_broken_ends(
    cause: str, ends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU that reported an error stays unusable for its process; memory that ran out does not."""
    monkeypatch.setattr(ray_worker, "_first_bytes", [])
    failure = ItemFailure("network", ("a",), "AcceleratorError", "CUDA error", cause=cause)
    assert ends == ray_worker.must_end(Receipt((), (failure,)), 1)


@pytest.mark.parametrize(("is_there", "code_expected"), [(False, 1), (True, 0)])
def test_a_worker_ends_when_its_raylet_is_gone(is_there: bool, code_expected: int) -> None:
    """Also where that died before the worker first looked; one that lives, if not as parent, is enough."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    program = """
import time
from lmc_sweep.execution import ray_worker

lives, found = ray_worker._lives, []
ray_worker._lives = lambda raylet: lives(raylet) and not found.append(raylet)
ray_worker.WATCH_SECONDS = 0.05
ray_worker.end_with_raylet()
while len(found) < 3:
    time.sleep(0.05)
"""
    between = (
        f"import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', {program!r}]).returncode)"
    )
    raylet = os.getpid() if is_there else ended.pid
    environment = {**os.environ, "RAY_RAYLET_PID": str(raylet)}
    assert code_expected == subprocess.run([sys.executable, "-c", between], env=environment).returncode


@pytest.mark.parametrize(
    ("gpus", "visible", "device"),
    [
        ([], None, "cpu"),
        ([], "2,3", "cpu"),
        (["1"], None, "cuda:1"),
        (["1"], "", "cuda:1"),
        (["3"], "2,3", "cuda:1"),
        (["0"], "1, 0", "cuda:1"),
        (["GPU-5a3c"], "GPU-77d0,GPU-5a3c", "cuda:1"),
        (["2"], "2", "cuda:0"),
    ],
)
def test_a_task_uses_the_gpu_that_it_was_assigned(gpus: list[str], visible: str | None, device: str) -> None:
    """Also where a process may see some of a machine's GPUs only, which torch counts from 0."""
    assert device == ray_worker.device_of(gpus, visible)


def test_every_attempt_has_a_function_of_its_own() -> None:
    """Ray tells tasks apart by the names of their functions."""
    names = {
        ray_worker.attempt_function(number, generation).__qualname__
        for number in (1, 2, 3)
        for generation in (0, 1)
    }
    assert 6 == len(names)


def test_a_store_that_cannot_be_read_has_begun_nothing(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mount that hangs or is stale when a deadline passes ends no driver."""
    executor = RayExecutor.__new__(RayExecutor)
    executor._references, executor._tasks = (
        {task.key: "reference"},
        {"reference": Sent(task.key, task, Attempt(1), 0.0)},
    )
    sweeps.write_started(LocalFiles(tmp_path / "store"), task.sweep, task.run_id, task.key, {})
    assert executor.is_started(task.key)

    def stale(*_: object) -> None:
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr(Path, "is_dir", stale)
    monkeypatch.setattr(Path, "glob", stale)
    assert not executor.is_started(task.key)
    assert not executor.is_started("another-1")


def test_what_a_lost_machine_may_have_taken_along_is_missed(task: Task, tmp_path: Path) -> None:
    """All that was submitted before and that no worker has begun, unless it was cancelled."""
    begun, on_its_way = (replace(task, key=key) for key in ("begun-1", "under-1"))
    sweeps.write_started(LocalFiles(tmp_path / "store"), task.sweep, task.run_id, begun.key, {})
    sent = [Sent(one.key, one, Attempt(1), at) for one, at in ((begun, 1.0), (on_its_way, 2.0))]
    later, cancelled = replace(sent[1], at=4.0), replace(sent[1], is_cancelled=True)
    assert [sent[1]] == missed([*sent, later, cancelled], lost_at=3.0)
    assert [] == missed([], lost_at=3.0)
    unknown = replace(sent[1], task=replace(task, run_id=""))
    assert missed([unknown], lost_at=3.0) is None  # to be asked again


class _Ray:
    """Ray with machines that answer, or do not."""

    def __init__(self, answering: set[str]) -> None:
        self.answering = answering
        self.asked: list[tuple[str, str]] = []

    def remote(self, **_: object) -> Any:
        return lambda body: _Probe(self, body.__name__)

    def wait(self, references: list[str], timeout: float) -> tuple[list[str], list[str]]:
        assert 0 == timeout  # nobody waits for a machine that hangs
        ready = [name for name in references if name in self.answering]
        return ready, [name for name in references if name not in ready]


class _Probe:
    def __init__(self, ray: _Ray, name: str) -> None:
        self.ray, self.name, self.node = ray, name, ""

    def options(self, *, scheduling_strategy: Any, name: str) -> _Probe:
        self.node = scheduling_strategy.node_id
        return self

    def remote(self) -> str:
        self.ray.asked.append((self.name, self.node))
        return self.node


def test_machines_that_do_not_answer_get_no_tasks_until_they_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine is avoided once its time to answer is over, and not when it has answered or is gone."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    ids = ["a" * 56, "b" * 56, "c" * 56]
    nodes = [Node(name, 1, 0) for name in ids]
    ray = _Ray(answering={ids[0]})
    suspects = Suspects(ray)
    assert [] == suspects.silent(nodes)
    suspects.ask(nodes)
    now[0] += ANSWER_SECONDS - 1
    assert [] == suspects.silent(nodes)
    now[0] += 2
    assert [ids[1], ids[2]] == suspects.silent(nodes)
    suspects.ask(nodes)
    assert 2 == len({name for name, _ in ray.asked})
    assert [ids[2]] == suspects.among([nodes[0], nodes[2]])
    ray.answering.add(ids[2])
    assert [] == suspects.silent(nodes)
    ray.answering.clear()
    now[0] += ANSWER_SECONDS
    suspects.ask(nodes)
    ray.answering.add(ids[0])
    now[0] += ANSWER_SECONDS + 1
    assert [ids[1], ids[2]] == suspects.among(nodes)  # an earlier answer does not count


class _Head:
    """A cluster's head that answers until told otherwise; asking it for nodes when it is gone would block."""

    def __init__(self) -> None:
        self.answers, self.alive = True, [True, True]

    def nodes(self) -> list[dict[str, Any]]:
        assert self.answers
        return [
            {"NodeID": 56 * str(number + 1), "Alive": alive, "Resources": {"CPU": 2.0}}
            for number, alive in enumerate(self.alive)
        ]


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> tuple[RayCluster, _Head, list[float]]:
    """A cluster, its head, and the time."""
    head, now = _Head(), [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(ray_cluster, "_accepts", lambda *_, **__: head.answers)
    cluster = RayCluster.__new__(RayCluster)
    cluster.ray, cluster._head, cluster._looked, cluster._nodes = head, ("", 1), float("-inf"), []
    cluster._answered = cluster._populated = now[0]
    return cluster, head, now


def test_a_cluster_is_gone_when_its_head_stays_away(watched: tuple[RayCluster, _Head, list[float]]) -> None:
    """A short absence is forgiven; nothing that needs the head is asked meanwhile."""
    cluster, head, now = watched
    assert 2 == len(cluster.nodes())
    assert cluster.answers
    head.answers = False
    now[0] += ray_cluster.GONE_SECONDS - 1
    cluster.look()
    assert (2, False) == (len(cluster.nodes()), cluster.answers)
    head.answers = True
    now[0] += ray_cluster.LOOK_SECONDS
    cluster.look()
    assert cluster.answers
    head.answers = False
    now[0] += ray_cluster.GONE_SECONDS + 1
    with pytest.raises(ExecutorGone, match="the cluster is gone"):
        cluster.look()


def test_a_cluster_without_machines_is_gone(watched: tuple[RayCluster, _Head, list[float]]) -> None:
    """The last machine may be replaced within a minute, and no later."""
    cluster, head, now = watched
    cluster.look()
    head.alive = [False, False]
    now[0] += ray_cluster.EMPTY_SECONDS - 1
    cluster.look()
    assert [] == cluster.nodes()
    now[0] += ray_cluster.LOOK_SECONDS
    with pytest.raises(ExecutorGone):
        cluster.look()


def test_a_hundred_tasks_are_cancelled_with_one_question(
    watched: tuple[RayCluster, _Head, list[float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the head answers is asked once for all; where it never does again, the cluster is gone."""
    cluster, head, now = watched
    asked, cancelled = [0], []

    def accepts(*_: object, **__: object) -> bool:
        asked[0] += 1
        now[0] += 0.0 if head.answers else ray_cluster.LOOK_SECONDS
        return head.answers

    monkeypatch.setattr(ray_cluster, "_accepts", accepts)
    ray = _Ray(set())
    executor = RayExecutor.__new__(RayExecutor)
    executor._cluster, executor._suspects, executor._known = cluster, Suspects(ray), set()
    executor._probe, executor._seen, executor._usable = Probe(ray), [], []
    executor._quick, executor._functions, executor._room = {}, Functions(ray), Room(Execution())
    executor._ray = SimpleNamespace(cancel=lambda reference, **_: cancelled.append(reference))
    executor._references = {str(number): number for number in range(100)}
    executor._tasks = {number: Sent(str(number), None, Attempt(1), 0.0) for number in range(100)}  # type: ignore[arg-type]
    cluster.nodes()

    def cancel_all() -> None:
        for key in executor._references:
            executor.cancel(key, force=True)

    cancel_all()
    assert (100, 2) == (len(cancelled), len(ray.asked))
    assert asked[0] <= 2
    head.answers = False
    now[0] += REPEAT_SECONDS
    with pytest.raises(ExecutorGone):
        cancel_all()
    assert asked[0] < 20


@pytest.mark.parametrize("address", ["", "nowhere", "host:", "host:99999", ":6379"])
def test_an_address_that_is_none_is_refused_at_once(address: str) -> None:
    """The rule is told: local, auto or HOST:PORT."""
    with pytest.raises(SweepError, match="expected local, auto or HOST:PORT"):
        ray_connect.require_address(address)
