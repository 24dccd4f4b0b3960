"""What a machine lacks to take part in a run, asked on it before anything starts: versions, store, data,
code."""

from __future__ import annotations

import contextlib
import re
import secrets
import stat
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lmc_sweep.errors import StoreError, SweepError
from lmc_sweep.execution import code
from lmc_sweep.store import layout

SIGN = ".lmc-sweep-seen-"
"""How a file is called that the driver leaves, for as long as it asks, where the store will be."""
SIGN_SECONDS = 3600.0
"""A sign that is older has nobody any more who asks: that takes a minute, and clocks differ by less."""
_SIGN_NAME = re.compile(re.escape(SIGN) + "[0-9a-f]{16}")


@dataclass(frozen=True)
class Needs:
    """What every machine must have. Travels as plain values, so that another version can read it."""

    store_uri: str
    marker: bytes = b""
    """Of the store that the driver writes to; empty where it is not made yet."""
    sign: str = ""
    """A file that a machine sees if it shares the folder of a store that is not made yet."""
    datasets: tuple[str, ...] = ()
    modules: tuple[tuple[str, str], ...] = ()
    """Functions of the user's own, and the hash of the file that the sweep was planned with."""
    import_path: str = ""


def problems(needs: Needs) -> list[str]:
    """What is wrong on this machine, in words; empty where it can take part.

    Of a store that is not there yet, a machine has to see the file that the driver left beside its place.
    """
    found = []
    for check in (_store, _data, _modules):
        try:
            check(needs)
        except Exception as error:  # the task boundary: whatever is wrong there is told here
            found.append(" ".join(str(error).split()))
    return found


def asked_of(needs: Needs) -> dict[str, Any]:
    """The needs as plain values, with what the driver runs."""
    return {**vars(needs), "code": code.fingerprint()}


def answer(asked: Mapping[str, Any]) -> list[str]:
    """What is wrong on this machine, by what ``asked_of`` says; other versions come first, and alone."""
    known = dict(asked)
    driver, here = known.pop("code"), code.fingerprint()
    if driver != here:
        return [
            f"the driver has {code.difference(driver, here)} there. Install the same versions on every node"
        ]
    return problems(Needs(**known))


@contextlib.contextmanager
def shown(needs: Needs) -> Iterator[Needs]:
    """The needs, while a file stands where the store will be, if there is no store yet.

    Signs of drivers that were killed while they asked are swept before.
    """
    if layout.is_remote(needs.store_uri):
        yield needs
        return
    root = layout.local_path(needs.store_uri)
    sweep_signs(root)
    if needs.marker:
        yield needs
        return
    nearest = next(folder for folder in (root, *root.parents) if folder.is_dir())
    sign = nearest / f"{SIGN}{secrets.token_hex(8)}"
    try:
        sign.touch(exist_ok=False)
        yield replace(needs, sign=str(sign))
    except OSError as error:
        raise StoreError(f"{root}: {nearest} cannot be written ({error.strerror})") from error
    finally:
        with contextlib.suppress(OSError):
            sign.unlink()


def sweep_signs(root: Path) -> int:
    """Deletes old signs wherever one may lie that was left for a store; returns how many there were.

    That was the nearest folder that existed then: the store's own, or any above it. Only empty files with
    the name of a sign are touched, and a folder that cannot be read is passed over.
    """
    count = 0
    for folder in (root, *root.parents):
        with contextlib.suppress(OSError):
            for path in folder.glob(f"{SIGN}*"):
                if _is_left(path):
                    path.unlink()
                    count += 1
    return count


def _is_left(path: Path) -> bool:
    """Whether a file is a sign that nobody asks about any more."""
    told = path.lstat()
    is_sign = _SIGN_NAME.fullmatch(path.name) and stat.S_ISREG(told.st_mode) and not told.st_size
    return bool(is_sign) and time.time() - told.st_mtime > SIGN_SECONDS


def _store(needs: Needs) -> None:
    """Raises where the store cannot be read and written from here, or is another one than the driver's."""
    from lmc_sweep.store.store import Store, require_writable
    from lmc_sweep.store.terms import require_same

    remedy = "Put it on storage that all nodes mount at the same path, or on object storage (s3://...)"
    if layout.is_remote(needs.store_uri):
        remedy = "Set what it needs where `ray start` is called, on every node"
    if needs.sign and not Path(needs.sign).exists():
        raise StoreError(f"the folder {Path(needs.sign).parent} of the store is not the driver's. {remedy}")
    try:
        require_writable(needs.store_uri)
        if needs.marker:
            require_same(replace(Store(needs.store_uri).terms, marker=needs.marker))
    except (StoreError, OSError) as error:
        raise StoreError(f"the store cannot be used: {str(error).rstrip('.')}. {remedy}") from error
    if not layout.is_remote(needs.store_uri):
        _require_room(layout.local_path(needs.store_uri))


def _require_room(root: Path) -> None:
    """Raises where no file can really be made: servers know rules that permissions do not show."""
    nearest = next(folder for folder in (root, *root.parents) if folder.is_dir())
    with tempfile.TemporaryFile(dir=nearest):
        pass


def _data(needs: Needs) -> None:
    """Raises where a data set that the sweep reads is missing here."""
    from lmc_sweep import data

    for name in needs.datasets:
        data.require(name)


def _modules(needs: Needs) -> None:
    """Raises where code of the user's own cannot be imported here, or is not what the sweep was planned
    with."""
    from lmc_sweep.config.user_code import source_sha256

    if needs.import_path and needs.import_path not in sys.path and Path(needs.import_path).is_dir():
        sys.path.insert(0, needs.import_path)
    for name, sha256 in needs.modules:
        if sha256 != source_sha256(name, ""):
            raise SweepError(
                f"{name} is another one there than the driver's. Install the same file on every node, "
                "or send it "
                "along: lmc-sweep submit --working-dir DIR"
            )
