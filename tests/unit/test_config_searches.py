"""Alignment methods of a sweep file: what they become, and what is refused before anything runs."""

from __future__ import annotations

import pytest

from lmc_sweep.config import parse_sweep
from lmc_sweep.config.applicability import log10_permutations, too_many
from lmc_sweep.errors import SweepError
from lmc_sweep.planning.items import left_out
from workers.alignment.methods import (
    METHODS,
    BruteForce,
    Method,
    NodeSort,
    SimulatedAnnealing,
    Sinkhorn,
    WeightMatching,
)
from workers.specs import DataSpec, MLPSpec, ResNetSpec


def text(
    alignments: str, worlds: str = "[real, model]", width: str = "4", depth: str = "1", more: str = ""
) -> str:
    """A small sweep."""
    return f"""
    name: searches
    store: runs/searches
    networks:
      - {{dataset: digits, architecture: {{name: mlp, width: {width}, depth: {depth}}}, seeds: 6}}
    barriers: {{worlds: {worlds}, alignments: {alignments}, {more}}}
    """


def methods(alignments: str, **options: str) -> list[Method]:
    """The methods of a sweep that is taken."""
    study = parse_sweep(text(alignments, **options)).barriers
    assert study is not None
    return list(study.alignments)


def refusal(alignments: str, **options: str) -> str:
    """The message with which a sweep is refused: one line."""
    with pytest.raises(SweepError) as caught:
        parse_sweep(text(alignments, **options), "bad.yaml")
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix("bad.yaml: barriers.")


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_read_with_its_defaults(name: str) -> None:
    """The name alone is the method with the defaults of its class."""
    if name == "node_sort":
        assert [NodeSort()] == methods("[{method: node_sort}]")
    else:
        assert [METHODS[name]()] == methods(f"[{{method: {name}}}]")


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("identity", "identity"),
        ("random", "random"),
        ("{method: random}", "random"),
        ("{method: identity}", "identity"),
        ("weight_matching", WeightMatching()),
        ("{method: weight_matching}", WeightMatching()),
        ("{method: weight_matching, restarts: 3}", WeightMatching(restarts=3)),
        ("sinkhorn", Sinkhorn()),
    ],
)
def test_a_start_by_name_is_that_method_with_its_defaults(start: str, expected: object) -> None:
    """A name and a mapping that says the same become one value, and so one identity."""
    (found,) = methods(f"[{{method: simulated_annealing, start: {start}}}]")
    assert isinstance(found, SimulatedAnnealing)
    assert expected == found.start


def test_lists_under_a_start_are_axes() -> None:
    """Starts and their options unroll like all else."""
    found = methods(
        "[{method: simulated_annealing, steps: 10, "
        "start: [identity, {method: weight_matching, restarts: [2, 3]}]}]"
    )
    assert [
        SimulatedAnnealing(steps=10),
        SimulatedAnnealing(steps=10, start=WeightMatching(restarts=2)),
        SimulatedAnnealing(steps=10, start=WeightMatching(restarts=3)),
    ] == found


def test_an_option_is_dropped_where_it_has_no_effect() -> None:
    """In a grid over both objectives, minibatches vary the one that has any; the other is one method."""
    found = methods("[{method: sinkhorn, objective: [weights, midpoint_loss], batch_size: [100, 200]}]")
    assert [
        Sinkhorn(),
        Sinkhorn(objective="midpoint_loss", batch_size=100),
        Sinkhorn(objective="midpoint_loss", batch_size=200),
    ] == found


