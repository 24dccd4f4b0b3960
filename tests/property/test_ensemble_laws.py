"""Laws of learned lines and of ensembles: against plain loops, in company, under permutations."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call
from toy_networks import network, run, toy

from workers.architectures import StackedProgram, build
from workers.datasets.tensors import Dataset, normalize
from workers.device import threads
from workers.ensembles.cosine import pull
from workers.ensembles.line_step import LineGroup, ends_of, line_params
from workers.ensembles.lines import Line, TrainedLines, train_lines
from workers.ensembles.make import make_ensembles
from workers.ensembles.measure import PREDICTORS, averaged_predictions, end_cosines, measure_ensembles
from workers.ensembles.specs import (
    ByFunctionalDifference,
    Independent,
    Subspace,
    SubspaceFunctionalDifference,
)
from workers.evaluation import evaluate
from workers.interpolation.interpolate import interpolate
from workers.params import Params, ParamStack, row, stack
from workers.permutation.derive import derive_permutation_spec
from workers.seeding import derive_seed, generator
from workers.specs import NetworkSpec
from workers.training.run_group import Sources, run_group


def cosine(first: Params, second: Params) -> torch.Tensor:
    """Of all weights of two networks, biases left out, as autograd can follow it."""
    a, b = (torch.cat([p.flatten() for p in end.values() if p.ndim > 1]) for end in (first, second))
    return a @ b / (a.norm() * b.norm())


def plain_loop(line: Line, dataset: Dataset, program: StackedProgram) -> tuple[Params, Params]:
    """The ends of a line that ``torch.optim`` learned by autograd in float64, step by step."""
    specs = (line.first, line.second)
    ends = [
        {
            name: value.double().requires_grad_()
            for name, value in program.initialize(derive_seed("init", spec.seed)).items()
        }
        for spec in specs
    ]
    options, power = line.first.training, 2 if line.regularizer == "squared_cosine" else 1
    weights = [value for end in ends for value in end.values()]
    rate, decay = options.learning_rate, options.weight_decay
    optimizer: torch.optim.Optimizer = (
        torch.optim.SGD(weights, lr=rate, momentum=options.momentum, weight_decay=decay)
        if options.optimizer == "sgd"
        else torch.optim.Adam(weights, lr=rate, betas=(options.momentum, 0.999), weight_decay=decay)
    )
    inputs = normalize(dataset.train_images, dataset.definition).flatten(1).double()
    labels = dataset.labels("train", line.first.label_noise)
    step = 0
    for epoch in range(options.max_epochs):
        if options.schedule == "cosine":
            rate = options.learning_rate / 2 * (1 + math.cos(math.pi * epoch / options.max_epochs))
            optimizer.param_groups[0]["lr"] = rate
        order = torch.randperm(len(inputs), generator=generator("order", line.first.seed, epoch))
        for chosen in order.split(options.batch_size):
            alpha = derive_seed("line_point", line.first.seed, line.second.seed, step) / 2**63
            between = {name: (1 - alpha) * ends[0][name] + alpha * ends[1][name] for name in ends[0]}
            logits = functional_call(program.make(), between, (inputs[chosen],))  # type: ignore[attr-defined]
            loss = nn.functional.cross_entropy(logits, labels[chosen])
            loss = loss + line.strength * cosine(*ends) ** power
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
    first, second = ({name: value.detach() for name, value in end.items()} for end in ends)
    return first, second


def largest_relative_difference(expected: Params, actual: Params) -> float:
    """Largest entrywise difference over the largest entry, worst tensor."""
    return max(
        float((expected[name] - actual[name]).abs().max() / expected[name].abs().max()) for name in expected
    )


def line_of(
    cell: dict[str, Any], shape: dict[str, Any], seeds: tuple[int, int], held: dict[str, Any]
) -> Line:
    """A line between two networks of a cell on the toy data."""
    first, second = (network(seed, **{**cell, **shape}) for seed in seeds)
    return Line(first, second, **held)


def learn(lines: list[Line], dataset: Dataset, **options: Any) -> TrainedLines:
    """The lines learned as one stack."""
    return train_lines(build(lines[0].first.architecture, dataset.definition), lines, dataset, **options)


cells = st.builds(
    dict,
    learning_rate=st.sampled_from([0.003, 0.05, 0.3]),
    momentum=st.sampled_from([0.0, 0.9]),
    weight_decay=st.sampled_from([0.0, 1e-3]),
    schedule=st.sampled_from(["constant", "cosine"]),
    noise=st.sampled_from([0.0, 0.3]),
    max_epochs=st.integers(1, 3),
)
shapes = st.builds(dict, width=st.integers(1, 21), depth=st.integers(1, 3), batch_size=st.integers(3, 100))
held_apart = st.builds(
    dict,
    strength=st.sampled_from([0.0, 0.5, 3.0]),
    regularizer=st.sampled_from(["squared_cosine", "cosine"]),
)


@settings(max_examples=20, deadline=None)
@given(
    cell=cells,
    shape=shapes,
    held=held_apart,
    seed=st.integers(0, 99),
    optimizer=st.sampled_from(["sgd", "adam"]),
)
def test_a_learned_line_equals_a_plain_loop(
    cell: dict, shape: dict, held: dict, seed: int, optimizer: str
) -> None:
    """In float64 both ends equal those of ``torch.optim`` on autograd's gradients, whatever the options."""
    dataset = toy()
    # Adam divides noise by noise where a gradient is zero but for rounding.
    rate, tolerance = {"sgd": (1.0, 1e-9), "adam": (0.1, 1e-7)}[optimizer]
    cell = {**cell, "learning_rate": rate * cell["learning_rate"], "optimizer": optimizer}
    line = line_of(cell, shape, (seed, seed + 1), held)
    learned = learn([line], dataset, dtype=torch.float64)
    program = build(line.first.architecture, dataset.definition)
    for expected, actual in zip(
        plain_loop(line, dataset, program), (learned.first, learned.second), strict=True
    ):
        assert largest_relative_difference(expected, row(actual, 0)) < tolerance


