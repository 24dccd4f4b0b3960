"""Theorem 3.1 measured: draws, matchings and deviations against brute force, and the slopes."""

from __future__ import annotations

import itertools
import math
from dataclasses import astuple, replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from workers.alignment.assignment import smallest_sum
from workers.initialization.deviations import ACTIVATIONS, deviations
from workers.initialization.draws import Pairs, drawn_inputs, drawn_pairs
from workers.initialization.grid import bound_of_grid, grid_matching
from workers.initialization.measure import Measurement, measure, nearest_units, squared_distances
from workers.initialization.specs import (
    InitializationSpec,
    LipschitzActivation,
    Matching,
    exponent_of_bound,
)
from workers.seeding import generator

ALPHAS = tuple(index / 10 for index in range(11))
MATCHINGS: tuple[Matching, ...] = ("identity", "grid", "hungarian")


def spec_of(matching: Matching, dim: int = 2, width: int = 20, seed: int = 0) -> InitializationSpec:
    """A small measurement."""
    return InitializationSpec(
        input_dim=dim,
        width=width,
        matching=matching,
        seed=seed,
        grid_cells="least_bound" if matching == "grid" else None,
        alphas=ALPHAS,
        num_inputs=50,
        num_draws=8,
    )


def cells_of(weights: Tensor, num: int) -> list[tuple[int, ...]]:
    """The cell of every unit, by the nearest center of the proof's set S_xi."""
    xi = 1 / (num * math.sqrt(weights.shape[1]))
    centers = torch.arange(num, dtype=torch.float64) * 2 * xi - 1 / math.sqrt(weights.shape[1]) + xi
    nearest = (weights[..., None] - centers).abs().argmin(-1)
    return [tuple(row) for row in nearest.tolist()]


@given(dim=st.integers(1, 6), width=st.integers(1, 40), seed=st.integers(0, 10**6))
def test_weights_are_those_of_the_theorem(dim: int, width: int, seed: int) -> None:
    """Input weights lie within 1/sqrt(d), output weights within 1/sqrt(h); a pair is its seed's alone."""
    pairs = drawn_pairs(dim, width, [seed, seed + 1], 3)
    alone = drawn_pairs(dim, width, [seed + 1], 3)
    for together, own in zip(vars(pairs).values(), vars(alone).values(), strict=True):
        torch.testing.assert_close(together[1:], own, rtol=0, atol=0)
    assert float(pairs.first_inputs.abs().max()) <= 1 / math.sqrt(dim)
    assert float(pairs.second_outputs.abs().max()) <= 1 / math.sqrt(width)
    assert not torch.equal(pairs.first_inputs, pairs.second_inputs)


def test_weights_are_uniform() -> None:
    """Mean and variance of 100,000 weights are those of the uniform law, to five standard errors."""
    pairs = drawn_pairs(4, 500, [1], 100)
    for weights, reach in ((pairs.second_inputs, 1 / 2), (pairs.first_outputs, 1 / math.sqrt(500))):
        values = weights.flatten() / reach
        assert abs(float(values.mean())) < 5 / math.sqrt(3 * len(values))
        assert float(values.square().mean()) == pytest.approx(1 / 3, abs=5 * 0.3 / math.sqrt(len(values)))


@given(dim=st.integers(1, 8), num=st.integers(1, 50))
def test_inputs_are_as_long_as_the_theorem_says(dim: int, num: int) -> None:
    """Inputs have length sqrt(d); of one dimension, they are -1 and 1 exactly."""
    inputs = drawn_inputs(dim, num)
    torch.testing.assert_close(inputs.norm(dim=1), torch.full((num,), math.sqrt(dim), dtype=torch.float64))
    if dim == 1:
        assert set(inputs.flatten().tolist()) <= {-1.0, 1.0}


