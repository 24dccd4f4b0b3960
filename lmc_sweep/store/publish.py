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
from collections.abc import Callable, Iterable
from pathlib import Path

from lmc_sweep.store.files import Bytes
from lmc_sweep.store.terms import Terms, patiently, require_same

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


def publish_text(relative: str, content: bytes, terms: Terms) -> None:
    """Publishes a small file of a store in the place of another, unless that says the same already."""
    files, path = terms.files, terms.root / relative
    if patiently(lambda: files.content(relative) == content, path, terms):
        patiently(lambda: files.settle(relative), path, terms)
    else:
        publish(path, [content], replace=True, terms=terms)


def stage(path: Path, chunks: Iterable[Bytes], terms: Terms) -> None:
    """Writes a file into a folder that no reader looks at, and waits until the disk has it.

    Several that belong together are staged first, then revealed, so that they appear within a moment.
    """
    patiently(lambda: _stage_once(path, chunks, terms), path, terms)


def reveal(staged: Path, path: Path, terms: Terms) -> None:
    """Gives a staged file its own name in one step, durably. The staged name stays, and is the caller's."""
    files, relative = terms.files, path.relative_to(terms.root).as_posix()
    patiently(lambda: _in_the_same(terms, lambda: files.reveal(staged, relative)), path, terms)


def write_unsynced(path: Path, content: bytes) -> None:
    """Writes advice: whole or not at all to every reader, but a loss of power may undo it."""
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
    """One try: in a store where its files are, which is looked at before and after."""
    if terms is None:
        make_directory(path.parent)
        write_whole(path, chunks, replace)
        return
    files, relative = terms.files, path.relative_to(terms.root).as_posix()
    _in_the_same(terms, lambda: files.publish(relative, chunks, replace))


def _in_the_same(terms: Terms, write: Callable[[], None]) -> None:
    """Writes, unless another store has taken the place of the one that was opened."""
    require_same(terms)
    write()
    if terms.files.has_mounts:
        require_same(terms)  # else what was just written lies elsewhere, under a mount point or in a copy


def write_whole(path: Path, chunks: Iterable[Bytes], replace: bool) -> None:
    """Writes a temporary file, synced, then gives it its name, then syncs the directory, which is there."""
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


def name_whole(staged: Path, path: Path) -> None:
    """Gives a staged file its own name; an earlier try that was reported to have failed may have done it."""
    if not path.exists():
        _link(staged, path)
    sync_directory(path.parent)


def _stage_once(path: Path, chunks: Iterable[Bytes], terms: Terms) -> None:
    """One try at a staged file; what a failed one left is taken away."""
    require_same(terms)
    terms.files.make_folder(path.parent)
    _discard(path)
    try:
        _write_synced(path, chunks)
    except BaseException:
        _discard(path)
        raise


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
