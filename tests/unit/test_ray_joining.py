"""What is said and asked before anything starts on a cluster: addresses, tokens, machines, jobs."""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lmc_sweep.config import parse_sweep
from lmc_sweep.errors import SweepError
from lmc_sweep.execution import code, node_check, ray_connect, ray_probe, ray_submission, worker_log
from lmc_sweep.execution.executor import Lost
from lmc_sweep.execution.node_check import SIGN, SIGN_SECONDS, Needs, answer, asked_of, problems, shown
from lmc_sweep.execution.progress import KindProgress, Progress
from lmc_sweep.execution.ray_metrics import GAUGES, LOST, WHOLE, RunMetrics
from lmc_sweep.execution.task import ItemFailure, Receipt, Task
from lmc_sweep.planning.plan import make_plan
from lmc_sweep.store.store import Store

SWEEP = parse_sweep(
    """
    name: one
    store: store
    networks: [{dataset: digits, architecture: {name: mlp, width: 4}, seeds: 2}]
    """
)


@pytest.fixture(autouse=True)
def _no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home without a token, and variables that end with the test."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def test_a_token_is_used_wherever_ray_looks_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In two variables and a file; without any, and where the mode was set, nothing is changed."""
    import os

    ray_connect.use_token()
    assert "RAY_AUTH_MODE" not in os.environ
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("a" * 40)
    assert ray_connect.has_token()
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "nowhere"))
    assert not ray_connect.has_token()
    monkeypatch.setenv("RAY_AUTH_TOKEN", "b" * 40)
    ray_connect.use_token()
    assert "token" == os.environ["RAY_AUTH_MODE"]
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    ray_connect.use_token()
    assert "disabled" == os.environ["RAY_AUTH_MODE"]


def test_a_missing_token_and_a_wrong_one_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both name the variables and the file."""
    assert "none is set here" in str(ray_connect.token_refused("x"))
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "a" * 40)
    told = str(ray_connect.token_refused("x"))
    assert "refuses the token" in told
    assert all(word in told for word in ("RAY_AUTH_MODE=token", "RAY_AUTH_TOKEN_PATH", "~/.ray/auth_token"))


def test_a_token_that_is_to_be_used_and_is_not_there_is_told_before_ray_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ray itself would end the process with exit code 1 and not a word."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(SweepError, match=rf"{address}: RAY_AUTH_MODE=token, and no token .* RAY_"):
            ray_connect.connect(address, uses_gpus=False)


def test_an_address_where_nobody_listens_is_told_with_the_remedy() -> None:
    """The port of a head, or none."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
    with pytest.raises(SweepError, match=r"answers there \(Connection refused\). .* leave out --address"):
        ray_connect.require_address(address)


def test_what_several_nodes_say_is_told_once() -> None:
    """With the names of those that say it, and after it what others say."""
    told = {"1": "node a (11): no keys.", "2": "node b (22): other code", "3": "node c (33): no keys."}
    expected = "nodes a (11), c (33): no keys; node b (22): other code. Nothing was started."
    assert expected == ray_probe._told(told)


def test_the_url_of_a_dashboard_is_no_address_of_a_head() -> None:
    """It is what submit takes."""
    with pytest.raises(SweepError, match="lmc-sweep submit takes it"):
        ray_connect.require_address("http://host:8265")


def needs(store: Store) -> Needs:
    """What a run on a store asks of every machine."""
    return Needs(str(store.path), marker=store.terms.marker, datasets=("digits",))


def test_a_machine_that_has_everything_is_accepted(tmp_path: Path) -> None:
    """The answer travels as plain values."""
    asked = asked_of(needs(Store.create(tmp_path / "s")))
    assert [] == answer(asked)
    assert all(isinstance(value, str | bytes | tuple) for value in asked.values())


def test_other_versions_are_named_and_nothing_else_is_asked(tmp_path: Path) -> None:
    """Package, version here and there, and the remedy."""
    asked = asked_of(needs(Store.create(tmp_path / "s")))
    torch = f"torch {code.version('torch')}"
    (told,) = answer({**asked, "code": asked["code"].replace(torch, "torch 0.9"), "store_uri": "/nowhere"})
    assert f"torch 0.9 against {torch}" in told
    assert "Install the same versions" in told


def test_a_store_that_is_another_one_is_refused(tmp_path: Path) -> None:
    """A machine that has a directory of its own at the path, or none."""
    driver, other = Store.create(tmp_path / "a"), Store.create(tmp_path / "b")
    (told,) = problems(replace(needs(driver), store_uri=str(other.path)))
    assert "the store cannot be used" in told
    assert "all nodes mount" in told
    (told,) = problems(replace(needs(driver), store_uri=str(tmp_path / "c")))
    assert "the store cannot be used" in told


