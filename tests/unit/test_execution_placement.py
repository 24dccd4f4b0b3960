"""Where batches go when GPUs and CPUs can both compute them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from pretended import PretendedExecutor, all_settled, pretended_plan, pretended_run

from lmc_sweep.config.sweep import Execution, KindResources, Resources
from lmc_sweep.execution.executor import Attempt
from lmc_sweep.execution.placement import ON_CPUS, Placement, kind_of, places, resources
from lmc_sweep.execution.task import Receipt, Task

MEASURED = Execution(num_gpus=0.5, placement="measured", kinds=KindResources(barrier=Resources(num_gpus=0)))
GPU, CPU = "network", "network" + ON_CPUS


def test_only_what_reserves_a_gpu_has_two_places() -> None:
    """A kind that says what it reserves stays there; a place knows its kind and what it takes."""
    assert (GPU, CPU) == places(MEASURED, "network")
    assert ("barrier",) == places(MEASURED, "barrier")
    assert ("network",) == places(Execution(num_gpus=1), "network")
    assert ("network", "network") == (kind_of(GPU), kind_of(CPU))
    assert ((1.0, 0.5), (1.0, 0.0)) == (resources(MEASURED, GPU), resources(MEASURED, CPU))


def run(
    seconds: dict[tuple[int, str], float], batches: dict[int, int], slots: dict[str, int]
) -> tuple[Counter[tuple[int, str]], float]:
    """Where the batches of each group went, and when the last ended; each is estimated at 10 s."""
    placement, now = Placement(MEASURED), 0.0
    left, running = dict(batches), []
    went: Counter[tuple[int, str]] = Counter()
    while any(left.values()) or running:
        for group in sorted(left):
            while left[group]:
                taken = Counter(place for _, _, place in running)
                place = placement.choose(
                    "network",
                    group,
                    10.0,
                    {one: 10.0 * count for one, count in left.items()},
                    slots,
                    lambda place, taken=taken: taken[place] < slots[place],
                )
                if place is None:
                    break
                placement.begun(group, place)
                left[group] -= 1
                went[group, place] += 1
                running.append((now + seconds[group, place], group, place))
        now, group, place = min(running)
        running.remove((now, group, place))
        placement.ended(group, place, 10.0, seconds[group, place])
    return went, now


def test_each_group_goes_where_it_is_quickest() -> None:
    """Training that a GPU does fifty times faster goes there, small searches to CPUs, after two trials."""
    seconds = {(0, GPU): 1.0, (0, CPU): 50.0, (1, GPU): 8.0, (1, CPU): 2.0}
    went, _ = run(seconds, {0: 200, 1: 200}, {GPU: 2, CPU: 4})
    assert went[0, CPU] <= 4
    assert went[1, GPU] < went[1, CPU] / 5  # GPUs that have nothing better to do help out


def test_slower_slots_help_where_they_end_earlier() -> None:
    """CPUs that take three times as long take their share, and the end comes earlier than without them."""
    seconds = {(0, GPU): 10.0, (0, CPU): 30.0}
    went, end = run(seconds, {0: 120}, {GPU: 2, CPU: 6})
    assert pytest.approx(300, rel=0.1) == end  # 2/10 + 6/30 batches per second
    assert went[0, CPU] > 40
    assert end < 120 * 10 / 2


def test_what_cpus_cannot_compute_stays_on_gpus() -> None:
    """Also with all CPUs idle."""
    placement = Placement(MEASURED, needs_gpu=lambda group: group == 0)
    has_room = {GPU: False, CPU: True}.__getitem__
    slots = {GPU: 1, CPU: 8}
    assert placement.choose("network", 0, 1.0, {}, slots, has_room) is None
    assert CPU == placement.choose("network", 1, 1.0, {}, slots, has_room)


def test_a_trial_that_was_lost_is_made_again() -> None:
    """A worker that died tells nothing of its place."""
    placement = Placement(MEASURED)
    slots, anywhere = {GPU: 9, CPU: 9}, lambda place: True
    for _ in range(2):
        placement.begun(0, GPU)
    assert CPU == placement.choose("network", 0, 1.0, {}, slots, anywhere)
    placement.lost(0, GPU)
    assert GPU == placement.choose("network", 0, 1.0, {}, slots, anywhere)


def test_without_machines_of_one_sort_the_other_does_all() -> None:
    """A cluster without GPUs, for the moment."""
    placement = Placement(MEASURED)
    assert CPU == placement.choose("network", 0, 1.0, {}, {GPU: 0, CPU: 2}, lambda place: True)


def test_a_driver_learns_where_batches_are_quick(tmp_path: Path) -> None:
    """Alignments that CPUs do ten times faster go there after their trials, and every item is done once."""
    whole, _ = pretended_plan(tmp_path / "plan", slots=4)
    many = [replace(batch, items=(item,), seconds=30.0) for batch in whole.batches for item in batch.items]
    execution = Execution(num_gpus=1, placement="measured", kinds=MEASURED.kinds)
    plan = replace(whole, sweep=replace(whole.sweep, execution=execution), batches=many)
    went: Counter[str] = Counter()

    def answer(task: Task, attempt: Attempt) -> tuple[float, Receipt]:
        went[attempt.place] += 1
        quick = attempt.place.startswith("alignment") == attempt.place.endswith(ON_CPUS)
        seconds = 10.0 if quick else 100.0
        return seconds, Receipt(tuple(item.id for item in task.items), seconds=seconds)

    executor = PretendedExecutor(answer, slots=4)
    driver = pretended_run(tmp_path, executor, plan=plan)
    driver.run()
    assert all_settled(driver)
    assert len(many) == sum(went.values())
    assert {"network", "alignment" + ON_CPUS, "barrier"} <= set(went)
    assert "barrier" + ON_CPUS not in went
    assert went["alignment" + ON_CPUS] > went["alignment"]


def test_small_groups_go_by_others_of_their_kind() -> None:
    """What ten groups of a few batches each are is learned once, not ten times."""
    seconds = {(group, place): 1.0 if place == GPU else 30.0 for group in range(10) for place in (GPU, CPU)}
    went, _ = run(seconds, dict.fromkeys(range(10), 4), {GPU: 2, CPU: 4})
    assert sum(count for (_, place), count in went.items() if place == CPU) <= 4
