"""Inline drivers of one sweep, forked from a process that has everything imported, and killed at random.

``python chaos_forks.py SWEEP STORE NUM SEED`` prints a line per driver: the record files before and after,
and 1 where it was killed, 0 where it had come to the end. Forks cost no imports, which are most of what a
small sweep takes to start. After its third record a driver waits to be killed: none gets far ahead of a
killer that has to wait for its turn.
"""

from __future__ import annotations

import importlib
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))


MOST_RECORDS = 3
IMPORTED = (
    "duckdb",
    "sklearn.datasets",
    "torch",
    "lmc_sweep.execution.bodies",
    "lmc_sweep.store.views",
    "workers.alignment",
    "workers.interpolation",
    "workers.training",
)


def main() -> None:
    """Starts and kills the drivers."""
    sweep, store, num, seed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    for module in IMPORTED:
        importlib.import_module(module)
    from chaos_store import record_files

    from lmc_sweep.execution.run import run

    chance = random.Random(seed)
    for _ in range(num):
        before = len(record_files(store))
        wanted, delay = before + chance.randrange(3), chance.uniform(0.0, 0.1)
        child = os.fork()
        if child == 0:
            wait_after(MOST_RECORDS)
            os._exit(run(sweep, store=str(store), inline=True).exit_code)
        ended = 0
        while not ended and len(record_files(store)) < wanted:
            time.sleep(0.01)
            ended, _ = os.waitpid(child, os.WNOHANG)
        if not ended:
            time.sleep(delay)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        sys.stdout.write(f"{before} {len(record_files(store))} {int(not ended)}\n")
        sys.stdout.flush()


def wait_after(most: int) -> None:
    """From now on this process publishes so many records at the most, and then waits for ever."""
    from chaos_store import KEYS

    from lmc_sweep.store.store import Store

    commit, count = Store.commit, 0

    def held(self: Any, table: str, rows: Any) -> Any:
        nonlocal count
        count += table in KEYS
        while count > most:
            signal.pause()
        return commit(self, table, rows)

    Store.commit = held  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
