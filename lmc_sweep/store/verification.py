"""Whether everything in a store is what it should be, by reading all of it.

Listing finds what is torn, truncated or missing. This also finds what has the right size and the wrong
content, rows that name what their file does not have, and what nobody needs. Nothing is changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from lmc_sweep.config import document
from lmc_sweep.config.refusals import Refusal
from lmc_sweep.errors import StoreError
from lmc_sweep.store import layout, strays
from lmc_sweep.store.artifact_checks import Checked, check_all
from lmc_sweep.store.findings import KINDS, Finding, SweepCount, Verification
from lmc_sweep.store.further_rows import FURTHER_ROWS, without_further_rows
from lmc_sweep.store.inspection import Held, file_size, inspect, record_paths
from lmc_sweep.store.provenance import environment_problem, is_environment_id, sweep_text
from lmc_sweep.store.schema import TABLE_OF_KIND, TABLES
from lmc_sweep.store.store import Store

Watcher = Callable[[int, int], None]
"""Told how many bytes have been read, and of how many."""


def verify(store: Store, watch: Watcher = lambda read, total: None) -> Verification:
    """What is wrong with a store, and what lies about in it.

    The directory is looked at before the records are read, and ids are listed before that: whatever a
    running driver adds meanwhile is not mistaken for damage.
    """
    files, root = store.files, store.path
    done = {kind: store.ids(kind) for kind in TABLE_OF_KIND}
    lying = strays.scan(files, TABLES)
    paths = [path for table in TABLES.values() for path in record_paths(files, table)]
    total = sum(stray.num_bytes for stray in lying.artifacts) + sum(file_size(root / path) for path in paths)
    read = 0

    def progress(num_bytes: int) -> None:
        nonlocal read
        read += num_bytes
        watch(read, max(total, read))

    held = inspect(files, progress)
    named = held.named()
    checked = check_all(files, named, progress)
    sound = _sound_ids(held, checked)
    halves = {table: _half_ids(store, held, table) for table in FURTHER_ROWS}
    for kind, table in TABLE_OF_KIND.items():
        sound[kind] = sound[kind] - halves.get(table.name, set())
    findings = [
        *_records(held),
        *_artifacts(held, checked, sound),
        *_rows(held, checked),
        *_halves(held, halves),
        *_inputs(held, checked, sound),
        *(
            Finding("folder", name, "is a symbolic link: nothing is read there", True)
            for name in lying.linked
        ),
        *_environments(store, held),
        *_sweeps(store),
        *_repeated(store, held),
        *_strays(lying, named, {bad.path for bad in held.bad}),
    ]
    return Verification(
        findings=tuple(sorted(findings, key=lambda one: (list(KINDS).index(one.kind), one.path))),
        sweeps=tuple(_counts(store, done, sound)),
        num_records=len(paths),
        num_rows={name: held.num_rows[name] for name in TABLES},
        num_artifacts=len(checked),
        num_bytes=read,
        lost={kind: frozenset(done[kind] - sound[kind]) for kind in TABLE_OF_KIND},
    )


def _sound_ids(held: Held, checked: dict[str, Checked]) -> dict[str, set[str]]:
    """Per kind, the ids of which some row can be used."""
    found = {}
    for kind, table in TABLE_OF_KIND.items():
        if table.artifact is None:
            found[kind] = held.ids[table.name]
        else:
            found[kind] = {
                key
                for key, path, row, _ in held.rows[table.name]
                if path is None or (checked[path].problem is None and checked[path].has_row(row))
            }
    return found


def _records(held: Held) -> Iterator[Finding]:
    """Record files from which nothing is read."""
    for bad in held.bad:
        is_ours = bad.path.endswith(".parquet")
        kind = "record" if is_ours else "foreign"
        yield Finding(kind, bad.path, bad.reason, is_ours, bad.is_damaged)


def _artifacts(held: Held, checked: dict[str, Checked], sound: dict[str, set[str]]) -> Iterator[Finding]:
    """Files of tensors that rows name as their own and that cannot be used."""
    users: dict[str, Counter[str]] = {}
    lost: set[str] = set()
    for kind, table in TABLE_OF_KIND.items():
        for key, path, _, _ in held.rows[table.name] if table.artifact else ():
            if path is not None and checked[path].problem is not None:
                users.setdefault(path, Counter())[table.name] += 1
                if key not in sound[kind]:
                    lost.add(path)
    for path, counts in users.items():
        one = checked[path]
        told = ", ".join(f"{count} {name}" for name, count in counts.items())
        if path not in lost:
            yield Finding(
                "artifact", path, f"{one.problem}; the {told} have other rows", False, one.is_movable
            )
            continue
        seen = "" if one.is_listed else "; status and plan count them as done until it is set aside"
        yield Finding("artifact", path, f"{one.problem}: it costs {told}{seen}", True, one.is_movable)


def _rows(held: Held, checked: dict[str, Checked]) -> Iterator[Finding]:
    """Records whose rows name a row that their sound file of tensors does not have."""
    wrong: dict[tuple[str, str], list[str]] = {}
    for rows in held.rows.values():
        for key, path, row, record in rows:
            if path is not None and checked[path].problem is None and not checked[path].has_row(row):
                wrong.setdefault((record, path), []).append(f"{key} names row {row}")
    for (record, path), texts in wrong.items():
        more = f" and {len(texts) - 1} more" if len(texts) > 1 else ""
        text = f"{texts[0]} of {path}, which has {checked[path].num_rows} rows{more}"
        yield Finding("row", record, text, True, True, artifact=path)


def _half_ids(store: Store, held: Held, table: str) -> set[str]:
    """Ids of a table's items whose further rows are gone, and not merely in a file that is left out."""
    folder = f"{layout.RECORDS}/{FURTHER_ROWS[table].table}/"
    if any(bad.path.startswith(folder) and not bad.is_damaged for bad in held.bad):
        return set()
    return without_further_rows(store, table, str(TABLES[table].key)) & held.records[table].keys()