@pytest.mark.parametrize("activation", list(ACTIVATIONS))
def test_deviations_equal_those_of_single_networks(activation: LipschitzActivation) -> None:
    """Every deviation equals that computed unit by unit."""
    pairs, inputs = drawn_pairs(3, 4, [0, 1, 2], 2), drawn_inputs(3, 6)
    found = deviations(pairs, inputs, ALPHAS, activation)
    sigma = ACTIVATIONS[activation]
    for n, k, b in itertools.product(range(3), range(2), range(6)):

        def output(alpha: float, n: int = n, k: int = k, b: int = b) -> float:
            total = 0.0
            for i in range(4):
                u = (1 - alpha) * pairs.first_inputs[n, i] + alpha * pairs.second_inputs[n, i]
                v = (1 - alpha) * pairs.first_outputs[n, k, i] + alpha * pairs.second_outputs[n, k, i]
                total += float(v) * float(sigma(u @ inputs[b]))
            return total

        first, second = output(0.0), output(1.0)
        expected = max(abs(output(alpha) - (1 - alpha) * first - alpha * second) for alpha in ALPHAS)
        assert float(found.largest[n, k, b]) == pytest.approx(expected, rel=1e-10, abs=1e-14)


@pytest.mark.parametrize("matching", MATCHINGS)
@pytest.mark.parametrize(("dim", "width"), [(1, 1), (1, 33), (2, 300), (5, 1500)])
def test_a_stack_of_one_equals_its_row(matching: Matching, dim: int, width: int) -> None:
    """What is measured of a pair is the same bit for bit alone, among others, and on more threads."""
    specs = [replace(spec_of(matching, dim, width, seed), num_inputs=400) for seed in (3, 0, 7)]
    together = measure(specs)
    assert [measure([spec])[0] for spec in specs] == together
    torch.set_num_threads(2)
    try:
        assert measure(specs) == together
    finally:
        torch.set_num_threads(1)


def test_inputs_in_parts_are_inputs_together() -> None:
    """A width at which inputs are taken in parts gives the deviations of every input alone, to rounding."""
    pairs, inputs = drawn_pairs(2, 2000, [0], 3), drawn_inputs(2, 300)
    found = deviations(pairs, inputs, ALPHAS).largest
    for b in (0, 130, 131, 262, 299):
        alone = deviations(pairs, inputs[b : b + 1], ALPHAS).largest
        torch.testing.assert_close(found[:, :, b : b + 1], alone, rtol=1e-9, atol=1e-14)


def test_specs_of_a_stack_differ_in_their_seeds() -> None:
    """A stack of two widths is refused."""
    with pytest.raises(ValueError, match="seeds alone"):
        measure([spec_of("identity", width=3), spec_of("identity", width=4)])


@pytest.mark.parametrize("matching", MATCHINGS)
def test_nothing_deviates_at_the_ends(matching: Matching) -> None:
    """At alpha 0 and 1 the deviation is 0 exactly, and between them it is not."""
    means = measure([spec_of(matching)])[0].deviation_means
    assert (means[0], means[-1]) == (0.0, 0.0)
    assert min(means[1:-1]) > 0


@given(dim=st.integers(1, 5), width=st.integers(1, 30), seed=st.integers(0, 1000))
def test_a_network_and_its_permuted_copy_do_not_deviate(dim: int, width: int, seed: int) -> None:
    """Of a copy with permuted units, the assignment finds the permutation; nothing deviates then."""
    drawn = drawn_pairs(dim, width, [seed], 2)
    same = Pairs(drawn.first_inputs, drawn.first_inputs, drawn.first_outputs, drawn.first_outputs)
    order = torch.randperm(width, generator=generator("test", seed))
    permuted = same.matched(order[None])
    units = smallest_sum(squared_distances(permuted.first_inputs[0], permuted.second_inputs[0]))
    assert torch.argsort(order).tolist() == units.tolist()
    found = deviations(permuted.matched(units[None]), drawn_inputs(dim, 20), ALPHAS)
    assert float(found.largest.max()) < 1e-13


@given(dim=st.integers(1, 4), width=st.integers(1, 6), seed=st.integers(0, 1000))
def test_the_assignment_is_the_best_of_all_permutations(dim: int, width: int, seed: int) -> None:
    """The Hungarian matching's distance equals the least over all h! permutations, and none is nearer."""
    pairs = drawn_pairs(dim, width, [seed], 1)
    first, second = pairs.first_inputs[0], pairs.second_inputs[0]
    every = [
        float((first - second[list(order)]).square().sum()) for order in itertools.permutations(range(width))
    ]
    found = {name: measure([spec_of(name, dim, width, seed)])[0].matching_distance for name in MATCHINGS}
    assert min(every) == pytest.approx(width * found["hungarian"] ** 2, rel=1e-12)
    assert found["hungarian"] <= min(found["identity"], found["grid"]) * (1 + 1e-12)


