"""Watching, cancelling and retrying from another process, and secrets that must not get into a store."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from in_process import lmc_sweep

from lmc_sweep.store.store import Store

pytestmark = pytest.mark.slow  # runs are processes of their own, and whoever meets their modules

SECRET = "hunter2-hunter2-hunter2"
PLANTED = (SECRET, "AKIAHUNTER2HUNTER222", "abcdefgh12345678")
MODULE = '''
import os, pathlib
from torch import nn


def build(width):
    """A module that does not work until a file says so."""
    return Net(width)


class Net(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))

    def forward(self, x):
        if self.layers[0].out_features == 5 and self.training and not pathlib.Path("mended").exists():
            raise RuntimeError(
                "cannot reach s3://me:" + os.environ["MY_SERVICE_TOKEN"] + "@bucket/x with Authorization: "
                "Bearer abcdefgh12345678, AKIAHUNTER2HUNTER222, token " + os.environ["MY_SERVICE_TOKEN"]
            )
        return self.layers(x)
'''
SWEEP = """
name: broken
store: store
networks:
  - dataset: digits
    architecture: {name: "mynets:build", width: [4, 5]}
    training: {max_epochs: 1}
    seeds: 2
barriers:
  alignments: [{method: identity}]
  interpolation: {alphas: 3}
"""
LONG = """
name: long
store: long
networks:
  - dataset: digits
    architecture: {name: mlp, width: [64, 65, 66, 67, 68, 69, 70, 71], depth: 2}
    training: {max_epochs: 60}
    seeds: 240
