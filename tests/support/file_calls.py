"""Every call to the system that concerns files below one directory passes through a hook of the test's.

Watched are the functions of ``os`` that the store and ``pathlib`` use, and ``open`` itself. Calls about
other directories, and what libraries do in C (DuckDB's reading of Parquet), go by unseen.
"""

from __future__ import annotations

import builtins
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BY_PATH = ("open", "unlink", "remove", "mkdir", "rmdir", "scandir", "listdir", "stat", "lstat")
BY_TWO_PATHS = ("link", "replace", "rename")
BY_DESCRIPTOR = ("write", "fsync", "close")


@dataclass(frozen=True)
class Call:
    """One call that is about to be made.

    Attributes:
        name: Of the function in ``os``; ``file`` for the built-in ``open``.
        path: That it concerns; of two, the first.
        second: The other path of ``link``, ``replace`` and ``rename``.
        arguments: As given.
        perform: Makes the call and returns what it returns.
    """

    name: str
    path: Path
    second: Path | None
    arguments: tuple[Any, ...]
    perform: Callable[[], Any]


@contextmanager
def watched(root: Path, hook: Callable[[Call], Any]) -> Iterator[None]:
    """Within the context, the hook makes every call below ``root``, and what it returns is the answer."""
    descriptors: dict[int, Path] = {}
    saved = {name: getattr(os, name) for name in (*BY_PATH, *BY_TWO_PATHS, *BY_DESCRIPTOR)}
    real_open = builtins.open
    inside = False  # a hook's own calls are not watched

    def through(call: Call) -> Any:
        nonlocal inside
        inside = True
        try:
            return hook(call)
        finally:
            inside = False

    def by_path(name: str) -> Callable[..., Any]:
        def called(*arguments: Any, **options: Any) -> Any:
            paths = [_below(root, part) for part in arguments[: 2 if name in BY_TWO_PATHS else 1]]
            if inside or not paths or paths[0] is None:
                return saved[name](*arguments, **options)

            def perform() -> Any:
                answer = saved[name](*arguments, **options)
                if name == "open":
                    descriptors[answer] = paths[0]  # type: ignore[assignment]
                return answer

            return through(Call(name, paths[0], paths[1] if len(paths) > 1 else None, arguments, perform))

        return called

    def by_descriptor(name: str) -> Callable[..., Any]:
        def called(descriptor: int, *rest: Any) -> Any:
            if inside or descriptor not in descriptors:
                return saved[name](descriptor, *rest)
            path = descriptors[descriptor]
            if name == "close":
                del descriptors[descriptor]
            return through(
                Call(name, path, None, (descriptor, *rest), lambda: saved[name](descriptor, *rest))
            )

        return called

    def opened(file: Any, *arguments: Any, **options: Any) -> Any:
        path = None if isinstance(file, int) else _below(root, file)
        if inside or path is None:
            return real_open(file, *arguments, **options)
        return through(
            Call("file", path, None, (file, *arguments), lambda: real_open(file, *arguments, **options))
        )

    try:
        for name in (*BY_PATH, *BY_TWO_PATHS):
            setattr(os, name, by_path(name))
        for name in BY_DESCRIPTOR:
            setattr(os, name, by_descriptor(name))
        builtins.open = io.open = opened
        yield
    finally:
        for name, function in saved.items():
            setattr(os, name, function)
        builtins.open = io.open = real_open


def _below(root: Path, path: Any) -> Path | None:
    """The path as an absolute one, if it is the root or lies below it."""
    if not isinstance(path, str | os.PathLike):
        return None
    absolute = Path(os.path.abspath(os.fspath(path)))  # noqa: PTH100  Path.resolve would call the system
    return absolute if absolute == root or root in absolute.parents else None
