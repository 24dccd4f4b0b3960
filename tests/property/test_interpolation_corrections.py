"""Laws of the corrections, on small modules with and without norms and on MLPs."""

from __future__ import annotations

from typing import cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_convolutions import CLASSES, MODULES, PROGRAMS, SHAPE, examples, networks
from torch import Tensor, nn
from torch.func import functional_call
from toy_networks import toy

from workers.architectures.mlp import MLPProgram
from workers.architectures.module_program import ModuleProgram
from workers.architectures.program import StackedProgram
from workers.datasets.inputs import ByteInputs
from workers.datasets.tensors import normalize
from workers.device import threads
from workers.interpolation.barriers import barrier
from workers.interpolation.corrections import corrected_blocks
from workers.interpolation.interpolate import Curves, interpolate
from workers.interpolation.sites import repairable
from workers.params import ParamStack, row, rows, stack
from workers.permutation import permute
from workers.permutation.derive import derive_permutation_spec
from workers.seeding import generator
from workers.specs import Correction
from workers.statistics import statistics_batches

GRID = (0.0, 0.25, 0.5, 1.0)
WITH_STATISTICS = ("batch_normed", "bare_norms", "residual")
CASES: list[tuple[str, Correction]] = [
    *((name, cast("Correction", "repair")) for name in MODULES),
    *((name, cast("Correction", "reset_bn")) for name in WITH_STATISTICS),
]
cases = pytest.mark.parametrize(("name", "correction"), CASES)
modules = pytest.mark.parametrize("name", list(MODULES))


def batches(program: StackedProgram, dtype: torch.dtype = torch.float64, count: int = 3) -> list[Tensor]:
    """Batches to measure on, the last one smaller."""
    sizes = [24] * (count - 1) + [17]
    return [program.prepare(examples(size, "statistics", k, dtype=dtype)) for k, size in enumerate(sizes)]


def labels(num: int) -> Tensor:
    """Labels of the examples."""
    return torch.randint(CLASSES, (num,), generator=generator("test", "labels", num))


def curves(
    name: str, correction: Correction, a: ParamStack, b: ParamStack, dtype: torch.dtype = torch.float64
) -> Curves:
    """Curves on 70 examples."""
    program = PROGRAMS[name]
    inputs = program.prepare(examples(70, dtype=dtype))
    measured_on = batches(program, dtype)
    return interpolate(program, a, b, GRID, inputs, labels(70), correction=correction, statistics=measured_on)


def corrected(
    program: StackedProgram, a: ParamStack, b: ParamStack, alpha: float, on: list[Tensor]
) -> tuple[StackedProgram, ParamStack]:
    """The repaired networks at one alpha, and their program."""
    (block,) = corrected_blocks(program, a, b, (alpha,), "repair", on)
    return block.program, block.states


@modules
def test_each_unit_gets_the_mixture_of_means_and_standard_deviations(name: str) -> None:
    """On the one batch it was measured on, every site of the folded network shows the moments wanted."""
    program, alpha = PROGRAMS[name], 0.3
    a, b = networks(program, range(2)), networks(program, range(5, 7))
    target = repairable(program)
    on = batches(program, count=1)
    wide, states = corrected(program, a, b, alpha, on)

    def shown(params: ParamStack, pair: int) -> dict[str, tuple[Tensor, Tensor]]:
        module = target.program.make().double().train()
        found: dict[str, tuple[Tensor, Tensor]] = {}

        def note(layer: str, axis: int, output: Tensor) -> None:
            units = output.movedim(axis, 0).flatten(1)
            found[layer] = units.mean(1), units.std(1)

        for site in target.sites:
            module.get_submodule(site.layer).register_forward_hook(
                lambda _, __, output, site=site: note(site.layer, site.output_axis, output)
            )
        with torch.no_grad():
            functional_call(module, {k: v.clone() for k, v in row(params, pair).items()}, (on[0],))
        return found

    assert wide is target.program
    for pair in range(2):
        at_a, at_b = shown(target.extend(a), pair), shown(target.extend(b), pair)
        for layer, (mean, std) in shown(states, pair).items():
            for found, ends in (
                (mean, (at_a[layer][0], at_b[layer][0])),
                (std, (at_a[layer][1], at_b[layer][1])),
            ):
                assert torch.allclose(torch.lerp(*ends, alpha), found, rtol=1e-4, atol=1e-6), layer


@cases
def test_a_network_has_no_barrier_with_itself(name: str, correction: Correction) -> None:
    """There is nothing to correct between equal ends: the curve is flat bit for bit."""
    a = networks(PROGRAMS[name], range(2), torch.float32)
    measured = curves(name, correction, a, a, torch.float32)
    grid = torch.tensor(GRID, dtype=torch.float64)

    assert [0.0, 0.0] == barrier(measured.losses, grid).tolist()
    assert torch.equal(measured.losses[:, :1].expand(-1, len(GRID)), measured.losses)
    assert [0.0, 0.0] == measured.endpoint_disagreement.tolist()