@settings(max_examples=8, deadline=None)
@given(
    shape=shapes,
    members=st.lists(
        st.tuples(st.integers(0, 9), cells, held_apart, st.sampled_from([None, 1.5])),
        min_size=2,
        max_size=4,
        unique_by=lambda member: member[0],
    ),
    num_threads=st.sampled_from([1, 3]),
    side=st.integers(1, 4),
)
def test_a_line_is_the_same_bits_in_any_company(
    shape: dict, members: list[tuple[int, dict, dict, float | None]], num_threads: int, side: int
) -> None:
    """A line alone on one thread is the same bits in a stack of several cells on any number of threads."""
    dataset = toy(side=side)
    lines = [
        line_of({**cell, "stop_train_loss": stop}, shape, (seed, seed + 20), held)
        for seed, cell, held, stop in members
    ]
    with threads(num_threads):
        together = learn(lines, dataset)
        reversed_order = learn(lines[::-1], dataset)
    with threads(1):
        alone = learn(lines[:1], dataset)
    pairs = [(alone, 0, together, 0)]
    pairs += [(together, k, reversed_order, len(lines) - 1 - k) for k in range(len(lines))]
    for expected, i, actual, j in pairs:
        for end in ("first", "second"):
            for name, value in row(getattr(expected, end), i).items():
                assert torch.equal(value, getattr(actual, end)[name][j]), (end, name)
        assert expected.epochs_trained[i] == actual.epochs_trained[j]
        assert expected.stop_reason[i] == actual.stop_reason[j]


