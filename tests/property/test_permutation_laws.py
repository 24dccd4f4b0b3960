"""Laws of permutations acting on stacks."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import DrawnSpec, mlp_programs, random_permutation, random_stack, seeds, shapes_of, specs

from workers.architectures.mlp import MLPProgram
from workers.params import rows
from workers.permutation import permute
from workers.permutation.check import check_function_preserved
from workers.permutation.derive import derive_permutation_spec
from workers.permutation.spec import PermutationSpec

counts = st.integers(1, 3)


@given(mlp_programs(), counts, seeds())
def test_a_permuted_network_computes_the_same_function(program: MLPProgram, count: int, seed: int) -> None:
    """Logits of random MLPs of any depth and width agree to 1e-10 in float64 under the derived spec."""
    spec = derive_permutation_spec(program.module)
    params = random_stack(shapes_of(program), count, seed)
    inputs = torch.randn(9, program.num_inputs, generator=torch.Generator().manual_seed(seed)).double()
    permutation = random_permutation(spec, count, seed)
    assert check_function_preserved(program, params, permutation, spec, inputs, 1e-10) <= 1e-10


@given(specs(), counts, seeds())
def test_inverse_undoes_and_composition_chains(drawn: DrawnSpec, count: int, seed: int) -> None:
    """apply(invert) undoes apply, and apply(compose(p, q)) is apply(q) after apply(p), bit for bit."""
    spec, shapes = drawn.spec, drawn.shapes
    params = random_stack(shapes, count, seed)
    first, then = (random_permutation(spec, count, seed + k) for k in range(2))
    moved = permute.apply(params, first, spec)
    back = permute.apply(moved, permute.invert(first), spec)
    chained = permute.apply(moved, then, spec)
    at_once = permute.apply(params, permute.compose(first, then), spec)
    for name, tensor in params.items():
        assert torch.equal(tensor, back[name])
        assert torch.equal(chained[name], at_once[name])


@given(specs(), seeds(), st.data())
def test_groups_left_out_stay(drawn: DrawnSpec, seed: int, data: st.DataObject) -> None:
    """A permutation of some groups equals one that holds the identity for the others."""
    spec, shapes = drawn.spec, drawn.shapes
    params, full = random_stack(shapes, 2, seed), random_permutation(spec, 2, seed)
    kept = data.draw(st.sets(st.sampled_from(sorted(spec.groups))))
    part = {group: index for group, index in full.items() if group in kept}
    expected = permute.apply(params, {**permute.identity(spec, 2), **part}, spec)
    actual = permute.apply(params, part, spec)
    assert all(torch.equal(expected[name], actual[name]) for name in params)
    composed = permute.compose(part, full)
    assert all(
        torch.equal(permute.compose({**permute.identity(spec, 2), **part}, full)[g], composed[g])
        for g in full
    )


@given(specs(), seeds())
def test_apply_changes_nothing_given_and_shares_nothing(drawn: DrawnSpec, seed: int) -> None:
    """The inputs are unchanged, and overwriting the result does not reach them."""
    spec, shapes = drawn.spec, drawn.shapes
    params, permutation = random_stack(shapes, 2, seed), random_permutation(spec, 2, seed)
    before = {name: tensor.clone() for name, tensor in params.items()}
    indices = {group: index.clone() for group, index in permutation.items()}
    for some in (permutation, {}):
        for tensor in permute.apply(params, some, spec).values():
            tensor.fill_(torch.nan)
    assert all(torch.equal(before[name], params[name]) for name in params)
    assert all(torch.equal(indices[group], permutation[group]) for group in permutation)


@given(specs(), seeds())
def test_a_stack_permutes_row_by_row(drawn: DrawnSpec, seed: int) -> None:
    """Row n of a permuted stack is the permuted row n."""
    spec, shapes = drawn.spec, drawn.shapes
    params, permutation = random_stack(shapes, 3, seed), random_permutation(spec, 3, seed)
    whole = permute.apply(params, permutation, spec)
    alone = permute.apply(rows(params, [1]), rows(permutation, [1]), spec)
    assert all(torch.equal(whole[name][1:2], alone[name]) for name in params)


@given(specs())
def test_a_spec_survives_json(drawn: DrawnSpec) -> None:
    """from_json(to_json) is the same spec, which covers its parameters exactly."""
    spec, shapes = drawn.spec, drawn.shapes
    again = PermutationSpec.from_json(spec.to_json())
    assert (dict(spec.groups), dict(spec.axes)) == (dict(again.groups), dict(again.axes))
    again.validate(shapes)
