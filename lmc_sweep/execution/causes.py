"""Why an attempt ended without its results, and what follows from it.

Every error belongs to one class. A class says how often a batch may end that way before its items are
given up, how long to wait before the next attempt, and whether the next one gets more room. Networks
that diverge are results, not errors.
"""

from __future__ import annotations

import sys
import sysconfig
import traceback
from dataclasses import dataclass
from pathlib import Path

from lmc_sweep.errors import DamageError, StoreError
from lmc_sweep.planning.held_back import FAILS_EVERY_TIME


@dataclass(frozen=True)
class Cause:
    """One class of errors.

    Attributes:
        name: As it stands in the columns ``cause`` of the tables ``failures`` and ``attempts``.
        meaning: For people.
        max_attempts: Attempts at a batch that may end this way; the last of them gives its items up. None
            stands for ``execution.retries`` and one more.
        backoff_seconds: Pause before the next attempt, doubled each time.
        escalates: Whether the next attempt gets a smaller stack and a larger share of a machine.
    """

    name: str
    meaning: str
    max_attempts: int | None
    backoff_seconds: float = 0.0
    escalates: bool = False

    @property
    def again(self) -> bool:
        """Whether a later run tries the items again without being asked to."""
        return self.name not in FAILS_EVERY_TIME


CAUSES: dict[str, Cause] = {
    cause.name: cause
    for cause in (
        Cause("node_lost", "the machine left the cluster or stopped answering", None, 1.0),
        Cause("worker_died", "the process was killed or crashed", None, 1.0),
        Cause("host_memory", "the machine's memory ran out", 6, 1.0, escalates=True),
        Cause("device_memory", "the GPU's memory ran out", 6, 1.0, escalates=True),
        Cause("device_error", "the GPU reported an error, and its process was replaced", 3, 1.0),
        Cause("deadline", "it took longer than its deadline and was cancelled", 3),
        Cause("store", "the store could not be read or written", 8, 1.0),
        Cause("damage", "a file of the store was altered, and set aside to be computed anew", 1),
        Cause("user_error", "code of the user's own raised", 1),
        Cause("error", "the program raised", 1),
        Cause("version", "the worker runs other versions than the driver", 1),
    )
}


_INSTALLED = frozenset({"site-packages", "dist-packages"})
"""Folders of what is installed, in whichever place: for one user, in another folder, by the system."""


class VersionMismatch(Exception):
    """A worker runs other code than the driver."""


def classify(error: BaseException) -> str:
    """Name of the class of an exception that was raised on a worker."""
    from workers.device import is_out_of_memory

    if isinstance(error, VersionMismatch):
        return "version"
    if isinstance(error, DamageError):
        return "damage"
    if isinstance(error, StoreError):
        return "store"
    if isinstance(error, MemoryError):
        return "host_memory"
    if is_out_of_memory(error):
        return "device_memory" if "CUDA" in str(error) else "host_memory"
    if type(error).__name__ == "AcceleratorError" or "CUDA error" in str(error):
        return "device_error"
    return "user_error" if raised_in_user_code(error) else "error"


def raised_in_user_code(error: BaseException) -> bool:
    """Whether the exception passed through a file that belongs neither to us nor to what is installed.

    Code that was generated, such as a dataclass's ``__init__``, stands in "<string>": in no file.
    """
    names = {frame.filename for frame in traceback.extract_tb(error.__traceback__)}
    files = [Path(name).absolute() for name in names if not name.startswith("<")]
    known = _known_folders()
    return any(
        _INSTALLED.isdisjoint(file.parts) and not any(file.is_relative_to(folder) for folder in known)
        for file in files
    )


def is_installed(name: str) -> bool:
    """Whether the file of a stack frame belongs to an installed package, to Python itself, or is none."""
    file = Path(name).absolute()
    python = [Path(path) for path in (sysconfig.get_paths()["stdlib"], sysconfig.get_paths()["platstdlib"])]
    return (
        name.startswith("<")
        or not _INSTALLED.isdisjoint(file.parts)
        or any(file.is_relative_to(folder) for folder in python)
    )


def _known_folders() -> list[Path]:
    """Our own packages, the standard library, and whatever is installed beside it."""
    import workers.specs

    ours = [Path(__file__).absolute().parents[1], Path(workers.specs.__file__).absolute().parent]
    installed = [Path(path) for path in sysconfig.get_paths().values()]
    return [*ours, *installed, *(Path(prefix) / "lib" for prefix in (sys.prefix, sys.base_prefix))]
