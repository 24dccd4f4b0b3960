"""Treatments keep what networks compute, bring permuted copies together, and never lose ground."""

from __future__ import annotations

import math
from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import mlp_programs, random_permutation, random_stack, seeds, shapes_of

from workers.alignment.align import align
from workers.alignment.methods import MergeMany, WeightMatching
from workers.architectures.mlp import MLPProgram
from workers.canonical_forms.averages import groups_of, mean_network
from workers.canonical_forms.canonical_form import CanonicalForm, canonical_form
from workers.canonical_forms.distances import ALL
from workers.canonical_forms.orders import orders
from workers.canonical_forms.reading import Reader, in_order
from workers.canonical_forms.specs import CanonicalSpec, Matched, Merged, Raw, Sorted, Treatment
from workers.evaluation import evaluate
from workers.params import ParamStack, row, rows
from workers.permutation import permute
from workers.permutation.spec import PermutationSpec, Segment

TREATMENTS: list[Treatment] = [Raw(), Sorted(), Sorted(key="power", power=1.5), Matched(), Merged()]


def spec_of(program: MLPProgram) -> PermutationSpec:
    """What tracing derives for an MLP, without the time it takes."""
    axes: dict[tuple[str, int], tuple[Segment, ...]] = {}
    for layer in range(program.depth):
        along = (Segment(f"layers.{layer}", program.width),)
        axes[f"layers.{layer}.weight", 0] = axes[f"layers.{layer}.bias", 0] = along
        axes[f"layers.{layer + 1}.weight", 1] = along
    return PermutationSpec({f"layers.{layer}": program.width for layer in range(program.depth)}, axes)


def reader(stack: ParamStack) -> Reader:
    """A reader of the networks of a stack."""
    return lambda members: rows(stack, list(members))


def names(num: int) -> tuple[str, ...]:
    """Of so many networks."""
    return tuple(f"network{k}" for k in range(num))


def copies_of_one(program: MLPProgram, num: int, seed: int) -> ParamStack:
    """One random network and permuted copies of it."""
    first = random_stack(shapes_of(program), 1, seed)
    spec = spec_of(program)
    together = {name: tensor.repeat(num, *[1] * (tensor.ndim - 1)) for name, tensor in first.items()}
    moved = random_permutation(spec, num, seed)
    for index in moved.values():
        index[0] = torch.arange(index.shape[1])
    return permute.apply(together, moved, spec)


def pair_sum(stack: ParamStack, spec: PermutationSpec) -> float:
    """Sum over all pairs of the inner product of the parameters on which groups act."""
    names_of = {name for name, _ in spec.axes}
    num = len(next(iter(stack.values())))
    return math.fsum(
        float((stack[name][j] * stack[name][k]).sum())
        for name in names_of
        for j, k in combinations(range(num), 2)
    )


def form(
    stack: ParamStack, program: MLPProgram, treatment: Treatment, **options: object
) -> CanonicalForm | None:
    """What is found for the networks of a stack, on 20 random examples."""
    stream = torch.Generator().manual_seed(0)
    inputs = torch.randn(20, program.num_inputs, generator=stream, dtype=torch.float64)
    labels = torch.randint(program.num_classes, (20,), generator=stream)
    num = len(next(iter(stack.values())))
    asked = CanonicalSpec(networks=names(num), treatment=treatment, splits=("test",), **options)  # type: ignore[arg-type]
    return canonical_form(asked, reader(stack), program, spec_of(program), {"test": (inputs, labels)})


@pytest.mark.parametrize("treatment", TREATMENTS, ids=lambda t: t.treatment)
@settings(max_examples=10)
@given(program=mlp_programs(), seed=seeds(), num=st.integers(2, 5))
def test_no_treatment_changes_what_networks_compute(
    program: MLPProgram, seed: int, num: int, treatment: Treatment
) -> None:
    """Logits in float64 stay, up to rounding, and the networks that were read are unchanged."""
    stack, spec = random_stack(shapes_of(program), num, seed), spec_of(program)
    before = {name: tensor.clone() for name, tensor in stack.items()}
    found = orders(treatment, reader(stack), range(num), names(num), spec)
    permute.validate(found.permutation, spec, num)
    ordered = in_order(reader(stack), found.permutation, spec)(range(num))
    inputs = torch.randn(6, program.num_inputs, dtype=torch.float64)
    expected, actual = program.logits(stack, inputs), program.logits(ordered, inputs)
    assert torch.allclose(expected, actual, rtol=1e-10, atol=1e-10)
    assert all(torch.equal(before[name], tensor) for name, tensor in stack.items())


