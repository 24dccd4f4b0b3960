"""What a command takes as a whole process, and where its files lie."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
COMMAND = str(Path(sys.executable).with_name("lmc-sweep"))


_LAUNCHER = """
import json, os, subprocess, sys, time
start = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
print(json.dumps([time.perf_counter() - start, usage.ru_maxrss]))
process.returncode = os.waitstatus_to_exitcode(status)
sys.exit(process.returncode)
"""
"""Starts a command from a small process: what a large one starts counts its parent's pages as its own."""


class Taken(NamedTuple):
    """Seconds from start to end, and the largest resident set on the way in bytes."""

    seconds: float
    peak_bytes: int


def taken(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Taken:
    """What a command takes; RuntimeError with the end of its standard error where it fails."""
    launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, *command]
    done = subprocess.run(
        launcher, cwd=ROOT, capture_output=True, text=True, env={**os.environ, **(environment or {})}
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-2000:]}")
    seconds, peak = json.loads(done.stdout)
    return Taken(seconds, peak * (1 if sys.platform == "darwin" else 1024))


def printed(module: str, *arguments: object) -> Any:
    """What a module prints as JSON in its last line, run in a process of its own."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def allowed(name: str, ours: float, allowance: float, unit: str = "s") -> dict[str, Any]:
    """A row against an allowance: the ratio says how many times over it would fit."""
    return {
        "name": name,
        "ours": ours,
        "baseline": allowance,
        "ratio": allowance / ours,
        "target": 1.0,
        "unit": f"{unit}, allowance",
    }


def file_system(folder: str | Path) -> str:
    """The type of the file system that a folder lies on: ext4, tmpfs; "unknown" where nothing tells."""
    mounts = Path("/proc/self/mounts")
    if not mounts.exists():
        return "unknown"
    resolved = str(Path(folder).resolve()) + "/"
    entries = [line.split()[1:3] for line in mounts.read_text().splitlines()]
    holding = [(len(at), kind) for at, kind in entries if resolved.startswith(at.rstrip("/") + "/")]
    return max(holding)[1] if holding else "unknown"


def disk_folder() -> str:
    """A temporary folder's parent that is a disk and no memory."""
    parents = [tempfile.gettempdir(), "/var/tmp", str(ROOT)]
    return next((parent for parent in parents if file_system(parent) not in ("tmpfs", "ramfs")), parents[0])