def test_a_wide_line_is_the_same_bits_in_any_company() -> None:
    """The same where a layer's weights lie in several pieces, and threads share sums."""
    dataset = toy(side=8)
    lines = [line_of({"max_epochs": 2}, {"width": 301}, (seed, seed + 20), {}) for seed in range(4)]
    with threads(3):
        together = learn(lines, dataset)
    with threads(1):
        alone = [learn([line], dataset) for line in lines]
    for k, of_line in enumerate(alone):
        for end in ("first", "second"):
            for name, value in getattr(of_line, end).items():
                assert torch.equal(value[0], getattr(together, end)[name][k]), (end, name)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_line_that_waited_for_a_slot_is_the_same_bits(
    optimizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two slots for five lines, the first of which explodes: what was in a slot before leaves no trace."""
    dataset = toy()
    rates = (1e30, 0.05, 0.3, 0.1, 0.2)
    lines = [
        line_of(
            {"learning_rate": rate, "max_epochs": 2 + k % 3, "optimizer": optimizer, "weight_decay": 0.01},
            {"width": 5},
            (k, k + 20),
            {"strength": 0.5 * k},
        )
        for k, rate in enumerate(rates)
    ]
    alone = [learn([line], dataset) for line in lines]
    monkeypatch.setattr("workers.ensembles.lines._slots", lambda *_: 2)
    together = learn(lines, dataset)
    assert "diverged" == together.stop_reason[0]
    assert ["max_epochs"] * 4 == list(together.stop_reason[1:])
    for k, of_line in enumerate(alone):
        assert of_line.epochs_trained[0] == together.epochs_trained[k]
        for end in ("first", "second"):
            for name, value in getattr(of_line, end).items():
                actual = getattr(together, end)[name][k]
                torch.testing.assert_close(value[0], actual, rtol=0, atol=0, equal_nan=True)


@settings(max_examples=10, deadline=None)
@given(
    cell=cells,
    shape=shapes,
    seed=st.integers(0, 9),
    optimizer=st.sampled_from(["sgd", "adam"]),
    at=st.integers(0, 1),
)
def test_a_line_walked_at_an_end_is_plain_training(
    cell: dict, shape: dict, seed: int, optimizer: str, at: int
) -> None:
    """With alpha fixed at 0 the first end is the network of plain training, the second stays; 1 likewise."""
    dataset = toy()
    rate, tolerance = {"sgd": (1.0, 1e-9), "adam": (0.1, 1e-7)}[optimizer]
    cell = {
        **cell,
        "learning_rate": rate * cell["learning_rate"],
        "weight_decay": 0.0,
        "optimizer": optimizer,
    }
    spec = network(seed, **{**cell, **shape})
    program = build(spec.architecture, dataset.definition)
    inputs = dataset.inputs("train", program.prepare, "cpu", torch.float64)
    group = LineGroup(program, 1, training=spec.training, dtype=torch.float64)  # type: ignore[arg-type]
    begun = [program.initialize(derive_seed("init", number)) for number in (seed, seed + 1)]
    begun = begun if at == 0 else begun[::-1]
    sources = Sources(lambda _: line_params(*begun, 0.0, 2), lambda *_: at * 2**63)
    labels = {spec.label_noise: dataset.labels("train", spec.label_noise)}
    (stopped,) = run_group(program, group, [spec], inputs, labels, lambda _: None, sources=sources)
    ends = ends_of(stopped.params)
    expected = row(run([spec], dataset, dtype=torch.float64).params, 0)
    assert largest_relative_difference(expected, ends[at]) < tolerance
    for name, value in begun[1 - at].items():
        assert torch.equal(value.double(), ends[1 - at][name])


@settings(max_examples=30, deadline=None)
@given(
    size=st.integers(1, 30), strength=st.floats(0, 5), power=st.sampled_from([1, 2]), seed=st.integers(0, 99)
)
def test_the_pull_is_the_gradient_of_the_regularizer(
    size: int, strength: float, power: int, seed: int
) -> None:
    """The factors give autograd's gradient of strength * cosine ** power at both ends."""
    a, b = torch.randn(2, size, dtype=torch.float64, generator=generator("pull", seed))
    a, b = a.requires_grad_(), b.requires_grad_()
    value = strength * (a @ b / (a.norm() * b.norm())) ** power
    at_a, at_b = torch.autograd.grad(value, (a, b))
    with torch.no_grad():
        products = torch.stack([a @ b, a @ a, b @ b]).unsqueeze(1)
        factors = pull(
            products,
            torch.tensor([strength], dtype=torch.float64),
            torch.tensor([float(power)], dtype=torch.float64),
        )
        across, first, second = (float(factor) for factor in factors)
        torch.testing.assert_close(at_a, across * b + first * a, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(at_b, across * a + second * b, rtol=1e-9, atol=1e-12)


def test_an_end_of_zeros_is_not_pulled() -> None:
    """Where an end is zero the cosine has no gradient: every factor is 0."""
    zero = torch.tensor([0.0, 0.0, 4.0], dtype=torch.float64).unsqueeze(1)
    factors = pull(zero, torch.ones(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64))
    assert [0.0, 0.0, 0.0] == [float(factor) for factor in factors]


def trained_pairs(
    num: int, dataset: Dataset, **options: Any
) -> tuple[list[tuple[NetworkSpec, NetworkSpec]], ParamStack, ParamStack]:
    """Specs and trained networks of some pairs."""
    specs = [(network(2 * k, **options), network(2 * k + 1, **options)) for k in range(num)]
    params = run([spec for pair in specs for spec in pair], dataset).params
    first, second = ({name: value[at::2] for name, value in params.items()} for at in (0, 1))
    return specs, first, second


@settings(max_examples=15, deadline=None)
@given(width=st.integers(1, 20), depth=st.integers(1, 3), num=st.integers(1, 4))
def test_figures_are_those_of_single_networks_and_of_mean_softmax(width: int, depth: int, num: int) -> None:
    """Ends equal ``evaluate``, the weight average ``interpolate``, predictions are averaged as softmax."""
    dataset = toy()
    specs, first, second = trained_pairs(num, dataset, width=width, depth=depth)
    program = build(specs[0][0].architecture, dataset.definition)
    inputs, labels = dataset.inputs("test", program.prepare), dataset.labels("test")
    figures = measure_ensembles(program, first, second, inputs, labels)
    for place, end in ((0, first), (1, second)):
        found = evaluate(program, end, inputs, labels)
        assert torch.equal(found.losses, figures.losses[place])
        assert torch.equal(found.errors, figures.errors[place])
    curves = interpolate(program, first, second, [0.0, 0.5, 1.0], inputs, labels)
    assert torch.equal(curves.losses[:, 1], figures.losses[PREDICTORS.index("weight_average")])
    assert torch.equal(curves.errors[:, 1], figures.errors[PREDICTORS.index("weight_average")])
    assert torch.equal(curves.endpoint_disagreement, figures.disagreement)
    both = [program.logits(end, inputs[:]).double().softmax(1) for end in (first, second)]
    mean = (both[0] + both[1]) / 2
    truth = labels.expand(num, -1)
    loss = -mean.gather(1, truth.unsqueeze(1)).log().mean((1, 2))
    torch.testing.assert_close(
        loss, figures.losses[PREDICTORS.index("prediction_average")], rtol=1e-5, atol=1e-6
    )
    errors = (mean.argmax(1) != truth).double().mean(1)
    torch.testing.assert_close(errors, figures.errors[PREDICTORS.index("prediction_average")])
    assert bool((figures.losses[3] <= figures.losses[:2].mean(0) + 1e-6).all())  # Jensen


def test_two_equal_networks_are_their_own_averages() -> None:
    """A network with itself: all four figures agree, and it never disagrees with itself."""
    dataset = toy()
    specs, first, _ = trained_pairs(2, dataset)
    program = build(specs[0][0].architecture, dataset.definition)
    figures = measure_ensembles(
        program, first, first, dataset.inputs("train", program.prepare), dataset.labels("train")
    )
    torch.testing.assert_close(figures.losses[:1].expand(4, -1), figures.losses, rtol=1e-6, atol=1e-7)
    assert torch.equal(figures.errors[:1].expand(4, -1), figures.errors)
    assert [0.0, 0.0] == figures.disagreement.tolist()


def made(
    method: Any, dataset: Dataset, pairs: tuple[Any, ParamStack, ParamStack]
) -> tuple[StackedProgram, Any]:
    """What a method makes of some pairs."""
    specs, first, second = pairs
    program = build(specs[0][0].architecture, dataset.definition)
    units = derive_permutation_spec(program.module)
    names = [f"pair{k}" for k in range(len(specs))]
    return program, make_ensembles(
        method, program, dataset, names=names, trained=(first, second), units=units, specs=specs
    )


def test_a_permutation_moves_the_weight_average_alone() -> None:
    """Functional difference leaves networks and prediction average as they are, not the weight average."""
    dataset = toy()
    pairs = trained_pairs(3, dataset, width=12)
    figures = []
    for method in (Independent(), ByFunctionalDifference(num_examples=None)):
        program, ensembles = made(method, dataset, pairs)
        inputs, labels = dataset.inputs("train", program.prepare), dataset.labels("train")
        figures.append(measure_ensembles(program, ensembles.first, ensembles.second, inputs, labels))
    for place in (0, 1, 3):
        torch.testing.assert_close(figures[0].losses[place], figures[1].losses[place], rtol=1e-5, atol=1e-6)
    assert not torch.allclose(figures[0].losses[2], figures[1].losses[2], rtol=1e-3)


def test_a_line_from_trained_networks_starts_where_they_are() -> None:
    """A line that is learned for no epochs from trained networks is those networks, the second permuted."""
    dataset = toy()
    specs, first, second = trained_pairs(2, dataset, width=9)
    still = [tuple(network(spec.seed, width=9, max_epochs=0) for spec in pair) for pair in specs]
    method = SubspaceFunctionalDifference(num_examples=None)
    _, ensembles = made(method, dataset, (still, first, second))
    _, permuted = made(ByFunctionalDifference(num_examples=None), dataset, (specs, first, second))
    for name, value in first.items():
        assert torch.equal(value, ensembles.first[name])
        assert torch.equal(permuted.second[name], ensembles.second[name])
    assert (0, 0) == ensembles.epochs_trained


def test_a_line_does_not_look_at_trained_networks_unless_it_is_asked_to() -> None:
    """Method subspace gives the same line whatever its pair was trained to."""
    dataset = toy()
    specs, first, second = trained_pairs(2, dataset)
    _, one = made(Subspace(), dataset, (specs, first, second))
    _, other = made(Subspace(), dataset, (specs, second, first))
    for name, value in one.first.items():
        assert torch.equal(value, other.first[name])
        assert torch.equal(one.second[name], other.second[name])


def test_the_regularizer_holds_the_ends_apart() -> None:
    """With a strength the cosine of the ends comes out smaller in size than without."""
    dataset = toy()
    options = {"max_epochs": 30, "learning_rate": 0.1}
    lines = [line_of(options, {"width": 16}, (0, 1), {"strength": strength}) for strength in (0.0, 1.0)]
    learned = learn(lines, dataset)
    free, held = end_cosines(learned.first, learned.second).abs().tolist()
    assert held < free / 2


def test_lines_change_none_of_their_inputs() -> None:
    """Networks that a line starts from are the same after it was learned."""
    dataset = toy()
    specs, first, second = trained_pairs(2, dataset)
    before = stack([row(first, 0), row(second, 0)])
    made(SubspaceFunctionalDifference(), dataset, (specs, first, second))
    after = stack([row(first, 0), row(second, 0)])
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    ("lines", "rule"),
    [
        (lambda: [], "at least one line"),
        (lambda: [Line(network(0), network(1, width=7))], "one architecture"),
        (lambda: [Line(network(0), network(1, momentum=0.5))], "differ in their seeds alone"),
        (
            lambda: [Line(network(0, precision="bfloat16"), network(1, precision="bfloat16"))],
            "float32 or tf32",
        ),
    ],
)
def test_lines_that_cannot_be_learned_are_refused(lines: Callable[[], list[Line]], rule: str) -> None:
    """The rule is named."""
    program = build(network(0).architecture, toy().definition)
    with pytest.raises(ValueError, match=rule):
        train_lines(program, lines(), toy())


def test_mean_of_predictions_of_a_pair_does_not_depend_on_others() -> None:
    """Bit for bit, also where a pair's numbers do not fill vector registers to the last."""
    first, second = torch.randn(2, 3, 10, 437, generator=generator("mean of predictions")).unbind(0)
    together = averaged_predictions(first, second)
    for k in range(3):
        assert torch.equal(averaged_predictions(first[k : k + 1], second[k : k + 1])[0], together[k])
