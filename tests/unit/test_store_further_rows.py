"""Items whose rows in a second table have gone are found, set aside, and count as missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from store_rows import row

from lmc_sweep.store.repair import repair
from lmc_sweep.store.store import Store
from lmc_sweep.store.verification import verify

FORMS: dict[str, dict[str, Any]] = {
    "whole": {"num_finite": 3, "spec_json": '{"averages": [2]}'},
    "half": {"num_finite": 3, "spec_json": '{"averages": [2, 4]}'},
    "too few": {"num_finite": 1, "spec_json": '{"averages": [2]}'},
    "none asked": {"num_finite": 3, "spec_json": '{"averages": []}'},
    "tells nothing": {"num_finite": 3, "spec_json": "text"},
}
PATHS: dict[str, dict[str, Any]] = {
    "path": {"spec_json": '{"points": {"hessian": true}}', "is_converged": True},
    "lonely": {"spec_json": '{"points": {"hessian": true}}', "is_converged": False},
    "diverged": {"spec_json": '{"points": {"hessian": true}}', "is_converged": None},
    "not measured": {"spec_json": "{}", "is_converged": True},
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Forms and paths in one record each, with the further rows of one of each; sound environments."""
    made = Store.create(tmp_path / "store")
    environment = made.record_environment()

    def rows(table: str, items: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
        return [row(table, key, environment_id=environment, **values) for key, values in items.items()]

    made.commit("canonical_averages", rows("canonical_averages", {"average": {"canonical_id": "whole"}}))
    made.commit("permutation_points", rows("permutation_points", {"point": {"path_id": "path"}}))
    made.commit("canonical_forms", rows("canonical_forms", FORMS))
    made.commit("permutation_paths", rows("permutation_paths", PATHS))
    return made


def halves(store: Store) -> list[tuple[str, ...]]:
    """Ids of the items that verification finds to lack rows, by record."""
    return [finding.ids for finding in verify(store).findings if finding.kind == "half"]


def test_items_without_what_they_were_asked_for_are_found(store: Store) -> None:
    """Those alone whose rows in the second table were there when they were committed."""
    assert {("half",), ("lonely",)} == set(halves(store))
    assert {"canonical_form": {"half"}, "permutation_path": {"lonely"}} == {
        kind: set(ids) for kind, ids in verify(store).lost.items() if ids
    }


def test_repair_takes_them_alone_away(store: Store) -> None:
    """Others of the same record stay as they are; a second look finds nothing."""
    before = store.fetch("canonical_forms", ["whole"], ["num_finite", "spec_json", "created_at"])
    repair(store.files, verify(store).findings)
    again = Store(store.path)
    assert set(FORMS) - {"half"} == again.ids("canonical_form")
    assert set(PATHS) - {"lonely"} == again.ids("permutation_path")
    assert before == again.fetch("canonical_forms", ["whole"], ["num_finite", "spec_json", "created_at"])
    assert [] == halves(again)


def test_a_torn_file_of_averages_costs_its_items(store: Store) -> None:
    """They are computed again with their averages, not left without for ever."""
    (averages,) = (store.path / "records" / "canonical_averages").glob("*.parquet")
    averages.write_bytes(averages.read_bytes()[:-20])
    assert ("half", "whole") in halves(Store(store.path))
    repair(store.files, verify(Store(store.path)).findings)
    assert not {"half", "whole"} & Store(store.path).ids("canonical_form")