def test_a_machine_sees_where_a_store_will_be(tmp_path: Path) -> None:
    """By a file that stands there as long as it is asked; nothing is left, and nothing is made."""
    wanted = Needs(str(tmp_path / "runs" / "s"))
    with shown(wanted) as meanwhile:
        assert [Path(meanwhile.sign).name] == [path.name for path in tmp_path.iterdir()]
        assert Path(meanwhile.sign).name.startswith(SIGN)
        assert [] == problems(meanwhile)
    assert [] == list(tmp_path.iterdir())
    (told,) = problems(meanwhile)
    assert "is not the driver's" in told


@pytest.mark.parametrize("is_made", [False, True])
def test_a_sign_of_a_driver_that_was_killed_is_swept_by_the_next(tmp_path: Path, is_made: bool) -> None:
    """In the store's folder and above it, before the store is made and after; what is young, another's or
    no sign stays."""
    root = tmp_path / "runs" / "s"
    root.mkdir(parents=True)
    old = time.time() - SIGN_SECONDS - 10
    left = [folder / f"{SIGN}{number:016x}" for number, folder in enumerate((root, root.parent, tmp_path))]
    kept = [tmp_path / f"{SIGN}{9:016x}", tmp_path / f"{SIGN}mine", root.parent / f"{SIGN}{8:016x}"]
    for path in (*left, *kept):
        path.touch()
        os.utime(path, (old, old))
    os.utime(kept[0])
    kept[2].write_text("not empty")
    os.utime(kept[2], (old, old))
    with shown(Needs(str(root), marker=b"made" if is_made else b"")) as meanwhile:
        assert ([False] * 3, [True] * 3) == ([p.exists() for p in left], [p.exists() for p in kept])
        assert is_made != bool(meanwhile.sign)


def test_missing_data_and_other_code_are_told_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each with its remedy; the user's module is read and not run."""
    monkeypatch.setenv("LMC_SWEEP_DATA", str(tmp_path / "data"))
    (tmp_path / "mine_to_ship.py").write_text("raise RuntimeError('run')\ndef net():\n    pass\n")
    store = Store.create(tmp_path / "s")
    found = problems(
        replace(
            needs(store),
            datasets=("mnist",),
            modules=(("mine_to_ship:net", "0" * 64),),
            import_path=str(tmp_path),
        )
    )
    assert 2 == len(found)
    assert "lmc-sweep datasets fetch mnist" in found[0]
    assert "--working-dir" in found[1]
    (missing,) = node_check.problems(replace(needs(store), modules=(("not_here:net", "0" * 64),)))
    assert "there is no module not_here" in missing


class _Jobs:
    """A job server that remembers."""

    def __init__(self) -> None:
        self.jobs: dict[str, Any] = {}

    def get_address(self) -> str:
        return "http://head:8265"

    def list_jobs(self) -> list[Any]:
        return list(self.jobs.values())

    def submit_job(self, *, entrypoint: str, submission_id: str, runtime_env: Any, metadata: Any) -> None:
        if submission_id in self.jobs:
            raise RuntimeError(f"Job with submission_id {submission_id} already exists")
        self.jobs[submission_id] = job(submission_id, "RUNNING", metadata=metadata, env=runtime_env)
        self.jobs[submission_id].entrypoint = entrypoint

    def get_job_info(self, job_id: str) -> Any:
        return self.jobs[job_id]

    def get_job_logs(self, job_id: str) -> str:
        return self.jobs[job_id].logs


def job(name: str, status: str, metadata: Any = None, env: Any = None, code: int | None = None) -> Any:
    """A job as Ray tells it."""
    state = SimpleNamespace(value=status, is_terminal=lambda: status not in ("RUNNING", "PENDING"))
    return SimpleNamespace(
        submission_id=name, status=state, metadata=metadata, env=env, driver_exit_code=code, message="gone"
    )


