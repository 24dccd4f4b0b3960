"""What a disk holds after a loss of power, at any call that a program makes.

The model follows POSIX and no file system's kinder habits: content is on disk when its file was synced,
an entry of a directory when the directory was synced, and each directory by itself. What was not synced
may be there or not; ``Survival`` names the cases that are tried.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from file_calls import Call, watched

Survival = Literal["synced", "entries", "torn", "removals"]
SURVIVALS: tuple[Survival, ...] = ("synced", "entries", "torn", "removals")
"""``synced``: what was not synced is lost. ``entries``: all entries of directories survive, and content that
was not synced is empty. ``torn``: the same, and half of such content survives. ``removals``: of the entries,
those that went away are gone, and those that were added and not synced are lost: a file moved between two
directories, of which the disk had written the first."""

Tree = dict[str, bytes | None]
"""Contents by path; of directories None."""


@dataclass
class _File:
    live: bytes = b""
    synced: bytes | None = None


@dataclass
class _Folder:
    live: dict[str, _File | _Folder] = field(default_factory=dict)
    synced: dict[str, _File | _Folder] = field(default_factory=dict)


class LossyDisk:
    """The tree below a directory, as a program sees it and as the disk has it."""

    def __init__(self, root: Path, at_call: Callable[[str], None]) -> None:
        self.root = root
        self.at_call = at_call
        self.top = _loaded(root)
        self._descriptors: dict[int, _File | _Folder] = {}

    def survivors(self, survival: Survival) -> Tree:
        """What a loss of power leaves behind."""
        return dict(_surviving(self.top, "", survival))

    def answer(self, call: Call) -> Any:
        """Makes a call and keeps account of it; ``at_call`` hears of it before."""
        changes = getattr(self, f"_{call.name}", None)
        if changes is None or (call.name == "file" and "r" in _mode(call)):
            return call.perform()
        self.at_call(f"{call.name} {call.path.name}")
        return changes(call)

    def _node(self, path: Path) -> Any:
        node: Any = self.top
        for part in path.relative_to(self.root).parts:
            node = node.live[part]
        return node

    def _open(self, call: Call) -> int:
        exists = call.path == self.root or call.path.name in self._node(call.path.parent).live
        descriptor: int = call.perform()
        if not exists:
            self._node(call.path.parent).live[call.path.name] = _File()
        elif call.arguments[1] & os.O_TRUNC:
            self._node(call.path).live = b""
        self._descriptors[descriptor] = self._node(call.path)
        return descriptor

    def _file(self, call: Call) -> Any:
        """The built-in ``open`` for writing: its content is never synced, and none of it may survive."""
        opened = call.perform()
        self._node(call.path.parent).live[call.path.name] = _File(b"unsynced content")
        return opened

    def _write(self, call: Call) -> int:
        written: int = call.perform()
        node = self._descriptors[call.arguments[0]]
        assert isinstance(node, _File)
        node.live += bytes(call.arguments[1])[:written]
        return written

    def _fsync(self, call: Call) -> None:
        call.perform()
        node = self._descriptors[call.arguments[0]]
        if isinstance(node, _File):
            node.synced = node.live
        else:
            node.synced = dict(node.live)

    def _close(self, call: Call) -> None:
        call.perform()
        del self._descriptors[call.arguments[0]]

    def _link(self, call: Call) -> None:
        assert call.second is not None
        call.perform()
        self._node(call.second.parent).live[call.second.name] = self._node(call.path)

    def _rename(self, call: Call) -> None:
        assert call.second is not None
        call.perform()
        moved = self._node(call.path.parent).live.pop(call.path.name)
        self._node(call.second.parent).live[call.second.name] = moved

    _replace = _rename

    def _unlink(self, call: Call) -> None:
        call.perform()
        del self._node(call.path.parent).live[call.path.name]

    _remove = _rmdir = _unlink

    def _mkdir(self, call: Call) -> None:
        call.perform()
        if call.path != self.root:
            self._node(call.path.parent).live[call.path.name] = _Folder()


@contextmanager
def lossy(root: Path, at_call: Callable[[str], None]) -> Iterator[LossyDisk]:
    """Within the context, account is kept of the tree below ``root``, which must exist."""
    disk = LossyDisk(root, at_call)
    with watched(root, disk.answer):
        yield disk


def _mode(call: Call) -> str:
    """The mode of a call of the built-in ``open``."""
    return str(call.arguments[1]) if len(call.arguments) > 1 else "r"


def _loaded(path: Path) -> _Folder:
    """The tree that is on disk from the start."""
    found: dict[str, _File | _Folder] = {}
    for entry in path.iterdir():
        if entry.is_dir():
            found[entry.name] = _loaded(entry)
        else:
            content = entry.read_bytes()
            found[entry.name] = _File(content, content)
    return _Folder(found, dict(found))


def materialize(tree: Tree, target: Path) -> None:
    """Writes a tree."""
    target.mkdir()
    for path, content in tree.items():  # directories come before what is in them
        if content is None:
            (target / path).mkdir()
        else:
            (target / path).write_bytes(content)


def _surviving(folder: _Folder, prefix: str, survival: Survival) -> Iterator[tuple[str, bytes | None]]:
    """What survives of one directory."""
    for name, node in _entries(folder, survival).items():
        if isinstance(node, _Folder):
            yield prefix + name, None
            yield from _surviving(node, f"{prefix}{name}/", survival)
        else:
            yield prefix + name, _content(node, survival)


def _entries(folder: _Folder, survival: Survival) -> dict[str, _File | _Folder]:
    """The entries of a directory that survive."""
    if survival == "synced":
        return folder.synced
    if survival == "removals":
        return {name: folder.live[name] for name in folder.synced if name in folder.live}
    return folder.live


def _content(file: _File, survival: Survival) -> bytes:
    """The content of a file that survives."""
    if file.synced is not None and survival in ("synced", "removals"):
        return file.synced
    if file.synced == file.live:
        return file.live
    return file.live[: len(file.live) // 2] if survival == "torn" else b""