@given(width=st.integers(1, 200), seed=st.integers(0, 1000))
def test_in_one_dimension_the_assignment_is_that_of_the_solver(width: int, seed: int) -> None:
    """Matching in the order of the weights is what the general solver finds."""
    pairs = drawn_pairs(1, width, [seed], 1)
    first, second = pairs.first_inputs[0], pairs.second_inputs[0]
    expected = smallest_sum(squared_distances(first, second))
    assert expected.tolist() == nearest_units(first, second).tolist()


@given(dim=st.integers(1, 4), width=st.integers(1, 60), cells=st.integers(1, 6), seed=st.integers(0, 10**6))
def test_the_grid_matches_within_cells_and_the_rest_with_each_other(
    dim: int, width: int, cells: int, seed: int
) -> None:
    """The matching is a permutation; all but |I| units find one of their cell, |I| as the proof counts it."""
    pairs = drawn_pairs(dim, width, [seed], 1)
    first, second = pairs.first_inputs[0], pairs.second_inputs[0]
    found = grid_matching(first, second, cells, generator("test", seed))
    assert list(range(width)) == sorted(found.units.tolist())
    own, other = cells_of(first, cells), cells_of(second, cells)
    unmatched = sum(abs(own.count(cell) - other.count(cell)) for cell in {*own, *other}) // 2
    assert unmatched == found.num_unmatched
    is_near = [own[i] == other[unit] for i, unit in enumerate(found.units.tolist())]
    assert width - unmatched == sum(is_near)
    xi = 1 / (cells * math.sqrt(dim))
    apart = (first - second[found.units]).abs().amax(1)[torch.tensor(is_near)]
    assert (apart <= 2 * xi * (1 + 1e-12)).all()


def test_a_grid_of_more_cells_than_whole_numbers_matches_those_that_hold_units() -> None:
    """With 9 cells along each of 24 axes, units of one cell still find each other, and no others do."""
    first = torch.zeros(6, 24, dtype=torch.float64)
    first[:, 23] = torch.arange(6) * 1e-6  # all in the middle cell
    second = first.flip(0).contiguous()
    second[0, 0] = 1 / math.sqrt(24)  # but one
    found = grid_matching(first, second, 9, generator("test", 0))
    assert 1 == found.num_unmatched
    assert list(range(6)) == sorted(found.units.tolist())


def test_units_of_a_cell_are_matched_at_random() -> None:
    """With one cell, 600 draws give each of the six permutations of three units 60 times or more."""
    pairs = drawn_pairs(2, 3, [0], 1)
    stream = generator("test", 0)
    drawn = [
        tuple(grid_matching(pairs.first_inputs[0], pairs.second_inputs[0], 1, stream).units.tolist())
        for _ in range(600)
    ]
    assert all(drawn.count(order) >= 60 for order in itertools.permutations(range(3)))


def test_units_that_are_left_over_are_matched_at_random() -> None:
    """Three units against three of another cell: each of the six matchings occurs."""
    first, second = torch.full((3, 1), -0.5).double(), torch.full((3, 1), 0.5).double()
    stream = generator("test", 0)
    found = [grid_matching(first, second, 2, stream) for _ in range(200)]
    assert {3} == {each.num_unmatched for each in found}
    assert 6 == len({tuple(each.units.tolist()) for each in found})


@pytest.mark.parametrize(("dim", "width"), [(1, 5), (1, 400), (2, 400), (3, 400), (5, 200)])
def test_the_rule_finds_the_least_bound(dim: int, width: int) -> None:
    """No number of cells up to 30 along each axis gives a smaller bound than that of ``least_bound``."""
    pairs = drawn_pairs(dim, width, [2], 1)
    first, second = pairs.first_inputs[0], pairs.second_inputs[0]
    found = grid_matching(first, second, "least_bound", generator("test", 0))
    every = []
    for cells in range(1, 31):
        own, other = cells_of(first, cells), cells_of(second, cells)
        unmatched = sum(abs(own.count(cell) - other.count(cell)) for cell in {*own, *other}) // 2
        every.append(bound_of_grid(unmatched, width, cells, 0.1))
    assert min(every) == bound_of_grid(found.num_unmatched, width, found.cells_per_axis, 0.1)