@cases
def test_a_pair_has_the_same_curve_in_any_company(name: str, correction: Correction) -> None:
    """Alone or with others, on one thread or three: the same bits."""
    program = PROGRAMS[name]
    a, b = networks(program, range(3), torch.float32), networks(program, range(5, 8), torch.float32)
    whole = curves(name, correction, a, b, torch.float32)
    for chosen, num_threads in (([1], 1), ([2, 0], 3)):
        with threads(num_threads):
            part = curves(name, correction, rows(a, chosen), rows(b, chosen), torch.float32)
        assert torch.equal(whole.losses[chosen], part.losses)
        assert torch.equal(whole.errors[chosen], part.errors)


@cases
def test_a_correction_commutes_with_a_permutation_of_both_ends(name: str, correction: Correction) -> None:
    """Permuting both networks alike, statistics included, changes no curve."""
    program = PROGRAMS[name]
    a, b = networks(program, range(2)), networks(program, range(5, 7))
    spec = derive_permutation_spec(program.module, program.prepare(torch.zeros(2, *SHAPE)))
    drawn = [permute.random(spec, "test", name, k) for k in range(2)]
    permutation = {group: torch.stack([one[group] for one in drawn]) for group in spec.groups}

    expected = curves(name, correction, a, b)
    actual = curves(
        name, correction, permute.apply(a, permutation, spec), permute.apply(b, permutation, spec)
    )

    assert torch.allclose(expected.losses, actual.losses, rtol=1e-9, atol=1e-12)


@cases
def test_nothing_that_was_passed_in_is_changed(name: str, correction: Correction) -> None:
    """Networks, examples and batches keep their values."""
    program = PROGRAMS[name]
    a, b = networks(program, range(1)), networks(program, range(5, 6))
    inputs, on = program.prepare(examples(20)), batches(program)
    passed = [*a.values(), *b.values(), inputs, *on]
    before = [tensor.clone() for tensor in passed]

    interpolate(program, a, b, GRID, inputs, labels(20), correction=correction, statistics=on)

    assert all(torch.equal(old, new) for old, new in zip(before, passed, strict=True))


@pytest.mark.parametrize("name", [name for name in MODULES if name not in WITH_STATISTICS])
def test_repair_leaves_endpoints_without_batch_norm_as_they_are(name: str) -> None:
    """Without statistics there is nothing at alpha 0 and 1 to measure anew: the figures of ``none``."""
    program = PROGRAMS[name]
    a, b = networks(program, range(2), torch.float32), networks(program, range(5, 7), torch.float32)

    expected, actual = (curves(name, correction, a, b, torch.float32) for correction in ("none", "repair"))

    assert torch.allclose(expected.losses[:, [0, -1]], actual.losses[:, [0, -1]], rtol=1e-6)
    assert torch.equal(expected.endpoint_disagreement, actual.endpoint_disagreement)


@pytest.mark.parametrize("name", WITH_STATISTICS)
def test_corrections_change_no_endpoint_whose_statistics_are_of_the_same_batches(name: str) -> None:
    """Measured anew on the batches they came from, statistics are what they were."""
    program = PROGRAMS[name]
    on = batches(program)
    a, b = (program.with_statistics(networks(program, seeds), on) for seeds in (range(2), range(5, 7)))

    expected = curves(name, "none", a, b)
    for correction in ("reset_bn", "repair"):
        actual = curves(name, correction, a, b)
        assert torch.allclose(expected.losses[:, [0, -1]], actual.losses[:, [0, -1]], rtol=1e-12)


@pytest.mark.parametrize(("epsilon", "tolerance"), [(1e-5, 1e-4), (1e-12, 1e-10)])
@pytest.mark.parametrize("name", ["batch_normed", "residual"])
def test_under_batch_norm_everywhere_repair_is_reset_bn(name: str, epsilon: float, tolerance: float) -> None:
    """Up to batch norm's own epsilon, which keeps standard deviations a little below its weights."""

    def make() -> nn.Module:
        module = MODULES[name]()
        for layer in module.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eps = epsilon
        return module

    program = ModuleProgram(make, SHAPE, CLASSES)
    a, b = networks(program, range(2)), networks(program, range(5, 7))
    on, inputs = batches(program), examples(30)

    (reset,) = corrected_blocks(program, a, b, GRID, "reset_bn", on)
    (repair,) = corrected_blocks(program, a, b, GRID, "repair", on)
    expected = reset.program.logits(reset.states, inputs)
    actual = repair.program.logits(repair.states, inputs)

    assert (expected - actual).abs().amax() <= tolerance * expected.abs().amax()


