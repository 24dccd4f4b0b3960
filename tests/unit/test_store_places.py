"""The index of rows by id: what is known of earlier files never hides what later ones repeat."""

from __future__ import annotations

import pyarrow as pa
import pytest

from lmc_sweep.store.places import Places
from lmc_sweep.store.record_files import IDS, TIMES


def facts(*ids: str) -> pa.Table:
    """The facts of a file with these ids."""
    return pa.table({IDS: pa.array(ids, pa.string()), TIMES: pa.array(range(len(ids)), pa.int64())})


@pytest.mark.parametrize(
    ("later", "has_repeated"),
    [
        ({"b": ("x",), "c": ("y",)}, False),
        ({"b": ("x",), "c": ("x",)}, True),
        ({"b": ("x", "x")}, True),
        ({"b": ("id-3",)}, True),
    ],
    ids=["new", "new_and_twice", "twice_in_one_file", "known"],
)
def test_a_repetition_is_found_wherever_its_rows_came_from(
    later: dict[str, tuple[str, ...]], has_repeated: bool
) -> None:
    """After many distinct rows, few new ones: whether they repeat each other or a known one, it is seen."""
    places = Places()
    places.add({"a": facts(*(f"id-{number}" for number in range(40)))}, {})
    assert not places.has_repeated()
    places.add({path: facts(*ids) for path, ids in later.items()}, {})
    assert has_repeated == places.has_repeated()
    assert has_repeated == bool(places.repeated())


def test_many_large_files_are_taken_in_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that meets large files one after another keeps them apart, however many they are."""
    monkeypatch.setattr("lmc_sweep.store.places._LARGE_ROWS", 2)
    places = Places()
    for k in range(200):
        places.add({f"file-{k}": facts(f"{k}-0", f"{k}-1")}, {})
    assert 400 == places.num_rows == len(places.ids())
    assert "file-137" == places.first(["137-1"])["137-1"].path
