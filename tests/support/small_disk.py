"""``python small_disk.py FOLDER``: what a store does on a disk that fills, turns read-only and goes away.

To be run where it may mount, as under ``unshare --user --map-root-user --mount``. Prints what it saw as
JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from faulty_files import unfinished
from store_rows import row

from lmc_sweep.errors import StoreError
from lmc_sweep.store.store import Store


def main() -> None:
    """Goes through a disk's life."""
    disk = Path(sys.argv[1])
    seen: dict[str, Any] = {}
    _mount("-t", "tmpfs", "-o", "size=512k", "tmpfs", str(disk))
    ballast = disk / "ballast"
    ballast.write_bytes(b"x" * 200_000)
    store = Store.create(disk / "store")
    committed = []
    for k in range(500):
        seen["full"] = _error_of(store, f"r{k}")
        if seen["full"]:
            break
        committed.append(f"r{k}")
    seen["lost when full"] = sorted(set(committed) ^ Store(store.path).ids("barrier"))
    seen["left when full"] = len(unfinished(store.path)) + len(store.problems())
    seen["committed"] = len(committed)
    store.patience_seconds = 30.0
    threading.Timer(0.5, ballast.unlink).start()
    seen["freed meanwhile"] = _error_of(store, "freed")
    store.patience_seconds = 0.0
    _mount("-o", "remount,ro", str(disk))
    seen["read-only"] = _error_of(store, "read-only")
    _mount("-o", "remount,rw,size=4m", str(disk))
    seen["writable again"] = _error_of(store, "writable")
    seen["lost at last"] = sorted({*committed, "freed", "writable"} ^ Store(store.path).ids("barrier"))
    subprocess.run(["umount", str(disk)], check=True)
    seen["unmounted"] = _error_of(store, "unmounted")
    seen["made under the mount"] = [entry.name for entry in disk.iterdir()]
    sys.stdout.write(json.dumps(seen))


def _error_of(store: Store, key: str) -> str:
    """What a commit says when it fails; empty when it does not."""
    try:
        store.commit("barriers", [row("barriers", key)])
    except StoreError as error:
        return str(error)
    return ""


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


if __name__ == "__main__":
    main()
