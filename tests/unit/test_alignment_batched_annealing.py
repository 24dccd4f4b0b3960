"""The batched annealer: chains, starts, budgets, traces, and what it owes to the reference engine."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from digits_mlps import digits, trained

from workers.alignment.align import AlignmentResult, Examples, align
from workers.alignment.annealing import schedule, search
from workers.alignment.annealing.course import Course
from workers.alignment.annealing.moves import bounds, drawn
from workers.alignment.annealing.problem import Problem
from workers.alignment.methods import SimulatedAnnealing, StraightThrough, WeightMatching
from workers.params import row, rows
from workers.permutation.derive import derive_permutation_spec

PROGRAM, NETWORKS = trained(width=16, depth=1, num_networks=4, epochs=15)
SPEC = derive_permutation_spec(PROGRAM.module)
MEMBERS = [rows(NETWORKS, [k]) for k in range(4)]
EXAMPLES = Examples(PROGRAM, *digits())
METHOD = SimulatedAnnealing(steps=400)


def run(method: SimulatedAnnealing, num_members: int = 2, name: str = "p", **options: Any) -> AlignmentResult:
    """Some trained networks."""
    return align(method, MEMBERS[:num_members], SPEC, names=[name], examples=EXAMPLES, **options)


def problem_of(objective: str, num_members: int) -> Problem:
    """What is minimized."""
    members = [row(member, 0) for member in MEMBERS[:num_members]]
    return Problem(members, SPEC, "p", EXAMPLES, objective)


@pytest.mark.parametrize(
    "change",
    [
        {"objective": "midpoint_loss"},
        {"objective": "pairwise_barrier"},
        {"steps": 401},
        {"moves": "every_group"},
        {"start": "random"},
        {"start": WeightMatching()},
        {"restarts": 2},
        {"acceptance": "greedy"},
        {"temperature_start": 0.5},
        {"temperature_end": 0.5},
        {"num_examples": 100},
        {"engine": "simanneal"},
        {"max_evaluations": 200},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_option_acts(change: dict[str, Any]) -> None:
    """Another value of any option changes the search of three networks."""
    method = replace(METHOD, objective="average_error")
    if change.get("objective") == "midpoint_loss":
        found, other = run(METHOD), run(replace(METHOD, **change))
    else:
        found, other = run(method, 3), run(replace(method, **change), 3)
    assert (found.details, found.num_evaluations.tolist()) != (other.details, other.num_evaluations.tolist())


def test_both_engines_find_alike() -> None:
    """Over five names, the means of what 2,000 steps of both engines reach differ by less than 0.01."""
    method = replace(METHOD, steps=2000)
    reached = {
        engine: np.mean([float(run(replace(method, engine=engine), name=n).objective_end) for n in "abcde"])
        for engine in ("batched", "simanneal")
    }
    assert reached["batched"] < 0.3 * float(run(replace(method, steps=1)).objective_start)
    assert pytest.approx(reached["simanneal"], abs=0.01) == reached["batched"]


@pytest.mark.parametrize(
    ("objective", "num_members"), [("midpoint_error", 2), ("average_error", 4), ("pairwise_barrier", 4)]
)
def test_objectives_are_those_of_the_states(objective: str, num_members: int) -> None:
    """Start and end are recomputed by another formula: every network permuted and averaged by hand."""
    found = run(replace(METHOD, objective=objective), num_members)  # type: ignore[arg-type]
    assert float(found.objective_end) < 0.6 * float(found.objective_start)
    inputs, labels = digits()

    def error(weights: dict[str, torch.Tensor]) -> float:
        hidden = (inputs @ weights["layers.0.weight"].T + weights["layers.0.bias"]).relu()
        logits = hidden @ weights["layers.1.weight"].T + weights["layers.1.bias"]
        return float((logits.argmax(dim=1) != labels).double().mean())

    permuted = []
    for k, member in enumerate(MEMBERS[:num_members]):
        one, index = row(member, 0), found.permutations[k]["layers.0"][0]
        permuted.append(
            {
                "layers.0.weight": one["layers.0.weight"][index],
                "layers.0.bias": one["layers.0.bias"][index],
                "layers.1.weight": one["layers.1.weight"][:, index],
                "layers.1.bias": one["layers.1.bias"],
            }
        )

    def mean(networks: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        return {name: torch.stack([one[name] for one in networks]).mean(dim=0) for name in networks[0]}

    if objective == "pairwise_barrier":
        pairs = [(a, b) for a in range(num_members) for b in range(a)]
        barriers = [
            error(mean([permuted[a], permuted[b]])) - (error(permuted[a]) + error(permuted[b])) / 2
            for a, b in pairs
        ]
        expected = sum(barriers) / len(pairs)
    else:
        expected = error(mean(permuted))
    assert pytest.approx(expected, abs=1.5 / len(labels)) == float(found.objective_end)


def test_the_best_of_all_chains_is_returned() -> None:
    """Eight chains: the result is the least of what they found, and chain 0 goes as it goes alone."""
    alone, together = run(METHOD), run(replace(METHOD, restarts=8))
    chains = together.details[0]["chains"]
    assert 8 == len(chains) == len(together.traces[0])
    assert min(chains) == float(together.objective_end)
    assert chains[0] == float(alone.objective_end)
    assert alone.traces[0][0].objective == together.traces[0][0].objective
    assert len({tuple(trace.objective) for trace in together.traces[0]}) > 1


def test_a_refined_start_never_ends_worse() -> None:
    """The start is what the other method finds, its energy is the objective's start, the end is no worse."""
    matched = align(WeightMatching(), MEMBERS[:2], SPEC, names=["p"])
    problem = problem_of("midpoint_error", 2)
    state = problem.state_of([{g: i[0] for g, i in one.items()} for one in matched.permutations])
    for steps in (1, 400):
        found = run(replace(METHOD, steps=steps, start=WeightMatching()))
        assert problem.energy(state) == float(found.objective_start)
        assert float(found.objective_end) <= float(found.objective_start)
        assert "weight_matching" == found.details[0]["start"]["method"]
        assert float(found.seconds) >= found.traces[0][0].seconds[0] > 0.0


