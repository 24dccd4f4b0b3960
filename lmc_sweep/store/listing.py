"""What a store holds right now: which record files are good, which ids they hold, what is set aside.

Every file is read once and checked by the hash in its name; what was learned is kept by (size, mtime,
mode), so that listing again costs one directory scan. Files that compacted ones replace are left out as
soon as all of those are there, so that nothing is read twice while both lie side by side.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lmc_sweep.store import artifacts, layout, record_files
from lmc_sweep.store.directory import Stamp
from lmc_sweep.store.files import Files
from lmc_sweep.store.places import Place, Places, rows_by_path, texts
from lmc_sweep.store.record_files import Problem, RecordFile
from lmc_sweep.store.schema import Table

__all__ = ["Listing", "Place", "Problem", "RecordFile"]

_ROUNDS = 10
_THREADS = min(4, os.cpu_count() or 1)
_LARGE_BYTES = 1 << 20


@dataclass
class Listing:
    """The known state of one table's files: ``files`` are the good ones that count.

    ``replaced`` are good ones whose rows stand in compacted files too. ``broken`` are artifacts that rows
    name and that cannot be whole; such rows do not count.
    """

    source: Files
    table: Table
    files: dict[str, RecordFile] = field(default_factory=dict)
    replaced: dict[str, RecordFile] = field(default_factory=dict)
    problems: dict[str, Problem] = field(default_factory=dict)
    broken: dict[str, Problem] = field(default_factory=dict)
    version: int = 0
    _stamps: dict[str, Stamp] = field(default_factory=dict)
    _artifact_stamps: dict[str, tuple[Stamp | None, str | None]] = field(default_factory=dict)
    _facts: dict[str, Any] = field(default_factory=dict)
    _places: Places | None = None
    _placed: set[str] = field(default_factory=set)
    _unusable: dict[str, Any] | None = None
    _hidden: tuple[int, dict[str, list[int]]] | None = None

    @property
    def root(self) -> Path:
        """The directory in which the files are read."""
        return self.source.root

    def refresh(self) -> None:
        """Looks at the directory again and takes in what has changed."""
        before = self.version
        try:
            for _ in range(_ROUNDS):
                if not self._take_in():  # else compaction has moved rows to a file that the next scan names
                    break
        finally:
            if self.version != before:
                self._choose()
        broken = self._broken_artifacts()
        if broken != self.broken:
            self.broken = broken
            self._places, self._unusable = None, None
            self.version += 1

    def ids(self) -> set[str]:
        """The ids that count as present."""
        return self.places().ids()

    def places(self) -> Places:
        """Where the rows that count stand. FileNotFoundError where compaction has just moved them."""
        if self._places is None or not self._placed <= self.files.keys():
            self._places, self._placed = Places(), set()
        fresh = sorted(self.files.keys() - self._placed)
        self._places.add({path: self._facts_of(path) for path in fresh}, self.unusable_rows())
        self._placed.update(fresh)
        return self._places

    def has_repeated(self) -> bool:
        """Whether an id may have several rows; known without reading any where compaction vouches for it."""
        return self.table.key is not None and not self.vouched_for() and self.places().has_repeated()

    def hidden(self) -> dict[str, list[int]]:
        """Rows, by file, that no view shows: repetitions, and those whose artifact is broken."""
        if self._hidden is not None and self._hidden[0] == self.version:
            return self._hidden[1]
        found = {path: [int(row) for row in rows] for path, rows in self.unusable_rows().items()}
        if self.has_repeated():
            later = [place for _, places in self.places().repeated() for place in places[1:]]
            for path, rows in rows_by_path(later).items():
                found.setdefault(path, []).extend(rows)
        self._hidden = (self.version, found)
        return found

    def _take_in(self) -> bool:
        """Takes in files that came or went; returns whether one vanished while it was read."""
        folder = f"{layout.RECORDS}/{self.table.name}"
        now = {f"{folder}/{name}": stamp for name, stamp in self.source.records(folder).items()}
        stale = [path for path, stamp in self._stamps.items() if now.get(path) != stamp]
        stale += [
            path for path, problem in self.problems.items() if problem.may_pass and path in self._stamps
        ]
        for path in dict.fromkeys(stale):
            self._stamps.pop(path, None)
            for known in (self.files, self.replaced, self.problems, self._facts):
                known.pop(path, None)
        if stale:
            self._places = None
        fresh = sorted(path for path in now if path not in self._stamps)
        if stale or fresh:
            self.version += 1
        vanished = False
        for path, learned in zip(fresh, self._learn(fresh, now), strict=True):
            if learned is None:
                vanished = True
                continue
            self._stamps[path] = now[path]
            if isinstance(learned, Problem):
                self.problems[path] = learned
            else:
                self.files[path] = learned
        return vanished

    def _learn(self, paths: list[str], stamps: dict[str, Stamp]) -> list[RecordFile | Problem | None]:
        """What new files hold; large ones are hashed side by side."""

        def learn(path: str) -> RecordFile | Problem | None:
            learned = record_files.learn(self.root, self.table, path, stamps[path])
            if isinstance(learned, Problem) and path.endswith(".parquet") and self.source.renew([path]):
                learned = record_files.learn(self.root, self.table, path, stamps[path])
            return learned

        if sum(stamps[path][0] >= _LARGE_BYTES for path in paths) > 1:
            with ThreadPoolExecutor(_THREADS) as threads:
                return list(threads.map(learn, paths))
        return [learn(path) for path in paths]

    def _choose(self) -> None:
        """Leaves out the files that compacted ones replace, all of which are there."""
        good = {**self.files, **self.replaced}
        by_name = {path.rpartition("/")[2] for path in good}
        gone: set[str] = set()
        for file in good.values():
            if (
                file.generation
                and file.generation.parts is not None
                and by_name.issuperset(file.generation.parts)
            ):
                gone |= file.generation.replaces - {file.digest or ""}
        self.replaced = {path: file for path, file in good.items() if file.digest in gone}
        self.files = {path: good[path] for path in sorted(good) if path not in self.replaced}
        self._unusable = None

    def vouched_for(self) -> bool:
        """Whether one run of compaction wrote all the files, and says that no id stands in them twice."""
        generations = [file.generation for file in self.files.values()]
        if not generations:
            return True
        first = generations[0]
        return (
            first is not None
            and first.distinct
            and all(one is not None and one.id == first.id for one in generations)
        )

    def _facts_of(self, path: str) -> Any:
        """Id and time of every row of a good file, read when they are first asked for."""
        if path not in self._facts:
            facts = self.files[path].facts
            if facts is None:
                facts = record_files.read_facts(self.root, self.table, path)
            if isinstance(facts, Problem):
                self.problems[path] = facts
                del self.files[path]
                self._places, self.version = None, self.version + 1
                raise FileNotFoundError(f"{self.root / path}: {facts.reason}")  # who asked looks again
            self._facts[path] = facts
        return self._facts[path]

    def unusable_rows(self) -> dict[str, Any]:
        """The rows, by file, whose artifact is broken."""
        if self._unusable is None:
            import pyarrow.compute as pc

            broken = texts(self.broken)
            unusable: dict[str, Any] = {}
            for path, file in self.files.items():
                if not self.broken.keys().isdisjoint(file.artifacts):
                    named = record_files.read_artifacts(self.root, self.table, path)
                    mask = pc.is_in(named, value_set=broken, skip_nulls=True)
                    unusable[path] = mask.combine_chunks().to_numpy(zero_copy_only=False).nonzero()[0]
            self._unusable = unusable
        return self._unusable

    def _broken_artifacts(self) -> dict[str, Problem]:
        """Artifacts named by good records that are missing or cannot be whole."""
        if self.table.artifact is None:
            return {}
        named = {path for file in self.files.values() for path in file.artifacts}
        folders = {path.partition("/")[0] for path in named}
        lying = self.source.artifacts([name for name in layout.ARTIFACT_FOLDERS if name in folders])
        broken = {}
        for relative in named:
            stamp = lying.get(relative)
            known = self._artifact_stamps.get(relative)
            if known is None or known[0] != stamp:
                known = (stamp, artifact_problem(self.source, relative, stamp))
                if not (known[1] or "").startswith(artifacts.UNREADABLE):  # which may have passed by then
                    self._artifact_stamps[relative] = known
            if known[1] is not None:
                broken[relative] = Problem(relative, known[1])
        return broken


def artifact_problem(files: Files, path: str, stamp: Stamp | None) -> str | None:
    """Why a file of tensors cannot be used; None when nothing speaks against it."""
    if not layout.inside(path):
        return "recorded outside the store's folders of artifacts"
    return files.artifact_problem(path, stamp)