@pytest.mark.parametrize("treatment", TREATMENTS[1:], ids=lambda t: t.treatment)
@settings(max_examples=10)
@given(seed=seeds(), num=st.integers(2, 6))
def test_permuted_copies_of_a_network_fall_on_it(seed: int, num: int, treatment: Treatment) -> None:
    """They are apart before and equal after, are found as one class, and their mean is the network."""
    program = MLPProgram(num_inputs=5, width=6, depth=1, num_classes=3)
    stack = copies_of_one(program, num, seed)
    found = form(stack, program, treatment, averages=(num,), epsilons=(1e-12,))
    assert found is not None
    assert (tuple(range(num)),) == found.equal
    assert (0.0,) * 5 == found.after.largest
    assert (num * (num - 1) // 2,) == found.near_after
    of_average, first = found.averages[0], rows(stack, [0])
    stream = torch.Generator().manual_seed(0)
    inputs = torch.randn(20, program.num_inputs, generator=stream, dtype=torch.float64)
    labels = torch.randint(program.num_classes, (20,), generator=stream)
    assert float(evaluate(program, first, inputs, labels).losses[0]) == pytest.approx(of_average.loss, 1e-10)


@settings(max_examples=15)
@given(seed=seeds(), num=st.integers(2, 6), depth=st.integers(1, 2))
def test_merging_never_ends_below_where_the_networks_stand(seed: int, num: int, depth: int) -> None:
    """The sum of inner products over pairs is that of the identity or larger; of two, weight matching's."""
    program = MLPProgram(num_inputs=4, width=5, depth=depth, num_classes=3)
    stack, spec = random_stack(shapes_of(program), num, seed), spec_of(program)
    found = orders(Merged(), reader(stack), range(num), names(num), spec)
    merged = pair_sum(in_order(reader(stack), found.permutation, spec)(range(num)), spec)
    assert merged >= pair_sum(stack, spec) - 1e-9
    if num == 2 and depth == 1:
        pair = [rows(stack, [0]), rows(stack, [1])]
        exact = align(WeightMatching(), pair, spec, names=["pair"])
        assert float(exact.objective_end[0]) == pytest.approx(merged, 1e-12)


def test_merging_gets_as_far_as_merging_in_memory() -> None:
    """Over 8 cells of six networks, the summed objective is within 2 % of that of merge_many."""
    program = MLPProgram(num_inputs=4, width=8, depth=1, num_classes=3)
    spec, ours, theirs = spec_of(program), 0.0, 0.0
    for seed in range(8):
        stack = random_stack(shapes_of(program), 6, seed)
        found = orders(Merged(max_sweeps=100), reader(stack), range(6), names(6), spec)
        ours += pair_sum(in_order(reader(stack), found.permutation, spec)(range(6)), spec)
        members = [rows(stack, [k]) for k in range(6)]
        reference = align(MergeMany(), members, spec, names=[f"group{seed}"])
        theirs += float(reference.objective_end[0])
    assert theirs == pytest.approx(ours, rel=0.02)


@given(seed=seeds(), num=st.integers(1, 9))
def test_the_mean_network_is_the_mean_of_every_entry(seed: int, num: int) -> None:
    """In the type of the weights, and a counter stays the first network's."""
    stack: ParamStack = {
        "weight": random_stack({"weight": (3, 4)}, num, seed)["weight"].float(),
        "count": torch.arange(num) + 7,
    }
    members = list(range(num))[::-1]
    mean = mean_network(reader(stack), members)
    expected = torch.tensor(
        [math.fsum(stack["weight"][:, i, j].tolist()) / num for i in range(3) for j in range(4)]
    )
    assert torch.allclose(expected, mean["weight"].flatten(), rtol=1e-6, atol=1e-7)
    assert torch.float32 == mean["weight"].dtype
    assert num + 6 == int(mean["count"][0])


def test_groups_lie_one_after_another_and_are_whole() -> None:
    """Seven networks make two groups of three however many are asked, and one of seven."""
    assert [[0, 1, 2], [3, 4, 5]] == [list(group) for group in groups_of(range(7), 3, 5)]
    assert [[0, 1, 2]] == [list(group) for group in groups_of(range(7), 3, 1)]
    assert [] == groups_of(range(7), 8, 2)


@pytest.mark.parametrize("treatment", TREATMENTS, ids=lambda t: t.treatment)
def test_averages_are_those_of_each_group_by_itself(treatment: Treatment) -> None:
    """What else is in the cell does not change the average of a group; nor does reading piece by piece."""
    program = MLPProgram(num_inputs=4, width=5, depth=2, num_classes=3)
    stack = random_stack(shapes_of(program), 7, 3)
    found = form(stack, program, treatment, averages=(2, 3, 7), groups=2)
    assert found is not None
    assert [2, 2, 3, 3, 7] == [len(average.members) for average in found.averages]
    first_alone = form(rows(stack, [0, 1, 2]), program, treatment, averages=(3,))
    assert first_alone is not None
    assert found.averages[2].loss == first_alone.averages[0].loss


def test_networks_that_are_not_finite_are_left_out() -> None:
    """Distances and averages are those of the others; of one finite network there is nothing to say."""
    program = MLPProgram(num_inputs=4, width=5, depth=1, num_classes=3)
    stack = random_stack(shapes_of(program), 4, 3)
    stack["layers.0.weight"][1, 0, 0] = math.nan
    found = form(stack, program, Sorted(), averages=(2, 3), groups=3)
    others = form(rows(stack, [0, 2, 3]), program, Sorted(), averages=(2, 3))
    assert found is not None
    assert others is not None
    assert (0, 2, 3) == found.members
    assert others.after == found.after
    assert [(0, 2), (0, 2, 3)] == [average.members for average in found.averages]
    stack["layers.0.weight"][2:] = math.inf
    assert form(stack, program, Sorted()) is None


def test_histograms_count_every_pair_once_and_means_lie_between() -> None:
    """Per tensor, both histograms share edges that begin at the smallest and end at the largest distance."""
    program = MLPProgram(num_inputs=4, width=5, depth=1, num_classes=3)
    found = form(random_stack(shapes_of(program), 6, 3), program, Matched())
    assert found is not None
    assert ALL == found.tensors[-1]
    assert len(found.tensors) == 5
    for spread in (found.before, found.after):
        for k, counts in enumerate(spread.counts):
            assert 15 == sum(counts)
            assert spread.smallest[k] <= spread.mean[k] <= spread.largest[k]
            assert found.edges[k][0] <= spread.smallest[k]
            assert found.edges[k][-1] >= spread.largest[k]


def test_what_is_held_in_memory_and_what_is_read_anew_give_the_same() -> None:
    """All figures of a cell that does not fit in memory are those of one that does."""
    program = MLPProgram(num_inputs=4, width=5, depth=1, num_classes=3)
    stack = random_stack(shapes_of(program), 6, 3)
    asked = CanonicalSpec(networks=names(6), treatment=Merged(), splits=("test",))
    spec = spec_of(program)
    roomy = canonical_form(asked, reader(stack), program, spec, {})
    narrow = canonical_form(asked, reader(stack), program, spec, {}, max_bytes=1.0)
    assert roomy is not None
    assert narrow is not None
    assert roomy.after.mean == pytest.approx(narrow.after.mean, rel=1e-12)
    assert roomy.equal == narrow.equal


def test_nothing_to_permute_is_refused() -> None:
    """An architecture without hidden units has no canonical form."""
    program = MLPProgram(num_inputs=4, width=5, depth=1, num_classes=3)
    stack = random_stack(shapes_of(program), 2, 3)
    with pytest.raises(ValueError, match="none to permute"):
        canonical_form(
            CanonicalSpec(networks=names(2), treatment=Raw()),
            reader(stack),
            program,
            PermutationSpec({}, {}),
            {},
        )


def test_zeros_of_either_sign_are_equal() -> None:
    """-0.0 and 0.0 do not tell networks apart; the smallest other difference does."""
    program = MLPProgram(num_inputs=4, width=5, depth=1, num_classes=3)
    stack = {
        name: tensor[:1].repeat(3, *[1] * (tensor.ndim - 1))
        for name, tensor in random_stack(shapes_of(program), 1, 3).items()
    }
    stack["layers.1.bias"][0, 0], stack["layers.1.bias"][1, 0] = 0.0, -0.0
    stack["layers.1.bias"][2, 0] = 5e-324
    found = form(stack, program, Raw())
    assert found is not None
    assert ((0, 1),) == found.equal
    assert row(stack, 0)["layers.1.bias"].dtype == torch.float64
