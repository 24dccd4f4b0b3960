"""A file layer that fails: call n to the system answers with an error, once or from then on.

``tried`` makes an action once for every call it makes, with that call failing, each on its own copy of a
store.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from file_calls import Call, watched

Mode = Literal["refused", "lost reply", "short", "for ever"]
WRITING = ("open", "write", "fsync", "close", "link", "replace", "rename", "unlink", "mkdir")
"""Calls that change something, or wait until it is on disk."""


@dataclass
class Fault:
    """Which call fails, and how.

    Attributes:
        at: Number of the call, from 0; None lets all pass.
        number: The error that it answers with.
        mode: ``refused`` does nothing; ``lost reply`` does it and reports the error all the same; ``short``
            writes half and no error; ``for ever`` refuses this and all later calls of its name.
        names: Calls that are counted; None stands for all.
        calls: What was counted, for the test to look at.
    """

    at: int | None = None
    number: int = errno.EIO
    mode: Mode = "refused"
    names: tuple[str, ...] | None = None
    calls: list[str] = field(default_factory=list)
    struck: str = ""

    def answer(self, call: Call) -> Any:
        """Makes the call, or fails it."""
        if self.names is not None and call.name not in self.names:
            return call.perform()
        count = len(self.calls)
        self.calls.append(f"{call.name} {call.path.name}")
        if self.mode == "for ever" and self.struck.split(" ")[0] == call.name:
            return self._fail(call)
        if count != self.at:
            return call.perform()
        self.struck = self.calls[-1]
        if self.mode == "short":
            if call.name != "write":
                return call.perform()
            descriptor, data = call.arguments
            return os.write(descriptor, memoryview(data)[: max(1, len(data) // 2)])
        return self._fail(call)

    def _fail(self, call: Call) -> Any:
        """Reports the error; a descriptor is closed in any case, as Linux does."""
        if call.name == "close" or self.mode == "lost reply":
            answer = call.perform()
            if call.name == "open":
                os.close(answer)  # the caller never learned of it
            elif call.name in ("scandir", "file"):
                answer.close()
        raise OSError(self.number, os.strerror(self.number), str(call.path))


@contextmanager
def failing(root: Path, fault: Fault) -> Iterator[Fault]:
    """Within the context, the fault strikes calls below ``root``."""
    with watched(root, fault.answer):
        yield fault


@dataclass(frozen=True)
class Try:
    """One try of an action with one fault: the store it left, what struck, and the error it raised."""

    root: Path
    fault: Fault
    error: Exception | None


def tried(
    prepared: Path, action: Callable[[Path], Any], faults: Callable[[int], Iterator[Fault]]
) -> Iterator[Try]:
    """Tries of the action, one for each fault that ``faults`` makes for each number of a call.

    Descriptors are counted: a try that leaves one open fails here.
    """
    counted = Fault(names=next(faults(0)).names)
    copy = prepared.with_name(f"{prepared.name}-counted")
    shutil.copytree(prepared, copy)
    with failing(copy, counted):
        action(copy)
    shutil.rmtree(copy)
    for at in range(len(counted.calls)):
        for k, fault in enumerate(faults(at)):
            copy = prepared.with_name(f"{prepared.name}-{at}-{k}")
            shutil.copytree(prepared, copy)
            before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208
            error: Exception | None = None
            try:
                with failing(copy, fault):
                    action(copy)
            except Exception as raised:
                error = _without_frames(raised)
            assert before == set(os.listdir("/proc/self/fd")), fault  # noqa: PTH208
            yield Try(copy, fault, error)
            shutil.rmtree(copy)


def _without_frames(error: Exception) -> Exception:
    """The error and those that it came from without tracebacks, which keep files of theirs open."""
    link: BaseException | None = error
    while link is not None:
        link.__traceback__ = None
        link = link.__cause__ or link.__context__
    return error


def unfinished(root: Path) -> list[Path]:
    """Temporary files that lie in a store."""
    return [path for path in root.rglob("*") if path.name.startswith(".")]
