"""A damaged file of a directory moved aside within it, beside writers that may put it in order meanwhile.

The move is two steps, a second name and the removal of the first; killed between them, the next repair
finishes it. Never over another file.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import uuid
from pathlib import Path

from lmc_sweep.errors import StoreError
from lmc_sweep.store import layout
from lmc_sweep.store.files import Judge
from lmc_sweep.store.publish import NO_LINKS, make_directory, sync_directory


def set_aside(root: Path, path: str, is_good: Judge) -> str | None:
    """Where in the store a file was moved; None where it has gone, or was put in order and stays."""
    parts = path.split("/")
    for folder in (layout.QUARANTINE, *("/".join(parts[:depth]) for depth in range(1, len(parts)))):
        for place in (folder, f"{layout.QUARANTINE}/{folder}"):
            if (root / place).is_symlink():
                raise StoreError(f"{root / place}: is a symbolic link: nothing is moved from there, or there")
    source = root / path
    if is_good(source):
        return None
    try:
        target = _move(source, root / layout.QUARANTINE / path)
    except OSError as error:
        raise StoreError(f"{source}: cannot be set aside: {error.strerror}. Repair as its owner") from error
    if target is None:
        return None
    if is_good(target):
        with contextlib.suppress(FileExistsError):
            os.link(target, source, follow_symlinks=False)
        target.unlink()
        sync_directory(source.parent)
        return None
    return str(target.relative_to(root))


def _move(source: Path, target: Path) -> Path | None:
    """The free name beside ``target`` that the file has now; None where it has gone."""
    make_directory(target.parent)
    for number in itertools.count():
        named = target if number == 0 else target.with_name(f"{target.name}.{number}")
        try:
            if os.path.lexists(named):
                if not os.path.samestat(named.lstat(), source.lstat()):
                    continue  # something else was set aside under this name
                is_double = True
            else:
                is_double = _give_name(source, named)
            sync_directory(named.parent)
            if is_double:
                _remove_name(source, named)
            sync_directory(source.parent)
        except FileNotFoundError:
            return None
        except FileExistsError:
            continue
        return named
    raise AssertionError("unreachable")


def _give_name(source: Path, target: Path) -> bool:
    """Gives a file another name; whether it has the first one still, as where the file system has links."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        source.rename(target)
        return False
    return True


def _remove_name(source: Path, kept: Path) -> None:
    """Takes the first of a file's two names away; another file that has that name by now keeps it.

    A name cannot be compared and removed in one step, so it is moved out of everybody's way before that.
    """
    if not os.path.samestat(source.lstat(), kept.lstat()):
        return
    aside = source.with_name(f".{source.name}.{uuid.uuid4().hex}.tmp")  # unfinished, if we die here
    source.rename(aside)
    if not os.path.samestat(aside.lstat(), kept.lstat()):
        with contextlib.suppress(FileExistsError):
            os.link(aside, source, follow_symlinks=False)
    aside.unlink()
