"""From items to batches."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lmc_sweep.config import parse_sweep
from lmc_sweep.planning.batching import batches, group_key
from lmc_sweep.planning.cost import item_seconds, working_bytes
from lmc_sweep.planning.items import items

SWEEP = items(
    parse_sweep(
        """
        name: b
        store: s
        networks: [{dataset: [digits, mnist], architecture: {name: mlp, width: [4, 64]}, seeds: 20}]
        barriers: {alignments: [{method: identity}, {method: simulated_annealing}]}
        """
    )
)


def seconds(item: object) -> float:
    """The cost model on a machine of 50 GFLOP/s."""
    return item_seconds(item, None, 5e10)  # type: ignore[arg-type]


@given(max_stack_bytes=st.floats(1e5, 1e10), num_slots=st.integers(1, 16))
def test_every_item_is_in_exactly_one_batch(max_stack_bytes: float, num_slots: int) -> None:
    """Batches partition the items, whatever the bounds."""
    made = batches(SWEEP, seconds, max_stack_bytes, num_slots)
    batched = [item.id for batch in made for item in batch.items]
    assert sorted(item.id for of_kind in SWEEP.values() for item in of_kind) == sorted(batched)


@given(max_stack_bytes=st.floats(1e5, 1e10))
def test_stacks_stay_within_memory(max_stack_bytes: float) -> None:
    """A batch of more than one item is within max_stack_bytes."""
    for batch in batches(SWEEP, seconds, max_stack_bytes, 2):
        assert len(batch.items) == 1 or sum(map(working_bytes, batch.items)) <= max_stack_bytes


def test_a_batch_shares_one_program() -> None:
    """All items of a batch have the same group key."""
    for batch in batches(SWEEP, seconds, 2e9, 2):
        assert 1 == len({group_key(item) for item in batch.items})


def test_kinds_come_in_order_of_dependency_and_the_longest_first() -> None:
    """Networks, then alignments, then barriers; within a kind by falling estimate."""
    made = batches(SWEEP, seconds, 2e9, 2)
    order = {"network": 0, "alignment": 1, "barrier": 2}
    keys = [(order[batch.kind], -batch.seconds) for batch in made]
    assert sorted(keys) == keys


def test_batch_ids_are_their_items() -> None:
    """The same items make the same batch id, in every run."""
    first, second = batches(SWEEP, seconds, 2e9, 2), batches(SWEEP, seconds, 2e9, 2)
    assert [batch.id for batch in first] == [batch.id for batch in second]
    assert len(first) == len({batch.id for batch in first})


def test_a_task_has_an_item_for_each_of_its_threads() -> None:
    """However long the items, a batch is not split below the threads of a task, but below the memory is."""
    networks = [item for item in SWEEP["network"] if item.spec.dataset == "mnist"][:8]
    for num_threads, expected in ((1, 8), (2, 4), (3, 3), (16, 1)):
        made = batches({"network": networks}, lambda item: 1e6, 2e9, 1, threads={"network": num_threads})
        assert expected == len(made)
    bounded = batches({"network": networks}, lambda item: 1e6, 1.0, 1, threads={"network": 16})
    assert 8 == len(bounded)