execution: {max_stack_bytes: 1.0e+6}
"""


def command(*arguments: str) -> list[str]:
    """The entry point with its arguments."""
    return [str(Path(sys.executable).with_name("lmc-sweep")), *arguments]


def program(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The entry point in a process of its own, with secrets in its environment."""
    environment = {**os.environ, "MY_SERVICE_TOKEN": SECRET}
    return subprocess.run(
        command(*arguments),
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def secrets_in(store: Path) -> list[tuple[str, str]]:
    """Where in the files and the failures of a store the planted secrets stand."""
    files = [path for path in store.rglob("*") if path.is_file()]
    texts = [(path.name, path.read_bytes()) for path in files]
    failures = Store(store).failures().project("message, traceback").fetchall()
    texts += [("failures", (message + traceback).encode()) for message, traceback in failures]  # uncompressed
    assert any(b"cannot reach s3://***@bucket/x with Authorization: ***" in text for _, text in texts)
    return [(name, secret) for name, text in texts for secret in PLANTED if secret.encode() in text]


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run of a sweep of which half fails in the user's own module."""
    path = tmp_path_factory.mktemp("broken")
    (path / "mynets.py").write_text(MODULE)
    (path / "sweep.yaml").write_text(SWEEP)
    done = program("run", "sweep.yaml", "--inline", cwd=path)
    assert 1 == done.returncode, done.stderr
    assert SECRET not in done.stderr
    assert "lmc-sweep retry" in done.stderr
    return path


def test_planted_secrets_are_in_no_file_of_the_store(broken: Path) -> None:
    """After a run that fails with secrets in its message, no byte of the store holds any of them."""
    assert [] == secrets_in(broken / "store")
    assert 2 == len(Store(broken / "store").failures())


@pytest.mark.ray
def test_planted_secrets_stay_out_of_the_store_on_ray(tmp_path: Path) -> None:
    """The same where workers raise: neither they nor the driver write down what their environment holds."""
    (tmp_path / "mynets.py").write_text(MODULE)
    (tmp_path / "sweep.yaml").write_text(SWEEP.replace("[4, 5]", "5"))
    done = program("run", "sweep.yaml", cwd=tmp_path)
    assert (1, False) == (done.returncode, SECRET in done.stderr), done.stderr
    assert [] == secrets_in(tmp_path / "store")
    assert 2 == len(Store(tmp_path / "store").failures())


def test_status_plan_and_store_agree(broken: Path) -> None:
    """What failed, what waits for it, and what a run would leave alone is the same for status and plan."""
    (status,) = json.loads(lmc_sweep("status", "store", "--json", cwd=broken).stdout)
    plan = json.loads(program("plan", "sweep.yaml", "--json", cwd=broken).stdout)
    for kind, told in status["kinds"].items():
        planned = plan["kinds"][kind]
        assert (told["total"], told["done"]) == (planned["items"], planned["done"])
        assert (told["held"], told["blocked"]) == (planned["held_back"], planned["blocked"])
    assert ("not running", 2, 2) == (status["state"], status["held"], status["kinds"]["network"]["failed"])
    (group,) = status["failures"]
    assert ("user_error", "RuntimeError", 2) == (group["cause"], group["error_type"], group["num_held"])


def test_status_reads_well(broken: Path) -> None:
    """One shot tells state, counts, the cause, and the commands that repeat and release."""
    told = lmc_sweep("status", "store", cwd=broken).stderr
    assert "Sweep broken: not running" in told
    assert "2 networks failed: RuntimeError: cannot reach" in told
    assert "lmc-sweep repro store " in told
    assert "lmc-sweep retry store" in told


IMPATIENT = """
import sys
from lmc_sweep.cli import main, status
status.LIFELESS_SECONDS = 0.5
sys.argv[0] = "lmc-sweep"
main()
"""
"""The program, but that it watches for half a second what nobody runs, and not for half a minute."""


def test_watching_what_nobody_runs_ends(broken: Path) -> None:
    """--watch says in one line that nothing runs, and ends by itself."""
    done = subprocess.run(
        [sys.executable, "-c", IMPATIENT, "status", "store", "--watch"],
        cwd=broken,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert 0 == done.returncode, done.stderr
    assert "broken: not running; networks 2/4 (2 failed)" in done.stderr
    assert "No run is alive" in done.stderr
    assert "No run is alive" in lmc_sweep("cancel", "store", cwd=broken).stderr


def test_retry_releases_and_the_next_run_does_the_rest(broken: Path) -> None:
    """A run leaves held items alone until they are released; mended, the named command does the rest."""
    again = program("run", "sweep.yaml", "--inline", cwd=broken)
    assert 1 == again.returncode
    (broken / "mended").touch()
    released = lmc_sweep("retry", "store", cwd=broken)
    assert (0, True) == (released.returncode, "Released 2 networks of sweep broken" in released.stderr)
    assert "Nothing to release" in lmc_sweep("retry", "store", cwd=broken).stderr
    named = released.stderr.splitlines()[-1].split("lmc-sweep ")[1].split()
    done = program(*named, "--inline", cwd=broken)
    assert 0 == done.returncode, done.stderr
    (status,) = json.loads(lmc_sweep("status", "store", "--json", cwd=broken).stdout)
    assert ("complete", 0, []) == (status["state"], status["held"], status["failures"])


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that takes long."""
    return tmp_path_factory.mktemp("watched")


@pytest.fixture(scope="module")
def running(watched: Path) -> Iterator[subprocess.Popen[str]]:
    """A run that takes long, and works by now."""
    (watched / "sweep.yaml").write_text(LONG)
    process = subprocess.Popen(
        command("run", "sweep.yaml", "--inline"), cwd=watched, stderr=subprocess.PIPE, text=True
    )
    while process.poll() is None:
        if (watched / "long" / "store.json").exists() and Store(watched / "long").ids("network"):
            break
        time.sleep(0.2)
    yield process
    if process.poll() is None:
        process.kill()
    process.communicate()


def test_watching_ends_quietly_on_an_interrupt(running: subprocess.Popen[str], watched: Path) -> None:
    """Ctrl-C ends --watch with code 130, without a traceback, and leaves the run alone."""
    watching = subprocess.Popen(
        command("status", "long", "--watch"), cwd=watched, stderr=subprocess.PIPE, text=True
    )
    assert watching.stderr is not None
    assert "long: running" in watching.stderr.readline()
    watching.send_signal(signal.SIGINT)
    _, rest = watching.communicate(timeout=600)
    assert (130, "") == (watching.returncode, rest)
    assert running.poll() is None


def test_cancel_stops_a_run_in_order(running: subprocess.Popen[str], watched: Path) -> None:
    """Status sees it run; cancel --wait returns when it has stopped; what had finished is stored."""
    (status,) = json.loads(lmc_sweep("status", "long", "--json", cwd=watched).stdout)
    assert "running" == status["state"]
    assert [True] == [run["alive"] for run in status["runs"]]
    done = program("cancel", "long", "--wait", cwd=watched)
    assert 0 == done.returncode
    assert "asked run" in done.stderr
    assert "has stopped" in done.stderr
    _, told = running.communicate(timeout=600)
    assert "The same command carries on from here." in told
    (status,) = json.loads(lmc_sweep("status", "long", "--json", cwd=watched).stdout)
    assert "not running" == status["state"]
    assert 0 < status["kinds"]["network"]["done"] < status["kinds"]["network"]["total"]
