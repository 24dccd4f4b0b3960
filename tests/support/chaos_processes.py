"""``lmc-sweep`` as processes of their own: started, found with all that they started, and ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil
from ray_machines import HANGS_SECONDS

PROGRAM = str(Path(sys.executable).with_name("lmc-sweep"))
SAID = "said.txt"
RAY_AGENTS = ("ray::DashboardAgent", "ray::RuntimeEnvAgent")


def start(
    folder: Path,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    program: Sequence[str] = (PROGRAM,),
) -> subprocess.Popen[bytes]:
    """``lmc-sweep`` in a process group of its own; what it says is appended to ``said.txt`` in the folder.

    Every process that comes of it, Ray's too, has the folder as its working directory, which is how
    ``family`` knows them, orphans included.
    """
    with (folder / SAID).open("ab") as said:
        return subprocess.Popen(
            [*program, *arguments],
            cwd=folder,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
        )


def finish(
    folder: Path,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
) -> int:
    """Exit code of ``lmc-sweep`` with these arguments, run to its end."""
    return start(folder, *arguments, environment=environment).wait(HANGS_SECONDS)


def in_peace(folder: Path, *sweeps: str) -> Path:
    """The store of the sweeps, run one after another in one process each and left in peace."""
    folder.mkdir(exist_ok=True)
    for text in sweeps:
        (folder / "sweep.yaml").write_text(text)
        assert finish(folder, "run", "sweep.yaml", "--inline") == 0, said(folder)[-2000:]
    return folder / "store"


def said(folder: Path) -> str:
    """All that was said in the folder so far."""
    path = folder / SAID
    return path.read_text(errors="replace") if path.exists() else ""


def family(folder: Path) -> list[psutil.Process]:
    """Living processes whose working directory is the folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()) == folder:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def title(process: psutil.Process) -> str:
    """The command line of a process; a busy Ray worker's is the name of its task."""
    try:
        return " ".join(process.cmdline()).strip()  # Ray pads its workers' titles
    except (psutil.Error, OSError):
        return ""


def busy_workers(folder: Path) -> list[psutil.Process]:
    """Ray workers that run a batch now."""
    titles = ("ray::network", "ray::alignment", "ray::barrier")
    return [process for process in family(folder) if title(process).startswith(titles)]


def raylets(folder: Path) -> list[psutil.Process]:
    """The processes that manage a node of Ray."""
    return [process for process in family(folder) if "/raylet/raylet" in title(process).split(" ")[0]]


def send(process: psutil.Process, number: signal.Signals) -> None:
    """Sends a signal; nothing where the process is gone."""
    try:
        process.send_signal(number)
    except (psutil.Error, OSError):
        return


def kill_family(folder: Path) -> int:
    """kill -9 to everything of the folder at once; how many that were."""
    found = family(folder)
    for process in found:
        send(process, signal.SIGKILL)
    return len(found)


def left_behind(folder: Path) -> list[str]:
    """Titles of the processes that do not end by themselves; ends them.

    Ray's own two agents of a node do not count: after kill -9 of all around them they look for their
    cluster for about a minute before they give up, which is nothing to wait for. They are ended here.
    """
    deadline = time.monotonic() + 300.0
    while found := [process for process in family(folder) if not title(process).startswith(RAY_AGENTS)]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.2)
    titles = [title(process) for process in found]
    kill_family(folder)
    return titles
