"""Runs writers in children of a small process of its own and kills one at a chosen call to the system.

``python killed_writer.py STORE ACTION`` runs ACTION once for every call n that it makes to the system: the
first child dies by SIGKILL just before its call 0, the next just after it, then before call 1, and so on,
until a child lives to the end. Each child works on its own copy of the store. Printed per death: the copy's
folder and the call.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

CALLS = ("open", "write", "fsync", "close", "link", "replace", "rename", "unlink", "mkdir")


def arm(fatal: int, dies_after: bool, report: int) -> None:
    """From now on this process dies at its call ``fatal`` to the system, before it or just after."""
    count = -1

    def armed(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count != fatal:
                return real(*arguments, **options)
            tell(report, f"{'after' if dies_after else 'before'} {name} ({count})")
            try:
                if dies_after:
                    real(*arguments, **options)
            finally:
                os.kill(os.getpid(), signal.SIGKILL)

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
        # between two calls nothing happens on disk: just after one is just before the next
        for dies_after in (False,) if name == "compact" else (False, True):
            copy = store.with_name(f"{name}-{fatal}-{int(dies_after)}")
            shutil.copytree(store, copy)
            reader, writer = os.pipe()
            child = os.fork()
            if child == 0:
                if name == "create":
                    shutil.rmtree(copy)
                    copy.mkdir()
                arm(fatal, dies_after, writer)
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