SA = "method: simulated_annealing"
REFUSED = [
    (f"[{{{SA}, temperature_start: 1, temperature_end: 2}}]", "temperature_end: must not exceed"),
    (f"[{{{SA}, acceptance: greedy, temperature_end: 1}}]", "alignments[0].temperature_end: has no effect"),
    (f"[{{{SA}, engine: simanneal, restarts: 2}}]", "alignments[0].restarts: is not for engine simanneal"),
    (f"[{{{SA}, engine: simanneal, max_seconds: 2}}]", "max_seconds: is not for engine simanneal"),
    (f"[{{{SA}, engine: simanneal, max_evaluations: 2}}]", "max_evaluations: is not for engine simanneal"),
    (f"[{{{SA}, engine: simanneal, acceptance: greedy}}]", "acceptance: is not for engine simanneal"),
    (f"[{{{SA}, engine: simanneal, objective: average_error}}]", "objective: average_error is not for"),
    (f"[{{{SA}, start: brute_force}}]", "alignments[0].start: unknown start 'brute_force'"),
    (f"[{{{SA}, start: wm}}]", "Did you mean 'weight_matching'? Known starts: identity, random"),
    (f"[{{{SA}, start: {{method: weight_matching, restart: 2}}}}]", "start: unknown key 'restart'"),
    (f"[{{{SA}, start: {{method: weight_matching, restarts: 0}}}}]", "start.restarts: must be at least 1"),
    (f"[{{{SA}, start: {{method: node_sort, key: power}}}}]", "start: 'power' is missing"),
    (f"[{{{SA}, start: {{method: sinkhorn, batch_size: 9}}}}]", "start.batch_size: has no effect"),
    (f"[{{{SA}, start: {{restarts: 3}}}}]", "start: 'method' is missing"),
    (f"[{{{SA}, max_seconds: 0}}]", "max_seconds: must be greater than 0, not 0"),
    (f"[{{{SA}, max_evaluations: 0}}]", "max_evaluations: must be at least 1, not 0"),
    (f"[{{{SA}, num_examples: 9999}}]", "digits has 1438 training examples, not 9999"),
    ("[{method: brute_force, num_examples: 9999}]", "digits has 1438 training examples, not 9999"),
    ("[{method: brute_force, num_examples: 1438}]", "num_examples: names all training examples"),
    ("[{method: node_sort, power: 2}]", "alignments[0].power: has no effect: key is lexicographic"),
    ("[{method: node_sort, key: power}]", "'power' is missing"),
    ("[{method: sinkhorn, entropy_end: 2}]", "entropy_end: must not exceed entropy_start (1), not 2"),
    ("[{method: sinkhorn, batch_size: 9}]", "batch_size: has no effect: objective weights looks at no"),
    ("[{method: sinkhorn, num_examples: 9}]", "num_examples: has no effect"),
    ("[{method: weight_matching, order: forward}]", "order: has no effect: with one hidden layer"),
    ("[{method: weight_matching, order: down}]", "unknown order 'down'. Known orders: random, forward,"),
]


@pytest.mark.parametrize(("alignments", "expected"), REFUSED)
def test_refused(alignments: str, expected: str) -> None:
    """Each broken rule is told on one line, with its key."""
    assert expected in refusal(alignments)


def test_matching_looks_at_no_more_examples_than_there_are() -> None:
    """The default of a matching method may exceed the training examples: it is a bound."""
    assert 1 == len(methods("[{method: activation_matching, num_examples: 5000}]"))


def test_the_oracle_needs_a_world_of_known_answer() -> None:
    """In the real world alone it is refused; beside others it is planned for those."""
    assert "it undoes what was planted, and in world real nothing is" in refusal(
        "[{method: oracle}]", worlds="[real]"
    )
    sweep = parse_sweep(text("[{method: oracle}]", worlds="[real, planted]"))
    assert ["3"] == [str(count) for count in left_out(sweep).values()]


def test_too_many_permutations_are_refused_with_their_number_and_a_time() -> None:
    """Where no cell is small enough the refusal tells the least of them: 16! and years."""
    message = refusal("[{method: brute_force}]", width="16")
    assert (
        "mlp of width 16 and depth 1 has 2.1e+13 permutations, more than max_permutations (4000000)"
        in message
    )
    assert "at 1438 examples they would take about 7" in message
    assert "years. Raise max_permutations" in message
    assert "(set by" not in message


def test_a_bound_counts_exactly() -> None:
    """As many permutations as the bound are searched, one more is not."""
    data, spec = DataSpec(dataset="digits"), MLPSpec(width=6)
    assert too_many(BruteForce(max_permutations=720), spec, data) is None
    assert too_many(BruteForce(max_permutations=719), spec, data) is not None
    assert log10_permutations((3, 3)) == pytest.approx(1.5563, abs=1e-4)
    huge = too_many(BruteForce(), ResNetSpec(), DataSpec(dataset="cifar10"))
    assert huge is not None
    assert "years" in huge


def test_noise_without_the_planted_world_is_refused() -> None:
    """Levels of noise have no effect in other worlds; negative and repeated ones have no meaning."""
    noise = "planted_noise: [0, 0.3]"
    assert "planted_noise: has no effect" in refusal("[{method: identity}]", more=noise)
    for bad, expected in (("[-1]", "must be at least 0"), ("[0.1, 0.1]", "repeats [0]"), ("[]", "an empty")):
        assert expected in refusal("[{method: identity}]", worlds="[planted]", more=f"planted_noise: {bad}")


def test_layers_are_a_word_or_a_list() -> None:
    """One word is a list of one; an unknown one lists those that are known."""
    for layers, expected in (("each", ("each",)), ("[all, cumulative]", ("all", "cumulative"))):
        study = parse_sweep(
            text("[{method: identity}]", more=f"interpolation: {{layers: {layers}}}")
        ).barriers
        assert study is not None
        assert expected == study.interpolation.layers
    message = refusal("[{method: identity}]", more="interpolation: {layers: some}")
    assert "unknown layer 'some'. Known layers: all, each, cumulative" in message
