"""Questions asked again when the files that held the answer were compacted while it was read."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_ATTEMPTS = 8


def retried(ask: Callable[[], T]) -> T:
    """What ``ask`` returns, which must look at the directory anew each time.

    Compaction deletes a file only after the one that holds its rows was published, so a second look
    finds them; only a compaction that ends within the same moment could move them again.
    """
    for _ in range(_ATTEMPTS - 1):
        try:
            return ask()
        except Exception as error:
            if not _lost_a_file(error):
                raise
    return ask()


def _lost_a_file(error: BaseException) -> bool:
    """Whether a file could not be opened, whoever tried and however it was wrapped since."""
    if isinstance(error, FileNotFoundError):
        return True
    if type(error).__module__.partition(".")[0].lstrip("_") == "duckdb":
        # of a file that is gone DuckDB supposes that it is a folder, into which it may not look
        is_folder = type(error).__name__ == "PermissionException" and ".parquet/**" in str(error)
        return is_folder or type(error).__name__ == "IOException"
    return error.__cause__ is not None and _lost_a_file(error.__cause__)