@pytest.mark.parametrize("name", WITH_STATISTICS)
def test_reset_is_that_of_a_plain_loop_over_modules(name: str) -> None:
    """``load_state_dict``, cumulative averages from zero in training mode, then evaluation."""
    program = PROGRAMS[name]
    a, b = networks(program, range(2)), networks(program, range(5, 7))
    inputs, truth = examples(70), labels(70)
    measured = curves(name, "reset_bn", a, b)
    module = MODULES[name]().double()
    for pair in range(2):
        for position, alpha in enumerate(GRID):
            ends = row(a, pair), row(b, pair)
            module.load_state_dict({k: (1 - alpha) * ends[0][k] + alpha * ends[1][k] for k in ends[0]})
            for layer in module.modules():
                if isinstance(layer, nn.BatchNorm2d):
                    layer.reset_running_stats()
                    layer.momentum = None
            module.train()
            with torch.no_grad():
                for batch in batches(program):
                    module(batch)
                expected = nn.functional.cross_entropy(module.eval()(inputs), truth).item()
            assert expected == pytest.approx(measured.losses[pair, position].item(), rel=1e-9)


mlps = st.tuples(
    st.sampled_from([1, 4, 5, 33]), st.integers(1, 3), st.integers(1, 4), st.sampled_from([2, 30, 300])
)


@settings(max_examples=20)
@given(mlps)
def test_the_fast_path_of_mlps_is_the_path_of_modules(drawn: tuple[int, int, int, int]) -> None:
    """A stack of MLPs and the same modules one by one are corrected to the same networks."""
    width, depth, num_pairs, num = drawn
    program = MLPProgram(9, width, depth, 5)
    as_module = ModuleProgram(program.make, (1, 3, 3), 5)
    a, b = (
        {
            name: 2 * tensor.double()
            for name, tensor in stack(
                [program.initialize(s) for s in range(first, first + num_pairs)]
            ).items()
        }
        for first in (0, 50)
    )
    stream = generator("test", "mlp", num)
    on = [torch.randn((num + k, 9), generator=stream, dtype=torch.float64) for k in range(2)]

    for alpha in (0.0, 0.4, 1.0):
        _, expected = corrected(as_module, a, b, alpha, on)
        _, actual = corrected(program, a, b, alpha, on)
        for name, tensor in expected.items():
            assert torch.allclose(tensor, actual[name], rtol=1e-7, atol=1e-9), name


@settings(max_examples=20)
@given(drawn=mlps, data=st.data())
def test_an_mlp_is_repaired_alike_in_any_company(
    drawn: tuple[int, int, int, int], data: st.DataObject
) -> None:
    """Any choice of pairs, in any order, on any number of threads, gives the same curves bit for bit."""
    width, depth, num_pairs, num = drawn
    chosen = data.draw(st.lists(st.integers(0, num_pairs - 1), min_size=1, max_size=4))
    num_threads = data.draw(st.integers(1, 3))
    program = MLPProgram(9, width, depth, 5)
    a, b = (stack([program.initialize(s) for s in range(k, k + num_pairs)]) for k in (0, 50))
    stream = generator("test", "mlp", num)
    on = [torch.randn((num + k, 9), generator=stream) for k in range(2)]
    inputs = torch.randn((40, 9), generator=stream)
    truth = labels(40)

    def measured(a: ParamStack, b: ParamStack) -> Curves:
        return interpolate(program, a, b, GRID, inputs, truth, correction="repair", statistics=on)

    whole = measured(a, b)
    with threads(num_threads):
        part = measured(rows(a, chosen), rows(b, chosen))

    assert torch.equal(whole.losses[chosen], part.losses)
    assert torch.equal(whole.errors[chosen], part.errors)


@pytest.mark.parametrize("correction", ["none", "repair"])
def test_images_that_stay_bytes_give_the_same_curves(correction: Correction) -> None:
    """Whether inputs are made before or as they are taken makes no difference to the bits."""
    dataset = toy()
    program = MLPProgram(9, 8, 2, 5)
    a, b = (stack([program.initialize(seed)]) for seed in (0, 1))
    made = program.prepare(normalize(dataset.train_images[:], dataset.definition))
    taken = ByteInputs(dataset.train_images, dataset.definition, program.prepare)

    expected, actual = (
        interpolate(
            program,
            a,
            b,
            GRID,
            inputs,
            dataset.train_labels,
            correction=correction,
            statistics=statistics_batches(inputs, "toy"),
        )
        for inputs in (made, taken)
    )

    assert torch.equal(expected.losses, actual.losses)
    assert torch.equal(expected.endpoint_disagreement, actual.endpoint_disagreement)