def test_a_sweep_is_one_job_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second submission finds the first; once that is over, the next has a number of its own."""
    monkeypatch.chdir(tmp_path)
    server = _Jobs()
    first = ray_submission.submit(server, SWEEP, "runs/s", None, ("--max-failures", "3"))
    assert first.is_new
    made = server.jobs[first.id]
    store = tmp_path / "runs" / "s"
    assert (SWEEP.text, str(store)) == (made.env["env_vars"]["LMC_SWEEP_TEXT"], made.metadata["store"])
    assert made.entrypoint.endswith(f"lmc-sweep run - --address auto --store {store} --max-failures 3")
    again = ray_submission.submit(server, SWEEP, str(store), None, ())
    assert (first.id, False) == (again.id, again.is_new)
    changed = replace(SWEEP, text=SWEEP.text + "# more\n")
    with pytest.raises(SweepError, match="runs another text of this sweep"):
        ray_submission.submit(server, changed, str(store), None, ())
    server.jobs[first.id] = job(first.id, "FAILED", metadata=made.metadata)
    second = ray_submission.submit(server, changed, str(store), tmp_path, ())
    assert second.is_new
    assert second.id != first.id
    assert str(tmp_path) == server.jobs[second.id].env["working_dir"]
    assert ray_submission.submit(server, SWEEP, "s3://bucket/x", None, ()).is_new


def test_two_submissions_at_once_make_one_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The slower of two finds the job of the quicker one."""
    server = _Jobs()
    first = ray_submission.submit(server, SWEEP, str(tmp_path), None, ())
    monkeypatch.setattr(server, "list_jobs", list)
    slower = ray_submission.submit(server, SWEEP, str(tmp_path), None, ())
    assert (first.id, False) == (slower.id, slower.is_new)


@pytest.mark.parametrize(
    ("status", "code", "expected", "told"),
    [
        ("SUCCEEDED", 0, 0, ""),
        ("FAILED", 1, 1, ""),
        ("FAILED", 2, 2, ""),
        ("FAILED", 130, 130, ""),
        ("STOPPED", None, 130, "stopped"),
        ("FAILED", 127, 3, "PATH"),
        ("FAILED", None, 3, "lost the job"),
        ("FAILED", -9, 3, "lost the job"),
    ],
)
def test_the_exit_code_of_a_job_becomes_ours(status: str, code: int | None, expected: int, told: str) -> None:
    """And what no command of ours exits with is told in words."""
    server = _Jobs()
    server.jobs["j"] = job("j", status, code=code)
    server.jobs["j"].logs = "one\ntwo\n"
    said: list[str] = []
    ended = ray_submission.follow(server, "j", said.append)
    assert (expected, "one\ntwo\n") == (ended.exit_code, "".join(said))
    assert told in ended.message


class _Metrics:
    """Ray's metrics, kept."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, ...], float] = {}

    def Gauge(self, name: str, description: str, tag_keys: tuple[str, ...]) -> Any:
        def set_to(value: float, tags: dict[str, str]) -> None:
            assert set(tag_keys) == set(tags)
            self.values[(name, *tags.values())] = value

        return SimpleNamespace(set=set_to)

    def Counter(self, name: str, description: str, tag_keys: tuple[str, ...]) -> Any:
        def add(value: float, tags: dict[str, str]) -> None:
            key = (name, *tags.values())
            self.values[key] = self.values.get(key, 0.0) + value

        return SimpleNamespace(inc=add)


def test_metrics_tell_what_progress_tells() -> None:
    """Gauges by kind are set, lost attempts are counted up, and nothing is counted twice."""
    metrics = _Metrics()
    told = RunMetrics(metrics, "one")
    kinds = {"network": KindProgress(9, 4, 2, 1, 10.0, 20.0, 0.5)}
    progress = Progress(kinds, 3, 1.0, None, queued=5, attempts={"node_lost": 2})
    told.tell(progress, {"network": 7})
    told.tell(replace(progress, attempts={"node_lost": 3}), {"network": 7})
    of_kind = {name: metrics.values[name, "one", "network"] for name in GAUGES}
    assert [9, 4, 2, 1, 0.5, 20, 7] == list(of_kind.values())
    assert [3, 5, -1] == [metrics.values[name, "one"] for name in WHOLE]
    assert 3 == metrics.values[LOST, "one", "node_lost"]


def test_the_log_of_a_worker_names_the_items(capsys: pytest.CaptureFixture[str]) -> None:
    """One line of JSON when a batch begins and one when it ends."""
    (batch,) = make_plan(SWEEP, None, 1).batches
    task = Task("s", batch.kind, batch.items, sweep="one", run_id="r", key="b-1")
    ids = [item.id for item in batch.items]
    worker_log.begun(task, "cuda:1", "node")
    failure = ItemFailure("network", (ids[0],), "BadError", "bad", cause="error")
    worker_log.ended(task, Receipt((ids[1],), (failure,)), 1.5)
    worker_log.ended(task, Lost("cancelled", "TaskCancelledError", "asked"), 2.0)
    lines = capsys.readouterr().err.splitlines()
    begun, ended, lost = (json.loads(line.removeprefix("lmc_sweep ")) for line in lines)
    assert ("begun", ids, "cuda:1", "b-1") == (
        begun["event"],
        begun["items"],
        begun["device"],
        begun["batch"],
    )
    assert (1, 1.5, [ids[0]]) == (ended["num_done"], ended["seconds"], ended["failures"][0]["items"])
    assert "cancelled" == lost["lost"]
