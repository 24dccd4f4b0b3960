"""Files of tensors checked in full: that they are whole, what is in them, which rows they have."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

from lmc_sweep.store import artifacts, layout
from lmc_sweep.store.files import Files

NUM_THREADS = 4  # hashing lets go of the interpreter, and disks serve several readers better than one
_MEMBER_GROUP = re.compile(r"member\d+\..+")


@dataclass(frozen=True)
class Checked:
    """What a named file of tensors is.

    Attributes:
        path: Relative to the store.
        problem: Why nothing can be read from it; None when it is sound.
        num_rows: Of its tensors; None where it has none, or is not sound.
        is_movable: Whether something stands there that can be set aside.
        is_listed: Whether a listing leaves its rows out as well, which does not read it in full.
        has_right_content: Whether its content is that which its name promises.
    """

    path: str
    problem: str | None
    num_rows: int | None = None
    is_movable: bool = False
    is_listed: bool = True
    has_right_content: bool = False

    def has_row(self, row: int | None) -> bool:
        """Whether a row can be read from it."""
        return row is not None and row >= 0 and (self.num_rows is None or row < self.num_rows)


def check_all(files: Files, paths: Iterable[str], done: Callable[[int], None]) -> dict[str, Checked]:
    """Every named artifact, read in full, several at a time; ``done`` is told bytes as they are read."""

    def one(path: str) -> tuple[Checked, int]:
        with _lying(files, path) as root:
            checked, file = check_in(root, path), root / path
            is_there = checked.problem is None or checked.is_movable
            return checked, file.lstat().st_size if is_there and file.exists() else 0

    found = {}
    with ThreadPoolExecutor(NUM_THREADS) as pool:
        for checked, num_bytes in pool.map(one, sorted(paths)):
            found[checked.path] = checked
            done(num_bytes)
    return found


def check(files: Files, path: str) -> Checked:
    """One named artifact, read in full: the store's own file, not a copy."""
    with _lying(files, path) as root:
        return check_in(root, path)


def _lying(files: Files, path: str) -> AbstractContextManager[Path]:
    """A directory in which a named artifact lies; any, where no artifact can have the name."""
    return files.original(path) if layout.inside(path) else nullcontext(files.root)


def check_in(root: Path, path: str) -> Checked:
    """One named artifact that lies in a directory, read in full."""
    if not layout.inside(path):
        return Checked(path, "is named by a record and lies outside the store's folders of artifacts")
    file = root / path
    if file.parent.is_symlink():
        return Checked(path, f"{file.parent.name} is a symbolic link, which may lead out of the store")
    try:
        status = file.lstat()
    except (OSError, ValueError) as error:  # a name that no file can have
        if isinstance(error, ValueError):
            return Checked(path, "is named by a record and is not the name of a file")
        told = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
        return Checked(path, told)
    if not S_ISREG(status.st_mode):
        return Checked(path, "is not a regular file", is_movable=True)
    reason = artifacts.size_problem(file)
    if reason is not None:
        return Checked(path, reason, is_movable=not reason.startswith("cannot be read"))
    reason = artifacts.content_problem(file)
    if reason is not None:
        is_movable = not reason.startswith("cannot be read")
        return Checked(path, reason, is_movable=is_movable, is_listed=False)
    rows = _rows(file, file.parent.name)
    if isinstance(rows, str):
        return Checked(path, rows, is_movable=True, is_listed=False, has_right_content=True)
    return Checked(path, None, rows, has_right_content=True)


def is_sound(file: Path, folder: str) -> bool:
    """Whether a file of the right content, which may have any name, can be used in a folder of artifacts."""
    return not isinstance(_rows(file, folder), str)


def _rows(file: Path, folder: str) -> int | str | None:
    """Rows that all tensors of a file have; None where there are no tensors; text where they differ."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="np") as opened:
            shapes = {name: opened.get_slice(name).get_shape() for name in opened.keys()}  # noqa: SIM118
            types = {name: opened.get_slice(name).get_dtype() for name in shapes}
    except (SafetensorError, OSError, ValueError) as error:
        return f"its header is not that of a safetensors file: {' '.join(str(error).split())[:200]}"
    if folder == "permutations":
        wrong = [name for name in shapes if not _MEMBER_GROUP.fullmatch(name) or types[name] != "I64"]
        if wrong:
            return f"holds {wrong[0][:80]!r} of type {types[wrong[0]]}, which is no permutation"
    flat = [name for name, shape in shapes.items() if not shape]
    if flat:
        return f"holds {flat[0][:80]!r}, which has no axis of rows"
    counts = {shape[0] for shape in shapes.values()}
    if len(counts) > 1:
        return f"its tensors have {min(counts)} to {max(counts)} rows, where all should have as many"
    return counts.pop() if counts else None
