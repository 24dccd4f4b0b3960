"""Batches of another size: which are split or joined while a run goes, and what stays as it was."""

from __future__ import annotations

import itertools
import math
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmc_sweep.config import parse_sweep
from lmc_sweep.execution.schedule import Schedule
from lmc_sweep.execution.sizing import resized
from lmc_sweep.execution.work import Work
from lmc_sweep.planning.batching import Batch
from lmc_sweep.planning.items import Item, items, trajectory
from lmc_sweep.planning.resizing import (
    AIM_SECONDS,
    LONGEST_SECONDS,
    Load,
    halves,
    joined,
    load,
    split,
    trajectories,
)


@cache
def networks() -> tuple[Item, ...]:
    """Sixty networks of which every three are one run of training, saved along the way."""
    sweep = parse_sweep(
        """
        name: resized
        store: s
        networks:
          - {dataset: digits, architecture: {name: mlp, width: 4}, seeds: 20,
             training: {max_epochs: 30, save_at: [1, 5, 30]}}
        """
    )
    return tuple(items(sweep)["network"])


def epochs(item: Item) -> float:
    return float(item.spec.training.num_epochs)  # type: ignore[union-attr]


def ids(batches: tuple[Batch, ...] | list[Batch]) -> list[str]:
    return [item.id for batch in batches for item in batch.items]


@given(
    count=st.integers(1, 60),
    seconds=st.floats(1e-3, 1e5),
    scale=st.floats(1e-2, 1e3),
    smallest=st.integers(1, 8),
)
def test_a_split_keeps_items_seconds_and_trajectories(
    count: int, seconds: float, scale: float, smallest: int
) -> None:
    """Every item is in one part, the seconds sum up, no trajectory is cut, and no part is too small."""
    batch = Batch("network", networks()[:count], seconds)
    parts = split(batch, scale, epochs, smallest)
    assert sorted(ids([batch])) == sorted(ids(parts))
    assert math.isclose(seconds, sum(part.seconds for part in parts), rel_tol=1e-9)
    found = [{trajectory(item) for item in part.items} for part in parts]
    assert sum(map(len, found)) == len(set().union(*found))
    if len(parts) > 1:
        assert min(map(len, found)) >= smallest
        assert scale * seconds > LONGEST_SECONDS


@given(count=st.integers(2, 20), seconds=st.floats(61.0, 1e4))
def test_parts_of_equal_items_are_about_as_long_as_aimed_at(count: int, seconds: float) -> None:
    """Unless one item alone takes longer, no part takes more than twice the aim."""
    alike = networks()[40 : 40 + count]
    parts = split(Batch("network", alike, seconds), 1.0, epochs)
    assert max(part.seconds for part in parts) <= max(2 * AIM_SECONDS, seconds / count + 1e-9)


@given(count=st.integers(2, 60))
def test_halves_keep_every_item_once(count: int) -> None:
    """Both halves hold something; only what is one trajectory alone is cut through it."""
    batch = Batch("network", networks()[:count], 7.0)
    first, second = halves(batch)
    assert sorted(ids([batch])) == sorted(ids([first, second]))
    assert 7.0 == pytest.approx(first.seconds + second.seconds)
    assert first.items
    assert second.items
    if len(trajectories(batch.items)) > 1:
        assert {trajectory(i) for i in first.items}.isdisjoint(trajectory(i) for i in second.items)


def test_what_is_short_or_alone_is_not_split() -> None:
    """A minute is not too long, and a single run of training cannot be split."""
    whole = Batch("network", networks(), 60.0)
    alone = Batch("network", trajectories(networks())[0], 1e6)
    assert ((whole,), (alone,)) == (split(whole, 1.0, epochs), split(alone, 1.0, epochs))


@given(cuts=st.sets(st.integers(1, 19)))
def test_joining_takes_back_what_was_cut(cuts: set[int]) -> None:
    """The parts of a batch joined are its items, its seconds, its load."""
    runs = trajectories(networks())
    bounds = [0, *sorted(cuts), len(runs)]
    parts = [
        Batch("network", tuple(item for run in runs[a:b] for item in run), float(b - a))
        for a, b in itertools.pairwise(bounds)
    ]
    whole = joined(parts)
    assert (ids(parts), 20.0) == (ids([whole]), whole.seconds)
    together = load(parts[0], 2e9)
    for part in parts[1:]:
        together = together + load(part, 2e9)
    assert load(whole, 2e9) == together


def test_a_load_keeps_the_aim_and_the_memory_bound() -> None:
    """Twenty-five measured seconds, and as many copies as fit side by side."""
    assert Load(2, 100, 25.0).is_within(1.0, 200.0)
    assert not Load(2, 100, 25.1).is_within(1.0, 200.0)
    assert not Load(2, 100, 12.6).is_within(2.0, 200.0)
    assert not Load(3, 100, 1.0).is_within(1.0, 299.0)


def singles(seconds: float, count: int = 20) -> list[Batch]:
    """Batches of one whole trajectory each."""
    return [Batch("network", run, seconds) for run in trajectories(networks())[:count]]


def taken(schedule: Schedule, scale: float, num_slots: int = 2, max_bytes: float = 2e9) -> Work:
    """The next work in the size that suits a scale."""
    work = schedule.take(lambda kind: True)
    assert work is not None
    return resized(work, schedule, scale, num_slots, max_bytes, epochs, 1)


def test_short_batches_of_a_group_are_joined_while_every_slot_keeps_work() -> None:
    """Twenty batches of a second on two slots: ten together. On twenty slots none is joined."""
    assert 10.0 == taken(Schedule(singles(1.0)), scale=1.0).batch.seconds
    assert 1.0 == taken(Schedule(singles(1.0)), scale=1.0, num_slots=20).batch.seconds
    assert 5.0 == taken(Schedule(singles(1.0)), scale=5.0).batch.seconds
    assert 1.0 == taken(Schedule(singles(1.0)), scale=11.0).batch.seconds


def test_memory_bounds_what_is_joined() -> None:
    """No more trajectories side by side than fit."""
    one = load(singles(1.0)[0], 2e9).largest_bytes
    assert 3.0 == taken(Schedule(singles(1.0)), scale=1.0, max_bytes=3.5 * one).batch.seconds


def test_nothing_is_joined_with_what_was_attempted_before() -> None:
    """What went wrong once runs alone, and does not draw others in."""
    schedule = Schedule([])
    for number, batch in enumerate(singles(1.0, 6)):
        schedule.add(Work(batch, number=1 + number % 2))
    found = []
    while schedule:
        found.append(taken(schedule, 1.0, num_slots=1))
    assert all(len(work.batch.items) == 3 for work in found if work.number > 1)
    assert 6 * 3 == sum(len(work.batch.items) for work in found)


def test_a_long_batch_is_split_and_the_rest_goes_back(tmp_path: Path) -> None:
    """Of 20 trajectories that take 200 s one part of about 25 s is taken, and the others are ready."""
    whole = joined(singles(10.0))
    schedule = Schedule([whole])
    first = taken(schedule, scale=1.0)
    assert 20.0 <= first.batch.seconds <= 30.0
    rest = []
    while schedule:
        rest.append(taken(schedule, 1.0))
    assert sorted(ids([whole])) == sorted(ids([first.batch, *(work.batch for work in rest)]))
    assert {1} == {work.number for work in rest}
