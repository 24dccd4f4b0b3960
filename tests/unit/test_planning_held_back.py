"""What failed for good is not planned again until somebody releases it, nor is what needs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lmc_sweep.config import parse_sweep
from lmc_sweep.execution.causes import CAUSES
from lmc_sweep.execution.run import run
from lmc_sweep.kinds import ALWAYS_SHOWN
from lmc_sweep.planning.held_back import FAILS_EVERY_TIME
from lmc_sweep.planning.plan import Plan, make_plan
from lmc_sweep.store.store import Store

SWEEP = parse_sweep(
    """
    name: held
    store: s
    networks: [{dataset: digits, architecture: {name: mlp, width: 4}, seeds: 4}]
    barriers:
      worlds: [real]
      alignments: [{method: identity}, {method: weight_matching}]
      interpolation: {splits: [train]}
    """
)
"""Four networks, two pairs, two methods: four alignments, four curves."""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return Store.create(tmp_path / "s")


def fail(store: Store, kind: str, ids: list[str], cause: str | None, **more: Any) -> None:
    """Records a failure."""
    row = {"kind": kind, "item_ids": ids, "error_type": "E", "message": "m", "traceback": "t", "attempts": 1}
    store.commit("failures", [{**row, "cause": cause, **more}])


def plan(store: Store) -> Plan:
    """The plan of the sweep against the store as it is now."""
    return make_plan(SWEEP, store, 2)


def counts(found: dict[str, frozenset[str]]) -> list[int]:
    """How many of each kind that the sweep asks for."""
    return [len(found[kind]) for kind in ALWAYS_SHOWN]


FIRST_NETWORK = make_plan(SWEEP, None, 2).items["network"][0].id


def test_user_code_that_raised_is_held_back_and_what_needs_it_is_blocked(store: Store) -> None:
    """A network out of four: with it go its pair's two alignments and their two curves."""
    fail(store, "network", [FIRST_NETWORK], "user_error", sweep="of another name")
    made = plan(store)
    assert [1, 0, 0] == counts(made.held_back)
    assert [0, 2, 2] == counts(made.blocked)
    assert [3, 2, 2] == [made.num_to_do(kind) for kind in ALWAYS_SHOWN]
    batched = {item.id for batch in made.batches for item in batch.items}
    assert 7 == len(batched)
    assert batched.isdisjoint(set().union(*made.held_back.values(), *made.blocked.values()))
    assert {required for batch in made.batches for required in batch.requires} <= batched


def test_every_item_is_done_to_do_held_back_or_blocked(store: Store) -> None:
    """The numbers of the summary add up, and its reasons say how to release what is held back."""
    fail(store, "network", [FIRST_NETWORK], "user_error")
    for entry in plan(store).summary()["kinds"].values():
        parts = [entry[name] for name in ("done", "to_do", "held_back", "blocked")]
        assert entry["items"] == sum(parts)
        assert entry["items"] - entry["done"] == sum(entry["reasons"].values())
    reasons = plan(store).summary()["kinds"]["network"]["reasons"]
    assert {
        "held back: fails every time; lmc-sweep retry STORE releases it": 1,
        "not in the store": 3,
    } == reasons


@pytest.mark.parametrize("cause", [None, *sorted(set(CAUSES) - FAILS_EVERY_TIME)])
def test_other_failures_are_tried_again(store: Store, cause: str | None) -> None:
    """What failed for another reason, or before causes were recorded, is planned as before."""
    fail(store, "network", [FIRST_NETWORK], cause)
    made = plan(store)
    assert [0, 0, 0] == counts(made.held_back) == counts(made.blocked)
    assert {"failed before": 1, "not in the store": 3} == made.summary()["kinds"]["network"]["reasons"]


def test_a_released_failure_is_planned_again_until_it_fails_anew(store: Store) -> None:
    """``retries`` releases one failure, not the item for ever."""
    fail(store, "network", [FIRST_NETWORK], "user_error", failure_id="first")
    assert 1 == counts(plan(store).held_back)[0]
    store.commit("retries", [{"failure_id": "first", "sweep": "held"}])
    assert 0 == plan(store).num_held_back
    fail(store, "network", [FIRST_NETWORK], "user_error", failure_id="second")
    assert 1 == counts(plan(store).held_back)[0]


def test_a_kind_is_part_of_what_failed(store: Store) -> None:
    """An id that failed as an alignment holds no network back."""
    fail(store, "alignment", [FIRST_NETWORK], "user_error")
    assert 0 == plan(store).num_held_back


def test_a_plan_of_which_all_is_held_back_is_not_complete_and_its_run_fails(tmp_path: Path) -> None:
    """Nothing to run is not the same as done: the run starts nothing and ends with exit code 1."""
    store = Store.create(tmp_path / "s")
    fail(store, "network", [item.id for item in make_plan(SWEEP, None, 2).items["network"]], "user_error")
    made = plan(store)
    assert [] == made.batches
    assert not made.complete
    assert 12 == made.num_held_back
    result = run(SWEEP, store=str(tmp_path / "s"), inline=True)
    assert (1, 12, None) == (result.exit_code, result.num_failed, result.progress)


def test_held_back_classes_are_classes_of_errors() -> None:
    """Planning names no class that execution does not know."""
    assert set(CAUSES) >= FAILS_EVERY_TIME
    assert {cause.name for cause in CAUSES.values() if not cause.again} == FAILS_EVERY_TIME
