"""Writes to a store in children of a small process, each of which somebody outside kills at some write.

Per line ``ACTION URI`` on standard input a child is made. It tells its process id on standard output, waits
for one more line, does the action and ends; then its exit status is told. All is imported before the forks,
so that children start at once; object storage is used in the children alone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))


def weights(uri: str) -> None:
    """One file of tensors and the record that names it."""
    import torch
    from store_rows import row

    from lmc_sweep.store.store import Store

    opened = Store(uri)
    path = opened.write_tensors("networks", {"w": torch.arange(6.0).reshape(2, 3)})
    opened.commit("networks", [row("networks", "victim", checkpoint=path, row=1)])


def create(uri: str) -> None:
    """A store where there is none."""
    from lmc_sweep.store.store import Store

    Store.create(uri)


def compact(uri: str) -> None:
    """A compaction."""
    from lmc_sweep.store import compaction
    from lmc_sweep.store.store import Store

    compaction.compact(Store(uri), grace_seconds=0)


ACTIONS: dict[str, Callable[[str], None]] = {action.__name__: action for action in (weights, create, compact)}


def main() -> None:
    """Makes children until standard input ends."""
    import duckdb  # noqa: F401
    import obstore.store  # noqa: F401
    import torch  # noqa: F401
    from store_rows import row

    import lmc_sweep.store.compaction
    import lmc_sweep.store.mirror
    import lmc_sweep.store.objects
    import lmc_sweep.store.views
    import lmc_sweep.store.weights  # noqa: F401
    from lmc_sweep.store import environment, records
    from lmc_sweep.store.schema import TABLES

    records.encode(TABLES["barriers"], [row("barriers")])
    environment.describe()
    for line in sys.stdin:
        name, uri = line.split()
        child = os.fork()
        if child == 0:
            os.write(1, f"{os.getpid()}\n".encode())
            os.read(0, 100)  # until somebody knows whom to kill
            ACTIONS[name](uri)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