def test_greedy_takes_improvements_alone() -> None:
    """Energies only fall, and moves that change nothing are not taken."""
    found = run(replace(METHOD, acceptance="greedy"))
    (trace,) = found.traces[0]
    assert all(later <= before for before, later in pairwise(trace.objective))
    assert trace.objective == trace.best
    flat = [{name: torch.zeros_like(tensor) for name, tensor in MEMBERS[0].items()}] * 2
    equal = align(replace(METHOD, acceptance="greedy"), flat, SPEC, names=["p"], examples=EXAMPLES)
    assert [0.0] * 10 == equal.details[0]["acceptance"]


def test_temperatures_fall_exponentially_between_those_told() -> None:
    """The trace's temperatures are T0 (T1 / T0)^(k / steps), by the rule or as given."""
    found = run(replace(METHOD, temperature_end=1e-4))
    (trace,), details = found.traces[0], found.details[0]
    hot = details["temperature_start"]
    before = trace.evaluations[0]
    assert 1e-4 == details["temperature_end"]
    expected = [hot * (1e-4 / hot) ** ((k - before) / 400) for k in trace.evaluations]
    assert pytest.approx(expected) == list(trace.temperature)
    assert schedule.RULE == details["temperature_rule"]
    assert 1 + schedule.NUM_PROBES == before


def test_the_rule_accepts_the_mean_rise_as_stated() -> None:
    """Of rises 1 and 3, with falls and infinities left out, T is such that 2 is accepted one time in ten."""
    hot, cold = schedule.from_probes(METHOD, [1.0, -5.0, 3.0, 0.0, math.inf])
    assert pytest.approx(schedule.ACCEPTED_AT_START) == math.exp(-2.0 / hot)
    assert pytest.approx(schedule.COOLING * hot) == cold


def test_a_rise_is_accepted_with_the_metropolis_probability() -> None:
    """A rise of 0.7 at T = 0.5 keeps its bound with probability exp(-1.4), to four standard errors."""
    _, uniform = next(drawn([5], False, "test"))
    accepted = (bounds(uniform, np.full(len(uniform), 0.5)) >= 0.7).mean()
    assert pytest.approx(math.exp(-1.4), abs=4 * 0.5 / math.sqrt(len(uniform))) == accepted


def test_moves_are_uniform_over_groups_and_pairs() -> None:
    """Slots of one unit never move; the two places differ, and all pairs of a group come equally often."""
    moves, _ = next(drawn([3, 1, 3], False, "test"))
    assert not bool((moves.slots == 1).any())
    counts = np.zeros((3, 3, 3))
    np.add.at(counts, (moves.slots[:, 0], moves.firsts[:, 0], moves.seconds[:, 0]), 1)
    assert 0 == counts[:, np.arange(3), np.arange(3)].sum()
    mean = len(moves) / 12
    assert float(np.abs(counts[[0, 2]].sum() - len(moves))) == 0
    off_diagonal = counts[[0, 2]][:, ~np.eye(3, dtype=bool)]
    assert np.abs(off_diagonal - mean).max() < 5 * math.sqrt(mean)


@pytest.mark.parametrize("bound", [1, 50, 150, 300, 10_000])
@pytest.mark.parametrize("start", ["identity", "random"])
def test_evaluations_are_bounded(bound: int, start: Any) -> None:
    """Probes, proposals and full evaluations of two chains together stay within the bound."""
    found = run(replace(METHOD, restarts=2, start=start, max_evaluations=bound))
    assert int(found.num_evaluations) <= bound
    assert ("steps_done" if bound == 10_000 else "max_evaluations") == found.outcome[0]
    assert float(found.objective_end) <= float(found.objective_start)


