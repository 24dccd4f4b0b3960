"""The items of the study all_pairs: which they are, what they share with barriers, what they cost."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest

from lmc_sweep.config.loading import parse_sweep
from lmc_sweep.config.sweep import Sweep
from lmc_sweep.errors import StoreError
from lmc_sweep.planning.item_classes import NetworkItem
from lmc_sweep.planning.items import items, left_out
from lmc_sweep.planning.plan import make_plan
from lmc_sweep.planning.study_all_pairs import BarrierMatrixItem, pairs_of

NETWORKS = """
name: pairs
store: runs/pairs
networks:
  - {dataset: digits, architecture: {name: mlp, width: [4, 16]}, training: {max_epochs: 1}, seeds: SEEDS}
"""
WHAT = """
  alignments: [{method: identity}, {method: brute_force}]
  interpolation: {alphas: 5, splits: [train, test]}
"""


def sweep(study: str, seeds: Any = 6) -> Sweep:
    """A sweep of two cells that asks for some studies."""
    return parse_sweep(NETWORKS.replace("SEEDS", str(seeds)) + study)


def matrices(asked: Sweep) -> list[BarrierMatrixItem]:
    """Its matrices."""
    found = items(asked)["barrier_matrix"]
    assert all(isinstance(one, BarrierMatrixItem) for one in found)
    return found  # type: ignore[return-value]


def test_a_matrix_stands_for_every_cell_method_split_and_height() -> None:
    """15 pairs of six networks; brute force is left out at width 16, and said to be."""
    asked = sweep(f"all_pairs:{WHAT}  heights: [supremum, midpoint]\n")
    found = items(asked)

    assert 12 == len(found["network"])
    assert 3 * 15 == len(found["alignment"])
    assert 3 * 15 * 2 == len(found["barrier"])
    assert 3 * 2 * 2 == len(found["barrier_matrix"])
    assert ["15"] == [str(count) for count in left_out(asked).values()]


def test_pairs_of_both_studies_are_the_same_items() -> None:
    """Pair k of barriers joins seeds 2k and 2k + 1: of 15 pairs three are its own."""
    apart = items(sweep(f"barriers:{WHAT}  worlds: [real]\n"))
    both = items(sweep(f"barriers:{WHAT}  worlds: [real]\nall_pairs:{WHAT}"))
    alone = items(sweep(f"all_pairs:{WHAT}"))

    for kind in ("alignment", "barrier"):
        ids = {one.id for one in alone[kind]}
        assert {one.id for one in apart[kind]} < ids
        assert ids == {one.id for one in both[kind]}


def test_more_networks_leave_the_items_of_pairs_as_they_are() -> None:
    """And of matrices too where the study names how many networks it asks about."""
    few, more = items(sweep(f"all_pairs:{WHAT}")), items(sweep(f"all_pairs:{WHAT}", seeds=9))
    for kind in ("alignment", "barrier"):
        assert {one.id for one in few[kind]} < {one.id for one in more[kind]}
    assert not {one.id for one in few["barrier_matrix"]} & {one.id for one in more["barrier_matrix"]}

    named = sweep(f"all_pairs:{WHAT}  networks: 6\n", seeds=9)
    assert [one.id for one in few["barrier_matrix"]] == [one.id for one in matrices(named)]


def test_a_matrix_requires_the_barriers_of_its_pairs_in_order() -> None:
    """In the order of combinations of the listed seeds."""
    asked = sweep(f"all_pairs:{WHAT}")
    of_pair = {(one.alignment.id, one.split): one.alignment.seeds for one in items(asked)["barrier"]}
    barriers = {one.id: one for one in items(asked)["barrier"]}
    for matrix in matrices(asked):
        required = [barriers[key] for key in matrix.requires]
        assert list(combinations(range(6), 2)) == [of_pair[one.alignment.id, one.split] for one in required]
        assert {matrix.spec.split} == {one.split for one in required}
        assert {matrix.cell_id} == {one.cell_id for one in required}


def test_a_matrix_is_made_anew_from_its_spec() -> None:
    """Whether all pairs were looked at or independent draws; a spec of other barriers is refused."""
    for pairing in ("", "  pairing: iid\n  pairs: 9\n  draw_seed: 2\n"):
        asked = sweep(f"all_pairs:{WHAT}{pairing}")
        networks = {one.id: one for one in items(asked)["network"] if isinstance(one, NetworkItem)}
        for matrix in matrices(asked):
            assert matrix == BarrierMatrixItem.of(matrix.spec, networks)

    with pytest.raises(StoreError, match="other numerics"):
        BarrierMatrixItem.of(replace(matrix.spec, barriers_sha256="0"), networks)


def test_independent_draws_share_items_with_all_pairs() -> None:
    """A pair that is drawn twice is one item, which its matrix names twice."""
    every = {one.id for one in items(sweep(f"all_pairs:{WHAT}"))["barrier"]}
    asked = sweep(f"all_pairs:{WHAT}  pairing: iid\n  pairs: 40\n")
    found = items(asked)

    assert {one.id for one in found["barrier"]} < every
    for matrix in matrices(asked):
        assert 40 == len(matrix.requires) == len(pairs_of(matrix.spec))
        assert max(Counter(matrix.requires).values()) > 1
        assert ("iid", 40, 0) == (matrix.spec.pairing, matrix.spec.num_pairs, matrix.spec.draw_seed)


def test_another_method_height_or_draw_is_another_matrix() -> None:
    """Every option that decides the numbers enters the identity."""
    asked = (
        "  heights: [supremum, midpoint]\n",
        "  networks: 5\n",
        "  pairing: iid\n  pairs: 9\n",
        "  pairing: iid\n  pairs: 9\n  draw_seed: 1\n",
    )
    ids = [one.id for text in asked for one in matrices(sweep(f"all_pairs:{WHAT}{text}"))]

    assert len(ids) == len(set(ids))


@pytest.mark.slow
def test_thirty_thousand_pairs_are_planned_in_seconds() -> None:
    """100 networks of three widths, two methods, two splits: 29,700 alignments, 59,400 curves."""
    text = """
name: pairs
store: runs/pairs
networks:
  - {dataset: mnist, architecture: {name: mlp, width: [4, 16, 64]}, training: {max_epochs: 1}, seeds: 100}
all_pairs: {alignments: [{method: identity}, {method: weight_matching}]}
"""
    start = time.process_time()
    plan = make_plan(parse_sweep(text), None, num_slots=2)

    assert time.process_time() - start < 20
    assert [300, 29_700, 59_400, 12] == [
        plan.num_to_do(kind) for kind in ("network", "alignment", "barrier", "barrier_matrix")
    ]
