"""Compaction changes no answer: laws over stores of random commits."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
from compacting import findings, record_files, shown
from hypothesis import given, settings
from hypothesis import strategies as st
from store_rows import row

from lmc_sweep.store.compaction import compact
from lmc_sweep.store.places import repeated
from lmc_sweep.store.store import Store

KEYS = st.sampled_from(["a", "b", "c", "d"])
MINUTES = st.integers(0, 3)
BARRIERS = st.builds(
    lambda key, minutes, loss, losses, layers: (
        "barriers",
        row("barriers", key, minutes, loss_barrier=loss, losses=losses, cell_id=f"cell-{key}", layers=layers),
    ),
    KEYS,
    MINUTES,
    st.sampled_from([0.5, 0.5 + 1e-9, 0.75, None]),
    st.sampled_from([[0.0, 1.0], [0.0, 1.0 + 1e-9], [0.0], None]),
    st.sampled_from(["each:it's", None]),
)
ITEMS = st.builds(
    lambda plan, item, minutes: (
        "sweep_items",
        row("sweep_items", minutes=minutes, sweep="s", kind="barrier", item_id=item, plan_id=plan),
    ),
    st.sampled_from(["plan-a", "plan-b"]),
    KEYS,
    MINUTES,
)
FAILURES = st.builds(
    lambda key, items: ("failures", row("failures", key, kind="barrier", item_ids=items)),
    KEYS,
    st.lists(KEYS, min_size=1, unique=True),
)
COMMITS = st.lists(
    st.one_of(st.lists(kind, min_size=1, max_size=4) for kind in (BARRIERS, ITEMS, FAILURES)), max_size=8
)
TABLES = ("barriers", "sweep_items", "failures")


def _commit(store: Store, commits: list[list[tuple[str, dict[str, Any]]]]) -> None:
    for rows in commits:
        store.commit(rows[0][0], [values for _, values in rows])


@settings(max_examples=12)
@given(commits=COMMITS, later=COMMITS)
def test_compaction_changes_no_view_and_no_finding(commits: Any, later: Any) -> None:
    """What every table shows and what is reported as nondeterminism stay, however often it is compacted."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store.create(Path(folder) / "store")
        for part in (commits, later):
            _commit(store, part)
            expected = (shown(store, TABLES), findings(store), store.ids("barrier"))
            for _ in range(2):
                compact(store, grace_seconds=0)
                for reader in (store, Store(store.path)):
                    assert expected == (shown(reader, TABLES), findings(reader), reader.ids("barrier"))
        assert [] == store.problems()


@settings(max_examples=10)
@given(commits=COMMITS.filter(bool))
def test_compaction_leaves_one_file_and_no_agreeing_repetition(commits: Any) -> None:
    """A table of small files becomes one file, whose rows of one id all differ beyond the tolerance."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store.create(Path(folder) / "store")
        _commit(store, [*commits, [BARRIER], [BARRIER]])
        compact(store, grace_seconds=0)
        (file,) = record_files(store, "barriers")
        kept = Counter(pa.parquet.read_table(file).column("barrier_id").to_pylist())
        differing = {finding.id for finding in store.nondeterminism() if finding.table == "barriers"}
        assert differing == {key for key, count in kept.items() if count > 1}


BARRIER = ("barriers", row("barriers", "a", loss_barrier=0.5))


@given(
    texts=st.lists(
        st.one_of(
            st.sampled_from(["", "a", "ab"]),
            st.integers(0, 20).map(lambda number: f"{number:016x}"),
            st.integers(0, 20).map(lambda number: f"{number << 60:032x}"),
        )
    ),
    start=st.integers(0, 3),
)
def test_repeated_values_are_those_that_are_counted_twice(texts: list[str], start: int) -> None:
    """The mask of repetitions is what counting says, for texts of one length or many, and for slices."""
    chosen = texts[start:]
    counted = Counter(chosen)
    array = pa.array(texts, pa.string()).slice(start)
    assert [counted[text] > 1 for text in chosen] == repeated(array).tolist()
    same_length = [f"{text:>16}"[-16:] for text in chosen]
    counted = Counter(same_length)
    assert [counted[text] > 1 for text in same_length] == repeated(
        pa.array(same_length, pa.string())
    ).tolist()
