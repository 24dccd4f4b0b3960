"""On what terms a store is written: which one it must be, and how long to wait for it.

What the system reports is told in one line with the file and the remedy. Errors that may pass are waited
for where a worker has results in hand that took long to compute; nobody waits at a terminal.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from lmc_sweep.errors import StoreError

if TYPE_CHECKING:
    from lmc_sweep.store.files import Files

T = TypeVar("T")

_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 5.0

# Read-only disks, refused permissions and files in the way do not pass: a person has to act.
_PASSING = {
    errno.EIO,
    errno.ESTALE,
    errno.EINTR,
    errno.EAGAIN,
    errno.EBUSY,
    errno.ETIMEDOUT,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.ENOMEM,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOLCK,
    errno.ENODEV,
    errno.ENXIO,
    errno.ENOTCONN,
    errno.ECONNRESET,
    errno.ECONNREFUSED,
    errno.ECONNABORTED,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.ENETDOWN,
    errno.ENETUNREACH,
    getattr(errno, "EREMOTEIO", errno.EIO),  # Linux alone has it
    errno.ESHUTDOWN,
    errno.ENOENT,  # a mount that is gone for a moment: what is missing is the store or a folder of it
}


@dataclass(frozen=True)
class Terms:
    """What must hold while something is written into a store.

    Attributes:
        files: Where the store is. It is never made here: a store that was removed or unmounted stays so.
        marker: What its ``store.json`` said when it was opened. Another store that has taken its place
            says something else, since every store has an id of its own.
        patience_seconds: How long to go on trying where the system reports what may pass: a full disk, a
            server that does not answer, a mount that is gone for a moment.
    """

    files: Files
    marker: bytes
    patience_seconds: float = 0.0

    @property
    def root(self) -> Path:
        """The directory in which the store, or the copy of what was read of it, lies."""
        return self.files.root


def patiently(action: Callable[[], T], path: Path | str, terms: Terms | None) -> T:
    """What the action returns, which is tried again with growing pauses while its errors may pass.

    StoreError names ``path`` and the remedy once the patience is over, and at once where waiting is of
    no use.
    """
    patience = terms.patience_seconds if terms else 0.0
    give_up_at = time.monotonic() + patience
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            with named_errors(terms.files.told(path) if terms else path, patience):
                return action()
        except StoreError as error:
            left = give_up_at - time.monotonic()
            if left <= 0 or not _may_pass(error):
                raise
        time.sleep(min(pause, left))
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def require_same(terms: Terms) -> None:
    """Raises StoreError unless the store is there, and is the one that was opened."""
    if require_there(terms.files) != terms.marker:
        raise StoreError(
            f"{terms.files.uri}: another store has taken the place of the one that was opened. Bring that "
            "one back, or run the same command again to fill this one."
        )


def require_there(files: Files) -> bytes:
    """What the marker says of a store that is there; StoreError where it is gone."""
    try:
        return files.read_marker()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StoreError(
            f"{files.uri}: the store is gone: removed, moved, or its disk is not mounted. Bring it back, "
            "then run the same command again: what had finished is stored in it."
        ) from error


@contextmanager
def named_errors(path: Path | str, patience_seconds: float = 0.0) -> Iterator[None]:
    """Turns what the system answers into one line that names the file and the remedy."""
    try:
        yield
    except OSError as error:
        remedy = getattr(error, "remedy", None) or _REMEDIES.get(
            error.errno or 0, "Check the disk or mount that holds it, then run the same command again"
        )
        told = error.strerror or str(error)
        if patience_seconds and error.errno in _PASSING:
            told += f", for {patience_seconds:g} s"
        raise StoreError(f"{path}: cannot be written: {told}. {remedy}.") from error


_REMEDIES = {
    errno.EACCES: "Choose a store that you may write to",
    errno.EPERM: "Choose a store that you may write to",
    errno.EROFS: "Choose a store on a disk that is not read-only",
    errno.ENOSPC: "Free some space, then run the same command again: what had finished is stored",
    errno.EDQUOT: "Free some of your quota, then run the same command again: what had finished is stored",
    errno.ENOTDIR: "A file stands where a directory belongs: choose another path",
    errno.EISDIR: "A directory stands where a file belongs: move it away, then run the same command again",
    errno.ENAMETOOLONG: "Choose a shorter path",
    errno.EFBIG: "Raise the limit on the size of files, or lower execution.max_stack_bytes",
    errno.ESTALE: "Check the network mount that holds it, then run the same command again",
}


def _may_pass(error: StoreError) -> bool:
    """Whether what the system reported may be over in a while."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno in _PASSING
