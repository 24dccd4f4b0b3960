"""Runs writers in children of a small process of its own and kills one at a chosen call to the system.

``python killed_writer.py STORE ACTION`` runs ACTION once for every call n that it makes to the system: the
first child dies by SIGKILL just before its call 0, the next just before call 1, and so on, until a child
lives to the end. Between two calls nothing happens on disk, so just before one is just after the last. Each
child works on its own copy of the store. Printed per death: the copy's folder and the call.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

CHANGE_NOTHING = ("fsync", "close")
"""Calls after which the disk holds the names and the bytes that it held before."""
CALLS = ("open", "write", "fsync", "close", "link", "replace", "rename", "unlink", "mkdir")


def distinct(deaths: Sequence[tuple[Path, str]]) -> Iterator[tuple[Path, str]]:
    """The deaths that left something else on disk than the death before them."""
    yield deaths[0]
    for (earlier, before), (folder, call) in pairwise(deaths):
        name = before.split()[0]
        if name not in CHANGE_NOTHING and (name != "open" or _num_names(earlier) < _num_names(folder)):
            yield folder, call


def _num_names(folder: Path) -> int:
    """Files and folders below a folder: one more after the opening of a file that was not there."""
    return sum(1 for _ in folder.rglob("*"))


def arm(fatal: int, report: int) -> None:
    """From now on this process dies just before its call ``fatal`` to the system."""
    count = -1

    def armed(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count != fatal:
                return real(*arguments, **options)
            tell(report, f"{name} ({count})")
            return os.kill(os.getpid(), signal.SIGKILL)

        return call

    tell = _tell
    for name in CALLS:
        setattr(os, name, armed(name, getattr(os, name)))


_write = os.write


def _tell(descriptor: int, text: str) -> None:
    _write(descriptor, text.encode())


def commit(store: Path) -> None:
    """One commit of a row."""
    from store_rows import row

    from lmc_sweep.store.store import Store

    Store(store).commit("barriers", [row("barriers", "victim"), row("barriers", "victim2")])


def weights(store: Path) -> None:
    """One file of tensors and the record that names it."""
    import torch
    from store_rows import row

    from lmc_sweep.store.store import Store

    opened = Store(store)
    path = opened.write_tensors("networks", {"w": torch.arange(6.0).reshape(2, 3)})
    opened.commit("networks", [row("networks", "victim", checkpoint=path, row=1)])


def create(store: Path) -> None:
    """A store where there is none."""
    from lmc_sweep.store.store import Store

    shutil.rmtree(store)
    Store.create(store)


def sweep(store: Path) -> None:
    """A recorded sweep."""
    from lmc_sweep.store.store import Store

    Store(store).record_sweep("victim", "name: victim\n", [("network", "a"), ("network", "b")])


def compact(store: Path) -> None:
    """A compaction."""
    from lmc_sweep.store import compaction
    from lmc_sweep.store.store import Store

    compaction.compact(Store(store), grace_seconds=0)


ACTIONS = {action.__name__: action for action in (commit, weights, create, sweep, compact)}


def main() -> None:
    """Kills the action at every call it makes."""
    store, name = Path(sys.argv[1]), sys.argv[2]
    import duckdb  # noqa: F401
    from store_rows import row

    import lmc_sweep.store.compaction
    import lmc_sweep.store.store
    import lmc_sweep.store.views  # noqa: F401  imported before the forks, so that children start at once
    from lmc_sweep.store import environment, records
    from lmc_sweep.store.schema import TABLES

    if name == "weights":
        import torch  # noqa: F401
    records.encode(TABLES["barriers"], [row("barriers")])  # Arrow's first array imports pandas, if installed
    environment.describe()  # starts git, whose calls are not the store's
    for fatal in range(200):
        copy = store.with_name(f"{name}-{fatal}")
        shutil.copytree(store, copy)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            if name == "create":
                shutil.rmtree(copy)
                copy.mkdir()
            arm(fatal, writer)
            ACTIONS[name](copy)
            os._exit(0)
        os.close(writer)
        said = os.read(reader, 200).decode()
        os.close(reader)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            sys.exit(os.WEXITSTATUS(status))
        sys.stdout.write(f"{copy}\t{said}\n")
        sys.stdout.flush()
    sys.exit("the action never came to its end")


if __name__ == "__main__":
    main()
