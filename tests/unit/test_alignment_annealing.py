"""Simulated annealing: it finds something, every option acts, and the library is left as it was."""

from __future__ import annotations

import math
import random
import signal
import threading
from dataclasses import replace
from typing import Any

import pytest
import simanneal.anneal
import torch
from digits_mlps import digits, trained

from workers.alignment.align import AlignmentResult, Examples, align
from workers.alignment.annealing import reference, schedule
from workers.alignment.methods import SimulatedAnnealing
from workers.params import rows
from workers.permutation.derive import derive_permutation_spec

PROGRAM, NETWORKS = trained(width=16, depth=1, num_networks=2, epochs=15)
SPEC = derive_permutation_spec(PROGRAM.module)
MEMBERS = [rows(NETWORKS, [0]), rows(NETWORKS, [1])]
EXAMPLES = Examples(PROGRAM, *digits())
METHOD = SimulatedAnnealing(steps=200, engine="simanneal", moves="every_group")


def run(method: SimulatedAnnealing, name: str = "p") -> AlignmentResult:
    """One pair of trained networks."""
    return align(method, MEMBERS, SPEC, names=[name], examples=EXAMPLES)


def test_it_reduces_the_midpoint_error_of_trained_networks() -> None:
    """A thousand steps leave less than half of the error at the midpoint."""
    found = run(replace(METHOD, steps=1000))
    assert float(found.objective_end) < 0.5 * float(found.objective_start)
    assert ["steps_done"] == found.outcome


@pytest.mark.parametrize(
    "change",
    [
        {"objective": "midpoint_loss"},
        {"steps": 201},
        {"start": "random"},
        {"temperature_start": 0.5},
        {"temperature_end": 0.5},
        {"num_examples": 100},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_option_acts(change: dict[str, Any]) -> None:
    """Another value of any option changes the search."""
    found, other = run(METHOD), run(replace(METHOD, **change))
    assert (found.details, found.num_evaluations.tolist()) != (other.details, other.num_evaluations.tolist())


def test_another_name_searches_otherwise() -> None:
    """The streams derive from the name of the pair."""
    assert run(METHOD, "p").permutations[1]["layers.0"].tolist() != (
        run(METHOD, "q").permutations[1]["layers.0"].tolist()
    )


def test_temperatures_given_are_used_and_recorded() -> None:
    """A hot run accepts nearly all moves, a cold one few; both say what they did."""
    hot = run(replace(METHOD, temperature_start=100.0, temperature_end=90.0)).details[0]
    cold = run(replace(METHOD, temperature_start=1e-9, temperature_end=1e-9)).details[0]
    assert (100.0, 90.0, "given") == (
        hot["temperature_start"],
        hot["temperature_end"],
        hot["temperature_rule"],
    )
    assert min(hot["acceptance"]) > 0.95
    assert max(cold["acceptance"]) < 0.8


def test_the_rule_accepts_a_typical_uphill_move_as_stated() -> None:
    """Temperature at the start: exp(-mean uphill step / T) is the stated probability."""
    details = run(METHOD).details[0]
    ratio = details["temperature_end"] / details["temperature_start"]
    assert pytest.approx(schedule.COOLING) == ratio
    quantum = 1.0 / len(EXAMPLES.labels)  # uphill steps of an error are at least one example
    assert details["temperature_start"] >= quantum / -math.log(schedule.ACCEPTED_AT_START)


def test_more_examples_than_there_are_is_refused() -> None:
    """The subset must exist."""
    with pytest.raises(ValueError, match="num_examples is 5000, but there are only 1438"):
        run(replace(METHOD, num_examples=5000))


def test_it_needs_its_examples() -> None:
    """Without an objective there is nothing to measure."""
    with pytest.raises(ValueError, match="give it examples"):
        align(METHOD, MEMBERS, SPEC, names=["p"])


def test_the_library_and_the_process_are_left_as_they_were(capfd: pytest.CaptureFixture[str]) -> None:
    """The signal handler and the library's own names are untouched; nothing is printed."""
    handler = signal.getsignal(signal.SIGINT)
    before = simanneal.anneal.random, simanneal.anneal.signal
    run(METHOD)
    assert handler is signal.getsignal(signal.SIGINT)
    assert before == (simanneal.anneal.random, simanneal.anneal.signal)
    assert ("", "") == tuple(capfd.readouterr())


def test_the_global_random_state_has_no_say() -> None:
    """Whatever seed the process has set for the library's module, the search is the same."""
    state = random.getstate()
    try:
        random.seed(1)
        first = run(METHOD)
        random.seed(2)
        second = run(METHOD)
    finally:
        random.setstate(state)
    assert first.permutations[1]["layers.0"].tolist() == second.permutations[1]["layers.0"].tolist()
    assert first.details == second.details


def test_an_interrupt_passes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the middle of a search is not swallowed, and the library is restored."""
    before = simanneal.anneal.random

    def interrupted(self: Any) -> float:
        raise KeyboardInterrupt

    monkeypatch.setattr(reference._Annealer, "move", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(METHOD)
    assert before is simanneal.anneal.random


def test_threads_get_what_the_main_thread_gets() -> None:
    """Off the main thread, and several at once, the results are the same."""
    found: dict[str, list[int]] = {}

    def search(name: str) -> None:
        found[name] = run(METHOD, name).permutations[1]["layers.0"].tolist()

    threads = [threading.Thread(target=search, args=(name,)) for name in "pqr"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {name: run(METHOD, name).permutations[1]["layers.0"].tolist() for name in "pqr"} == found


def test_networks_without_an_uphill_move_are_searched() -> None:
    """Two equal networks of one unit: no move changes anything, and the search ends as it began."""
    program, networks = trained(width=1, depth=1, num_networks=1, epochs=1)
    found = align(
        METHOD,
        [networks, networks],
        derive_permutation_spec(program.module),
        names=["p"],
        examples=Examples(program, *digits()),
    )
    assert torch.equal(found.objective_start, found.objective_end)