def test_time_is_bounded() -> None:
    """A search of more steps than there is time for stops soon after its time, and says so."""
    found = run(replace(METHOD, steps=100_000_000, max_seconds=0.3))
    assert "max_seconds" == found.outcome[0]
    assert 0.3 <= float(found.seconds) < 5.0
    assert float(found.objective_end) < float(found.objective_start)
    (trace,) = found.traces[0]
    assert trace.evaluations[-1] <= int(found.num_evaluations)


@pytest.mark.parametrize("start", ["identity", "random", WeightMatching()])
def test_no_part_of_a_search_begins_after_its_time(start: Any) -> None:
    """With no time at all only the start is evaluated, and it is the result; the chains leave no trace."""
    method = replace(METHOD, restarts=3, start=start, max_seconds=1e-9)
    found = run(method)
    assert ["max_seconds"] == found.outcome
    assert 1 == int(found.num_evaluations)
    assert () == found.traces[0]
    assert float(found.objective_end) == float(found.objective_start)
    assert found.details[0]["temperature_start"] is None
    assert [] == found.details[0]["chains"]


def test_probes_are_broken_off_when_the_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is up after so many looks: what was evaluated is counted, and no chain makes a step."""
    for looks in range(3, 60, 7):
        left = iter([False] * looks)
        monkeypatch.setattr(search._Clock, "is_up", lambda *_, left=left: next(left, True))
        found = run(replace(METHOD, restarts=2), max_bytes=1e5)
        assert ["max_seconds"] == found.outcome
        assert 1 + looks - 2 == int(found.num_evaluations)
        assert float(found.objective_end) == float(found.objective_start)


def test_a_trace_tells_the_course() -> None:
    """About a hundred points, first and last included; the best is the least so far; clocks only go on."""
    (trace,) = run(replace(METHOD, steps=20_000)).traces[0]
    assert 80 <= len(trace.evaluations) <= 102
    assert 101 == trace.evaluations[0]
    assert 20_101 == trace.evaluations[-1]
    assert all(a < b for a, b in pairwise(trace.evaluations))
    assert all(a <= b for a, b in pairwise(trace.seconds))
    assert all(a >= b for a, b in pairwise(trace.best))
    assert all(best <= present for best, present in zip(trace.best, trace.objective, strict=True))
    assert all(0.0 <= share <= 1.0 for share in trace.acceptance)
    assert np.mean(trace.acceptance[1:20]) > np.mean(trace.acceptance[-5:])


def test_little_memory_changes_speed_alone() -> None:
    """Chains one after another, rows formed when they are needed: the same search."""
    method = replace(METHOD, steps=60, restarts=3)
    roomy, tight = run(method), run(method, max_bytes=1e5)
    assert roomy.details[0]["chains"] == tight.details[0]["chains"]


def test_an_energy_that_is_not_finite_at_the_start_is_an_outcome() -> None:
    """Weights so large that the loss overflows: the identity is kept, and nothing is searched."""
    huge = [{name: tensor * 1e30 for name, tensor in member.items()} for member in MEMBERS[:2]]
    method = replace(METHOD, objective="midpoint_loss")
    found = align(method, huge, SPEC, names=["p"], examples=EXAMPLES)
    assert ["non_finite"] == found.outcome
    assert list(range(16)) == found.permutations[1]["layers.0"][0].tolist()
    assert bool(found.objective_end.isnan())


def test_a_chain_that_ends_where_the_loss_overflows_is_told_as_null(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told of chains is JSON by the standard, without NaN; the best of the others is returned."""
    full = Course.full_energy
    monkeypatch.setattr(
        Course, "full_energy", lambda self, chain: full(self, chain) if chain.number == 1 else math.nan
    )
    found = run(replace(METHOD, restarts=3))
    first, second, third = json.loads(json.dumps(found.details[0], allow_nan=False))["chains"]
    assert None in (first, third)
    assert float(found.objective_end[0]) == second


def test_the_compiler_is_not_loaded_before_it_is_needed() -> None:
    """Importing the annealer does not import numba; searching networks that are compiled for does."""
    code = "import sys, workers.alignment.simulated_annealing as _; sys.exit('numba' in sys.modules)"
    assert 0 == subprocess.run([sys.executable, "-c", code], check=False).returncode


def test_a_refinement_begins_colder_and_ends_alike() -> None:
    """From another method's result T begins at a tenth of what the rule says, and ends where it says."""
    refining = replace(METHOD, start=WeightMatching())
    rises = [1.0, 3.0]
    (hot, cold), (refined, end) = (schedule.from_probes(method, rises) for method in (METHOD, refining))
    assert pytest.approx(schedule.REFINED * hot) == refined
    assert cold == end
    assert 7.0 == schedule.from_probes(replace(refining, temperature_end=7.0), rises)[0]


def test_the_time_bounds_the_start_too() -> None:
    """A start that would take minutes is broken off, and what was found is kept."""
    start = StraightThrough(steps=1_000_000)
    found = run(replace(METHOD, start=start, max_seconds=0.3))
    assert "max_seconds" == found.details[0]["start"]["outcome"]
    assert float(found.objective_end) <= float(found.objective_start)
    assert float(found.seconds[0]) < 30
