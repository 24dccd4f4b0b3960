"""``python many_writers.py STORE SIGNS [PAUSE]``: ten processes commit to one store at once.

They are forked from one process that has imported everything, wait for the file SIGNS/go, and note
in SIGNS/<pid> what they have committed; each rests for PAUSE seconds after a commit. Half-way they wait as
long as there is a file SIGNS/stay. The process ids are
printed at once; the end comes when all have ended.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

NUM_WRITERS, NUM_COMMITS, NUM_ROWS = 10, 12, 5


def write(writer: int, store: Path, signs: Path, pause: float) -> None:
    """One writer's commits. Half of them are the same in all, as when two drivers share a store."""
    from store_rows import row

    from lmc_sweep.store.store import Store

    opened = Store(store)
    while not (signs / "go").exists():
        time.sleep(0.001)
    with (signs / str(os.getpid())).open("a", buffering=1) as acknowledged:
        for commit in range(NUM_COMMITS):
            while commit == NUM_COMMITS // 2 and (signs / "stay").exists():
                time.sleep(0.001)
            name = f"shared-{commit}" if commit % 2 else f"{writer}-{commit}"
            rows = [row("barriers", f"{name}-{k}", seed_a=commit, seed_b=k) for k in range(NUM_ROWS)]
            opened.commit("barriers", rows)
            acknowledged.write(f"{name}\n")
            time.sleep(pause)


def main() -> None:
    """Starts the writers and waits for them."""
    store, signs = Path(sys.argv[1]), Path(sys.argv[2])
    pause = float(sys.argv[3]) if len(sys.argv) > 3 else 0.0
    sys.path.insert(0, str(Path(__file__).parent))
    from store_rows import row

    from lmc_sweep.store import environment, records
    from lmc_sweep.store.schema import TABLES

    records.encode(TABLES["barriers"], [row("barriers")])  # Arrow's first array imports pandas, if installed
    environment.describe()
    children = []
    for writer in range(NUM_WRITERS):
        child = os.fork()
        if child == 0:
            write(writer, store, signs, pause)
            os._exit(0)
        children.append(child)
    sys.stdout.write(" ".join(map(str, children)) + "\n")
    sys.stdout.flush()
    sys.exit(max(os.waitpid(child, 0)[1] for child in children) != 0)


if __name__ == "__main__":
    main()
