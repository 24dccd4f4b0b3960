"""What a reader of a store sees while others write, kill and damage; and how to damage it."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lmc_sweep.errors import StoreError
from lmc_sweep.store.schema import TABLE_OF_KIND
from lmc_sweep.store.store import Store, open_if_exists

ENOUGH_LOOKS = 11
KEYS = {table.name: str(table.key) for table in TABLE_OF_KIND.values()}


def record_files(store: Path) -> list[Path]:
    """The published record files of networks, alignments and barriers."""
    return [
        path
        for name in KEYS
        for path in sorted((store / "records" / name).glob("*.parquet"))
        if not path.name.startswith(".")
    ]


def written(store: Path) -> Counter[str]:
    """How many rows the files hold of each id, whatever readers make of them; bad files left out."""
    rows = Counter[str]()
    for path in record_files(store):
        rows.update(_ids(path))
    return rows


def _ids(path: Path) -> list[str]:
    """The ids in a record file; none where it cannot be read."""
    try:
        return pq.ParquetFile(path).read([KEYS[path.parent.name]]).column(0).to_pylist()  # type: ignore[no-any-return]
    except (OSError, pa.ArrowException):
        return []


class Watcher:
    """A reader that looks on all the time: no id twice, and none that was there may vanish.

    ``forgiven`` holds the ids that were damaged on purpose.
    """

    def __init__(self, store: Path) -> None:
        self._path = store
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._seen: dict[str, set[str]] = {name: set() for name in KEYS}
        self.forgiven: set[str] = set()
        self.complaints: list[str] = []
        self.num_looks = 0
        self._thread.start()

    def end(self) -> None:
        """Looks no more, once it has looked often enough to speak of it where there is a store."""
        while self.num_looks < ENOUGH_LOOKS and (self._path / "store.json").exists():
            if self.complaints:
                break
            time.sleep(0.1)
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        """Looks through one store object, as a notebook would, and at times through a fresh one."""
        store: Store | None = None
        while not self._ended.is_set():
            began = time.monotonic()
            try:
                if store is None or self.num_looks % 20 == 0:
                    store = open_if_exists(self._path)
                if store is not None:
                    self._look(store)
                    self.num_looks += 1
            except StoreError as error:
                if (self._path / "store.json").exists() and self.num_looks:
                    self.complaints.append(f"a reader was refused: {error}")
            except Exception as error:
                self.complaints.append(f"a reader failed: {type(error).__name__}: {error}")
            time.sleep(max(0.1, 2 * (time.monotonic() - began)))  # the watched need the cores more

    def _look(self, store: Store) -> None:
        for name, key in KEYS.items():
            ids = [found for (found,) in store.sql(f"SELECT {key} FROM {name}").fetchall()]
            now = set(ids)
            if len(ids) != len(now):
                twice = [found for found, count in Counter(ids).items() if count > 1]
                self.complaints.append(f"{name}: shown more than once: {twice[:3]}")
            if vanished := self._seen[name] - now - self.forgiven:
                self.complaints.append(f"{name}: vanished: {sorted(vanished)[:3]} of {len(vanished)}")
            self._seen[name] |= now


def damage_record(store: Path, chance: random.Random, watcher: Watcher) -> str:
    """Cuts a record file short or flips one of its bits; what was done."""
    files = record_files(store)
    if not files:
        return "no record to damage yet"
    path = chance.choice(files)
    watcher.forgiven.update(_ids(path))
    try:
        with path.open("r+b") as file:
            size = path.stat().st_size
            if chance.random() < 0.5:
                file.truncate(chance.randrange(size))
                return f"cut {path.name} short"
            position = chance.randrange(size)
            file.seek(position)
            byte = file.read(1)[0]
            file.seek(position)
            file.write(bytes([byte ^ 1 << chance.randrange(8)]))
            return f"flipped a bit of {path.name}"
    except (FileNotFoundError, ValueError, IndexError):
        return "the record to damage was gone"
