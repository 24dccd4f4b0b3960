"""One file becomes visible whole, or not at all, whatever dies in between.

The content goes to a temporary name in the same directory (dot first: no reader looks at it), is synced,
and appears under its own name in one step: ``link``, which refuses a name that is taken, or ``rename``
where the file system has no links. Then the directory is synced, so that what was published survives a
loss of power. A process killed before that step leaves a temporary file and nothing else.
"""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from collections.abc import Iterable
from pathlib import Path

from lmc_sweep.store.terms import Terms, named_errors, patiently, require_same, require_there

Bytes = bytes | bytearray | memoryview

_DISCARDS = 3

# What file systems without hard links answer to link(): FAT and some network and FUSE mounts.
NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL}


def publish(
    path: Path, chunks: Iterable[Bytes], *, replace: bool = False, terms: Terms | None = None
) -> None:
    """Writes a file so that it is either absent or whole and on disk; StoreError where that fails.

    A name that is taken is left as it is: names of records are unique and names of artifacts say what
    the content is, so whoever was first has published the same. That also makes a second try safe after
    one that was reported to have failed and had not.

    Args:
        chunks: The content, iterated anew for every try.
        replace: Put the new content in the place of a file that is already there, in one step.
        terms: The store that the file belongs to, and the patience with it; None: neither is asked for.
    """
    patiently(lambda: _publish_once(path, chunks, replace, terms), path, terms)


def stage(path: Path, chunks: Iterable[Bytes], terms: Terms) -> None:
    """Writes a file into a folder that no reader looks at, and waits until the disk has it.

    Several that belong together are staged first, then revealed, so that they appear within a moment.
    """
    patiently(lambda: _stage_once(path, chunks, terms), path, terms)


def reveal(staged: Path, path: Path, terms: Terms) -> None:
    """Gives a staged file its own name in one step, durably. The staged name stays, and is the caller's."""
    patiently(lambda: _reveal_once(staged, path, terms), path, terms)


def replace_unsynced(root: Path, relative: str, content: bytes) -> None:
    """Writes advice: whole or not at all to every reader, but a loss of power may undo it."""
    path = root / relative
    with named_errors(path):
        require_there(root)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _temporary(path)
        try:
            temporary.write_bytes(content)
            temporary.replace(path)
        finally:
            _discard(temporary)


def make_directory(path: Path, root: Path | None = None) -> None:
    """Makes a directory and its missing parents, each entered durably in its parent.

    With a ``root``, that is never made, and directories below it that are there already are entered
    durably too: whoever made them may have died before that.
    """
    if path == root or (root is None and path.is_dir()):
        return
    make_directory(path.parent, root)
    with contextlib.suppress(FileExistsError):  # another writer was first
        path.mkdir()
    sync_directory(path.parent)


def make_durable(path: Path, root: Path) -> None:
    """Makes the entry of a published file, and of its directories below ``root``, survive a loss of power.

    For what another process published, which may have died before it came to that.
    """
    make_directory(path.parent, root)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Makes the entries of a directory survive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EBADF):  # some network mounts cannot sync directories
            raise
    finally:
        os.close(descriptor)


def _publish_once(path: Path, chunks: Iterable[Bytes], replace: bool, terms: Terms | None) -> None:
    """One try: a temporary file, synced, then its name, then the directory synced."""
    if terms is not None:
        require_same(terms)
    make_directory(path.parent, terms.root if terms else None)
    temporary = _temporary(path)
    try:
        _write_synced(temporary, chunks)
        if replace:
            temporary.replace(path)
        else:
            _link(temporary, path)
        sync_directory(path.parent)
    finally:
        _discard(temporary)
    if terms is not None:
        require_same(terms)  # else what was just written lies elsewhere, under a mount point or in a copy


def _stage_once(path: Path, chunks: Iterable[Bytes], terms: Terms) -> None:
    """One try at a staged file; what a failed one left is taken away."""
    require_same(terms)
    make_directory(path.parent, terms.root)
    _discard(path)
    try:
        _write_synced(path, chunks)
    except BaseException:
        _discard(path)
        raise


def _reveal_once(staged: Path, path: Path, terms: Terms) -> None:
    """One try at naming a staged file; an earlier one that was reported to have failed may have done it."""
    require_same(terms)
    make_directory(path.parent, terms.root)
    if not path.exists():
        _link(staged, path)
    sync_directory(path.parent)
    require_same(terms)


def _temporary(path: Path) -> Path:
    """A new name in the same directory that no reader looks at."""
    return path.parent / f".{path.name}.{uuid.uuid4().hex}.tmp"


def _discard(temporary: Path) -> None:
    """Takes an unfinished file away; one that stays all the same is seen by no reader."""
    for _ in range(_DISCARDS):
        try:
            temporary.unlink()
        except FileNotFoundError:
            return
        except OSError:
            continue
        else:
            return


def _write_synced(path: Path, chunks: Iterable[Bytes]) -> None:
    """Writes a new file and waits until the disk has it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        for chunk in chunks:
            view = memoryview(chunk)
            while view.nbytes:
                written = os.write(descriptor, view)
                if not written:
                    raise OSError(errno.EIO, "the disk took nothing")
                view = view[written:]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _link(temporary: Path, path: Path) -> None:
    """Gives the file its own name, unless that is taken."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        return
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        if not path.exists():
            temporary.replace(path)
