"""A reader that goes away, as ``head`` does: the command ends quietly, as shells expect."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lmc_sweep.store.store import Store

CLAIMS = Path(__file__).parents[2] / "configs" / "entezari" / "claims.yaml"


@pytest.mark.parametrize(
    "arguments",
    [
        ("plot", "store"),
        ("query", "store"),
        ("query", "store", "SELECT range FROM range(9)", "--format", "csv"),
        ("claims", "store", "--claims", str(CLAIMS)),
        ("--help",),
    ],
    ids=" ".join,
)
def test_a_closed_pipe_ends_a_command_quietly(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """Nobody reads what a command prints: exit code 141, that of a closed pipe, and not a word."""
    Store.create(tmp_path / "store")
    reading, writing = os.pipe()
    os.close(reading)
    command = Path(sys.executable).with_name("lmc-sweep")
    done = subprocess.run(
        [str(command), *arguments],
        cwd=tmp_path,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
        check=False,
    )
    os.close(writing)
    assert (141, "") == (done.returncode, done.stderr)


def test_both_streams_may_be_closed(tmp_path: Path) -> None:
    """With standard error in the same closed pipe the exit code is the same."""
    reading, writing = os.pipe()
    os.close(reading)
    command = Path(sys.executable).with_name("lmc-sweep")
    done = subprocess.run(
        [str(command), "--version"], cwd=tmp_path, stdout=writing, stderr=writing, timeout=120, check=False
    )
    os.close(writing)
    assert 141 == done.returncode
