"""The three lanes of ``make test`` run every test once, fail where one fails, and end together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

LANES = Path(__file__).parents[1] / "lanes.py"
TESTS = """
import os, pathlib, time
import pytest


def note(name):
    with open("noted.txt", "a") as noted:
        noted.write(name + "\\n")


def test_unmarked():
    note("unmarked")
    assert os.environ.get("FAILING") != "unmarked"


@pytest.mark.slow
def test_slow():
    note("slow")


@pytest.mark.ray
def test_ray():
    note("ray")
    assert os.environ.get("FAILING") != "ray"


@pytest.mark.fault
def test_fault():
    note("fault")


@pytest.mark.ray
@pytest.mark.fault
def test_both():
    note("both")


@pytest.mark.fault
@pytest.mark.slow
def test_long():
    note("long")


@pytest.mark.unit
def test_unit():
    note("unit")


@pytest.mark.unit
@pytest.mark.ray
def test_unit_on_ray():
    note("unit_on_ray")
"""
ENDLESS = '''
import pathlib, time
import pytest


@pytest.fixture
def kept(request):
    """Something that has to be taken down."""
    yield
    pathlib.Path(request.node.name + ".taken-down").touch()


@pytest.mark.parametrize("lane", [pytest.param("unit", marks=pytest.mark.ray), "rest"])
def test_endless(lane, kept):
    pathlib.Path(lane + ".begun").touch()
    time.sleep(3600)
'''
QUICK = ("-q", "-p", "no:hypothesispytest", "-p", "no:jaxtyping", "-W", "ignore")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with tests of every kind, apart from ours."""
    (tmp_path / "test_kinds.py").write_text(TESTS)
    return tmp_path


def lanes(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """All lanes over the tests of a folder."""
    return subprocess.run(
        [sys.executable, str(LANES), *QUICK, *arguments],
        cwd=folder,
        env={**os.environ, "PYTEST_ADDOPTS": "", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
    )


def test_every_test_runs_exactly_once(folder: Path) -> None:
    """Whatever its marks, a test is in one lane and in one alone; every lane's output is shown."""
    done = lanes(folder)
    assert 0 == done.returncode, done.stdout
    noted = (folder / "noted.txt").read_text().split()
    assert ["both", "fault", "long", "ray", "slow", "unit", "unit_on_ray", "unmarked"] == sorted(noted)
    assert 1 == done.stdout.count("2 passed, 6 deselected"), done.stdout
    assert 2 == done.stdout.count("3 passed, 5 deselected"), done.stdout


def test_a_test_of_the_unit_folder_is_in_the_lane_of_that_name() -> None:
    """What the lane of the rest does not read carries the mark by which another takes it."""
    chosen = ["--collect-only", "-q", "-m", "unit", "tests/unit/test_cli_count.py"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *chosen],
        cwd=LANES.parents[1],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert 0 == done.returncode, done.stdout
    assert "deselected" not in done.stdout


@pytest.mark.parametrize("failing", ["ray", "unmarked"])
def test_one_failing_lane_fails_all(folder: Path, failing: str) -> None:
    """One failed test in a lane: the other lanes still end, the exit code is 1, the failure is shown."""
    done = lanes(folder, FAILING=failing)
    assert 1 == done.returncode
    assert 8 == len((folder / "noted.txt").read_text().split())
    assert f"FAILED test_kinds.py::test_{failing}" in done.stdout
    assert 1 == done.stdout.count("FAILED")


def test_a_lane_without_tests_passes_beside_another(folder: Path) -> None:
    """A choice of tests that leaves lanes empty is judged by the others; no test at all is a failure."""
    assert 0 == lanes(folder, "-k", "unmarked").returncode
    assert 1 == lanes(folder, "-k", "nothing_is_called_so").returncode


def test_marks_are_not_to_be_chosen(folder: Path) -> None:
    """-m would replace what keeps the lanes apart: it is refused, and nothing runs."""
    done = lanes(folder, "-m", "slow")
    assert (2, False) == (done.returncode, (folder / "noted.txt").exists())
    assert done.stdout.startswith("-m: the lanes choose by marks themselves")


@pytest.fixture
def endless(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Two lanes in the middle of a test without end."""
    (tmp_path / "test_endless.py").write_text(ENDLESS)
    process = subprocess.Popen(
        [sys.executable, str(LANES), *QUICK], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 600
    while len(list(tmp_path.glob("*.begun"))) < 2:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_lanes_in_order(
    endless: subprocess.Popen[str], tmp_path: Path, number: signal.Signals
) -> None:
    """Each lane takes down what it had started, says so far what it did, and no process is left."""
    started = psutil.Process(endless.pid).children(recursive=True)
    assert 2 <= len(started)
    endless.send_signal(number)
    told, _ = endless.communicate(timeout=600)
    assert 128 + number == endless.returncode, told
    assert 2 == len(list(tmp_path.glob("*.taken-down")))
    assert 2 == told.count("1 deselected in")
    assert not any(process.is_running() for process in started)
