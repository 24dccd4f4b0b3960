"""Which process speaks: told so that another one on the same machine can tell that it is gone.

A process id alone says little: it is given to another process later, and means another one in another
container or after the machine has started anew. Told are therefore the machine, as a hash of what Linux
draws at random when it starts and of the namespace of process ids, and when the process began. No names
of hosts or users are among it.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

_PROC = Path("/proc")
_LARGEST_PID = 2**22  # of Linux
_ENDED = frozenset("ZXx")  # states of a process that runs no more, though nobody has asked for its exit code


def described() -> dict[str, Any] | None:
    """This process, for ``is_gone`` of another one; None where the system has no ``/proc``."""
    machine, told = _machine(), _state_and_start("self")
    if machine is None or told is None:
        return None
    return {"machine": machine, "pid": os.getpid(), "started": told[1]}


def is_gone(told: object) -> bool:
    """Whether a process that ``described`` itself has ended for certain.

    True only where it ran on this machine since that was started, and no process has its id and its start
    any more. Whatever is not known, or is on another machine: False.
    """
    if not isinstance(told, dict):
        return False
    machine, pid, started = told.get("machine"), told.get("pid"), told.get("started")
    if type(pid) is not int or type(started) is not int or not 0 < pid <= _LARGEST_PID:
        return False
    if not isinstance(machine, str) or machine != _machine():
        return False
    found = _state_and_start(str(pid))
    if found is not None:
        return found[1] != started or found[0] in _ENDED
    try:
        os.kill(pid, 0)  # sends nothing; /proc may hide the processes of other users
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _machine() -> str | None:
    """16 hex digits that stand for this machine since it was started, and its namespace of process ids."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return hashlib.sha256(f"{boot} {(_PROC / 'self/ns/pid').readlink()}".encode()).hexdigest()[:16]
    except (OSError, ValueError):
        return None


def _state_and_start(process: str) -> tuple[str, int] | None:
    """The letter of a process's state, and its start in clock ticks since its machine's; None: not known."""
    try:
        text = (_PROC / process / "stat").read_bytes()
        fields = text[text.rindex(b")") + 1 :].split()  # the name before it may hold anything
        return fields[0].decode(), int(fields[19])
    except (OSError, ValueError, IndexError):
        return None
