"""What a store shows, as plain values that compaction must leave as they are; and a process that compacts."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from store_rows import row

from lmc_sweep.store.schema import TABLES
from lmc_sweep.store.store import Store


def shown(store: Store, tables: Iterable[str] = TABLES) -> dict[str, list[str]]:
    """The rows of the tables' views, in an order of their own."""
    return {name: sorted(map(repr, store.answer(f"SELECT * FROM {name}").to_pylist())) for name in tables}


def findings(store: Store) -> list[tuple[Any, ...]]:
    """What is reported as nondeterminism, but for the names of files."""
    return sorted((f.table, f.id, f.column, repr(f.values)) for f in store.nondeterminism())


def record_files(store: Store, table: str) -> list[Path]:
    """The record files of a table, by name."""
    return sorted((store.path / "records" / table).glob("*.parquet"))


def fill(store: Store) -> None:
    """Repeated barriers that agree and that do not, and a sweep whose first plan was asked for again."""
    for minutes, barrier in ((0, 0.25), (1, 0.25), (2, 0.75)):
        twice = row("barriers", "twice", minutes=minutes, loss_barrier=barrier)
        store.commit("barriers", [twice, row("barriers", f"only-{minutes}", cell_id=f"cell-{minutes}")])
    plans = [[("network", "a")], [("network", "b"), ("barrier", "twice")]]
    for plan in (plans[0], plans[1], plans[0]):
        store.record_sweep("sweep", "name: sweep\n", plan)


def main() -> None:
    """``python compacting.py STORE [unlocked]``: says "ready", then compacts again and again, and once more
    after its standard input was closed; says how many tables it merged."""
    from lmc_sweep.store import compaction

    if "unlocked" in sys.argv:
        import fcntl

        def no_locks(*_: Any) -> None:
            raise OSError("this file system has no locks")

        fcntl.flock = no_locks
    store = Store(sys.argv[1])
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    merged, is_over = 0, threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), is_over.set()), daemon=True).start()
    is_last = False
    while not is_last:
        is_last = is_over.is_set()
        report = compaction.compact(store, grace_seconds=0)
        merged += sum(table.files_after < table.files_before for table in report.tables)
    sys.stdout.write(f"{merged}\n")


if __name__ == "__main__":
    main()
