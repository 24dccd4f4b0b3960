"""``lmc-sweep`` in the process of the test: for facts that do not depend on a process of its own.

A process takes a second or more until it has imported what a command needs.
"""

from __future__ import annotations

import io
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from lmc_sweep.cli import main


def lmc_sweep(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """What the entry point answers with: its exit code and what it wrote to both streams."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    with pytest.MonkeyPatch.context() as patched, redirect_stdout(out), redirect_stderr(err):
        patched.chdir(cwd)
        patched.setattr(sys, "argv", ["lmc-sweep", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
    told = [_written(stream) for stream in (out, err)]
    return subprocess.CompletedProcess(["lmc-sweep", *arguments], int(ended.value.code or 0), *told)


def _written(stream: io.TextIOWrapper) -> str:
    """All that was written to a stream in memory."""
    stream.seek(0)
    return stream.read()