def _halves(held: Held, halves: dict[str, set[str]]) -> Iterator[Finding]:
    """Records of items whose further rows are gone."""
    for table, ids in halves.items():
        by_record: dict[str, list[str]] = {}
        for key in sorted(ids):
            for record in held.records[table][key]:
                by_record.setdefault(record, []).append(key)
        for record, keys in by_record.items():
            text = f"{len(keys)} of its items lack their rows in {FURTHER_ROWS[table].table}, {keys[0]} first"
            yield Finding("half", record, text, True, True, ids=tuple(keys))


def _inputs(held: Held, checked: dict[str, Checked], sound: dict[str, set[str]]) -> Iterator[Finding]:
    """Alignments and barriers that were computed from tensors which are gone for good.

    Tensors that some missing result will write again are told of where that is. Curves are good without
    what they were measured on; curves of an alignment cannot be measured without.
    """
    awaited = {
        path
        for kind, table in TABLE_OF_KIND.items()
        for key, path, _, _ in (held.rows[table.name] if table.artifact else ())
        if path is not None and key not in sound[kind]
    }
    for path, readers in held.inputs.items():
        for record, (count, last) in readers.items():
            reason = checked[path].problem
            if (reason is None and checked[path].has_row(last)) or (reason is not None and path in awaited):
                continue
            is_alignment = record.startswith(f"{layout.RECORDS}/alignments/")
            told = reason or f"has {checked[path].num_rows} rows, and row {last} was read"
            rest = "their barriers cannot be measured" if is_alignment else "they cannot be computed again"
            text = f"{count} rows read {path}, which {told}: {rest}"
            yield Finding("input", record, text, is_alignment, is_alignment, artifact=path)
    for table, count in held.unreadable_inputs.items():
        yield Finding(
            "input", table, f"{count} rows do not tell what they read: they cannot be computed again"
        )


def _environments(store: Store, held: Held) -> Iterator[Finding]:
    """Environments that rows name and that the store cannot tell."""
    for key, count in held.environments.items():
        problem = environment_problem(store.files, key)
        if problem is None:
            continue
        text = f"{problem}: what computed {count} rows is not known"
        if not is_environment_id(key):
            yield Finding("environment", key[:80], text)
            continue
        path = layout.environment_path(key)
        is_movable = (store.path / path).is_file() and not problem.startswith("cannot be read")
        yield Finding("environment", path, text, True, is_movable)


def _sweeps(store: Store) -> Iterator[Finding]:
    """Sweeps whose file cannot be read."""
    for name in sorted({*store.sweeps(), *_asked(store)}):
        path = f"{layout.SWEEPS}/{name}/sweep.yaml"
        try:
            document.read(sweep_text(store.files, name))
        except (StoreError, Refusal) as error:
            told = str(error).removeprefix(f"{store.files.told(path)}: ")
            yield Finding("sweep", path, f"{told}: run the sweep from its own file, which puts it back", True)


def _repeated(store: Store, held: Held) -> Iterator[Finding]:
    """Results that were computed more than once: how many, and those that differ."""
    for one in store.nondeterminism():
        text = f"{one.table}.{one.column} is {_short(one.values[0])} in {one.files[0]}, which counts, and "
        yield Finding("nondeterminism", one.id, f"{text}{_short(one.values[1])} in {one.files[1]}")
    for name, table in TABLES.items():
        if table.key is None:
            continue
        ids = {key for key, _, _, _ in held.rows[name]} if table.artifact else held.ids[name]
        if repeats := held.num_rows[name] - len(ids):
            yield Finding("duplicate", name, f"{repeats} rows repeat an id; the first of each counts")


def _short(value: object) -> str:
    """A value, a long list cut."""
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _strays(lying: strays.Strays, named: set[str], told_of: set[str]) -> Iterator[Finding]:
    """What no result needs: told, never an error; what was told of among the records is not told again."""
    orphans = tuple(stray for stray in lying.artifacts if stray.path not in named)
    for kind, found, told in (
        ("orphan", orphans, "no record names it"),
        ("temporary", lying.temporaries, "left by a writer, live or dead"),
        (
            "foreign",
            tuple(one for one in lying.foreign if one.path not in told_of),
            "not written by this program",
        ),
        ("quarantine", lying.quarantined, "set aside earlier"),
    ):
        for one in found:
            yield Finding(kind, one.path, told, num_bytes=one.num_bytes, age_seconds=one.age_seconds)


def _asked(store: Store) -> list[str]:
    """Names of the sweeps that ask for items."""
    found = store.answer("SELECT DISTINCT sweep FROM sweep_items ORDER BY sweep")
    return [str(name) for name in found.column("sweep").to_pylist()]


def _counts(store: Store, done: dict[str, set[str]], sound: dict[str, set[str]]) -> Iterator[SweepCount]:
    """Per sweep and kind, how many items there are, count as done, and are sound."""
    for name in _asked(store):
        for kind in TABLE_OF_KIND:
            if asked := store.item_ids(name, kind):
                both = asked & done[kind]
                yield SweepCount(name, kind, len(asked), len(both), len(both & sound[kind]))
