"""Bad input: exit code 2, one or two lines on standard error, nothing written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from in_process import lmc_sweep

GOOD = """
name: tiny
store: store
networks:
  - {dataset: digits, architecture: {name: mlp, width: 4}, training: {max_epochs: 1}, seeds: 2}
barriers:
  alignments: [{method: identity}]
"""


def program(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The entry point in a process of its own."""
    command = Path(sys.executable).with_name("lmc-sweep")
    return subprocess.run(
        [str(command), *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def replaced(old: str, new: str) -> str:
    """The good sweep with one thing changed."""
    assert old in GOOD
    return GOOD.replace(old, new)


BAD = {
    "yaml": ("name: [", ["line"]),
    "unknown key": (replaced("max_epochs", "max_epoch"), ["max_epoch", "max_epochs", "networks[0].training"]),
    "wrong type": (replaced("max_epochs: 1", "max_epochs: many"), ["max_epochs", "many"]),
    "unknown data set": (replaced("digits", "digitz"), ["digitz", "digits", "mnist"]),
    "unknown architecture": (replaced("name: mlp", "name: mpl"), ["mpl", "mlp"]),
    "unknown method": (replaced("identity", "identiy"), ["identiy", "identity"]),
    "empty list": (replaced("width: 4", "width: []"), ["width"]),
    "width 0": (replaced("width: 4", "width: 0"), ["width", "0"]),
    "negative rate": (replaced("max_epochs: 1", "learning_rate: -0.1"), ["learning_rate", "-0.1"]),
    "too many pairs": (replaced("barriers:", "barriers:\n  pairs: 2"), ["pairs", "seeds"]),
    "no effect": (
        replaced("alignments: [", "interpolation: {corrections: [reset_bn]}\n  alignments: ["),
        ["reset_bn"],
    ),
    "identical networks": (
        replaced("max_epochs: 1", "max_epochs: 1, init_seed: 0, order_seed: 0"),
        ["init_seed", "order_seed", "identical"],
    ),
    "data set not there": (replaced("digits", "mnist"), ["mnist", "lmc-sweep datasets fetch mnist"]),
    "other storage": (replaced("store: store", "store: ftp://host/x"), ["ftp://", "s3://"]),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_sweep_is_refused_before_anything_starts(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says what and where; the directory is as it was."""
    text, words = BAD[name]
    (tmp_path / "sweep.yaml").write_text(text)
    monkeypatch.setenv("LMC_SWEEP_DATA", str(tmp_path / "nowhere"))
    done = lmc_sweep("run", "sweep.yaml", cwd=tmp_path)
    assert 2 == done.returncode, done.stderr
    assert 1 <= len(done.stderr.splitlines()) <= 2, done.stderr
    assert "" == done.stdout
    assert all(word in done.stderr for word in words), done.stderr
    assert ["sweep.yaml"] == [path.name for path in tmp_path.iterdir()]


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """No such sweep file: exit code 2 and its name."""
    done = program("run", "none.yaml", cwd=tmp_path)
    assert (2, True) == (done.returncode, "none.yaml" in done.stderr)


def test_object_storage_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    """No server, or a bucket's URI that is none: exit code 2 with the remedy, nothing written."""
    (tmp_path / "sweep.yaml").write_text(GOOD)
    away = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    cache = {"LMC_SWEEP_CACHE": str(tmp_path / "cache")}
    for uri, word in (("s3://bucket/x", "AWS_ENDPOINT_URL"), ("s3://key@bucket/x", "neither keys")):
        done = program("run", "sweep.yaml", "--store", uri, cwd=tmp_path, **away, **cache)
        assert (2, "") == (done.returncode, done.stdout), done.stderr
        assert word in done.stderr
        assert 1 == len(done.stderr.splitlines()), done.stderr
    assert ["sweep.yaml"] == [path.name for path in tmp_path.iterdir()]


def test_an_unwritable_store_is_refused(tmp_path: Path) -> None:
    """A store under a file cannot be made: exit code 2, nothing started."""
    (tmp_path / "sweep.yaml").write_text(GOOD)
    (tmp_path / "file").write_text("")
    done = lmc_sweep("run", "sweep.yaml", "--store", "file/store", cwd=tmp_path)
    assert 2 == done.returncode
    assert 1 == len(done.stderr.splitlines())
    assert {"file", "sweep.yaml"} == {path.name for path in tmp_path.iterdir()}


def test_an_address_where_nothing_listens_is_refused(tmp_path: Path) -> None:
    """No cluster there: exit code 2 within seconds, nothing written."""
    (tmp_path / "sweep.yaml").write_text(GOOD)
    done = program("run", "sweep.yaml", "--address", "127.0.0.1:1", cwd=tmp_path)
    assert 2 == done.returncode
    assert "127.0.0.1:1" in done.stderr
    assert ["sweep.yaml"] == [path.name for path in tmp_path.iterdir()]


@pytest.mark.parametrize(
    "arguments",
    [
        ["run"],
        ["frob"],
        ["run", "sweep.yaml", "--max-failures", "x"],
        ["query", "nowhere", "SELECT 1"],
        ["status", "."],
    ],
)
def test_bad_usage_is_two_lines_at_most(arguments: list[str], tmp_path: Path) -> None:
    """Errors of the command line itself are as short as the others."""
    done = lmc_sweep(*arguments, cwd=tmp_path)
    assert 2 == done.returncode
    assert 1 <= len(done.stderr.splitlines()) <= 2
    assert "Traceback" not in done.stderr


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    """--debug, anywhere on the line, adds the traceback and keeps the exit code."""
    done = program("run", "none.yaml", "--debug", cwd=tmp_path)
    assert (2, True) == (done.returncode, "Traceback" in done.stderr)


@pytest.mark.parametrize("override", ["execution.num_gpus=1", "execution.num_cpus=4096"])
def test_resources_that_inline_cannot_give_are_refused(override: str, tmp_path: Path) -> None:
    """GPUs, or more cores than there are: exit code 2, one line, nothing written."""
    (tmp_path / "sweep.yaml").write_text(GOOD)
    done = lmc_sweep("run", "sweep.yaml", "--inline", "--set", override, cwd=tmp_path)
    assert 2 == done.returncode
    assert 1 == len(done.stderr.splitlines())
    assert ["sweep.yaml"] == [path.name for path in tmp_path.iterdir()]


@pytest.mark.ray
@pytest.mark.slow
def test_resources_that_no_node_has_are_refused(tmp_path: Path) -> None:
    """A private cluster without GPUs says what it has, and ends; nothing is written."""
    (tmp_path / "sweep.yaml").write_text(GOOD)
    done = program("run", "sweep.yaml", "--set", "execution.num_cpus=4096", cwd=tmp_path)
    assert 2 == done.returncode
    assert "4096 CPUs" in done.stderr
    assert ["sweep.yaml"] == [path.name for path in tmp_path.iterdir()]


def test_a_module_that_exits_is_no_success(tmp_path: Path) -> None:
    """A script that calls ``sys.exit(0)`` when it is imported: one line, exit code 3, nothing written."""
    (tmp_path / "script.py").write_text("import sys\nbuild = list\nsys.exit(0)\n")
    (tmp_path / "sweep.yaml").write_text(replaced("name: mlp, width: 4", "name: 'script:build'"))
    done = program("run", "sweep.yaml", "--inline", cwd=tmp_path)
    assert 3 == done.returncode
    assert "a module of your own exited (0)" in done.stderr
    assert not (tmp_path / "store").exists()