def test_the_rate_is_that_of_the_theorem() -> None:
    """The rule ``rate`` takes h^(1/(2d+4)) cells along each axis: for 4,096 units 4 if d is 1, 2 if 5."""
    for dim, expected in ((1, 4), (5, 2)):
        pairs = drawn_pairs(dim, 4096, [0], 1)
        found = grid_matching(pairs.first_inputs[0], pairs.second_inputs[0], "rate", generator("test", 0))
        assert expected == found.cells_per_axis


@pytest.mark.parametrize("matching", MATCHINGS)
def test_mean_squares_are_those_of_random_output_weights(matching: Matching) -> None:
    """The mean squared deviation at 1/2 is its variance over output weights, within 5 %.

    With s, s', m the activations of the two units and of their mean, the deviation at 1/2 is
    sum_i (v_i (m_i - s_i) + v'_i (m_i - s'_i)) / 2, and each output weight has variance 1/(3h).
    """
    pairs, inputs = drawn_pairs(3, 40, [5], 4000), drawn_inputs(3, 12)
    if matching == "hungarian":
        units = smallest_sum(squared_distances(pairs.first_inputs[0], pairs.second_inputs[0]))
        pairs = pairs.matched(units[None])
    found = deviations(pairs, inputs, (0.0, 0.5, 1.0)).largest[0].square().mean(0)
    s, other = torch.relu(pairs.first_inputs[0] @ inputs.T), torch.relu(pairs.second_inputs[0] @ inputs.T)
    middle = torch.relu((pairs.first_inputs[0] + pairs.second_inputs[0]) / 2 @ inputs.T)
    expected = ((middle - s).square() + (middle - other).square()).sum(0) / 4 / (3 * 40)
    torch.testing.assert_close(found, expected, rtol=0.1, atol=0)
    assert float(found.mean()) == pytest.approx(float(expected.mean()), rel=0.05)


@pytest.mark.parametrize("matching", MATCHINGS)
def test_figures_are_of_all_draws_and_inputs(matching: Matching) -> None:
    """Mean, quantile and maximum are ordered, and the quantile is not exceeded by a share of 1 - delta."""
    spec = replace(spec_of(matching), delta=0.25)
    found = measure([spec])[0]
    assert found.deviation_mean < found.deviation_quantile < found.deviation_max
    assert max(found.deviation_means) <= found.deviation_mean
    higher = measure([replace(spec, delta=0.01)])[0]
    assert found.deviation_quantile < higher.deviation_quantile <= higher.deviation_max
    assert astuple(replace(higher, deviation_quantile=0.0, proof_bound=None)) == astuple(
        replace(found, deviation_quantile=0.0, proof_bound=None)
    )


def test_the_bound_holds_with_its_constants() -> None:
    """The deviation of the grid's matching stays below the proof's bound, constants included."""
    for dim, width in itertools.product((1, 3), (8, 64, 512)):
        found = measure([spec_of("grid", dim, width)])[0]
        assert found.proof_bound is not None
        assert found.deviation_max < found.proof_bound


def slope(found: dict[int, list[Measurement]]) -> float:
    """Of the logarithm of the mean deviation against that of the width, by least squares."""
    widths = [width for width, rows in found.items() for _ in rows]
    values = [row.deviation_mean for rows in found.values() for row in rows]
    return float(np.polyfit(np.log(widths), np.log(values), 1)[0])


@pytest.mark.parametrize("dim", [1, 2, 3, 4, 5])
def test_the_slopes_of_identity_and_assignment(dim: int) -> None:
    """Over three seeds: slope 0 of the identity within 0.05, of the assignment below the bound's."""
    slopes = {}
    for matching in ("identity", "hungarian"):
        shape = InitializationSpec(
            input_dim=dim, width=1, matching=matching, seed=0, alphas=ALPHAS, num_inputs=200
        )
        slopes[matching] = slope(
            {
                width: measure([replace(shape, width=width, seed=seed) for seed in range(3)])
                for width in (32, 64, 128, 256, 512)
            }
        )
    assert abs(slopes["identity"]) < 0.05
    assert slopes["hungarian"] < exponent_of_bound(dim)
