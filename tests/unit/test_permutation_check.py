"""The check that a permuted network computes the same function."""

from __future__ import annotations

import pytest
import torch
from strategies import random_permutation, random_stack, shapes_of

from workers.architectures.mlp import MLPProgram
from workers.permutation.check import check_function_preserved
from workers.permutation.derive import derive_permutation_spec
from workers.permutation.spec import PermutationSpec, Segment

PROGRAM = MLPProgram(num_inputs=4, width=6, depth=1, num_classes=3)
SPEC = derive_permutation_spec(PROGRAM.module)
WRONG = PermutationSpec(groups=SPEC.groups, axes={("layers.0.weight", 0): (Segment("layers.0", 6),)})
INPUTS = torch.linspace(-1, 1, 20).view(5, 4)


def test_a_wrong_spec_is_refused_and_the_worst_network_named() -> None:
    """A spec that forgets the bias and the next layer fails; a network that moves nothing does not."""
    params = {name: t.float() for name, t in random_stack(shapes_of(PROGRAM), 2, 1).items()}
    permutation = random_permutation(WRONG, 2, 1)
    permutation["layers.0"][0] = torch.arange(6)
    with pytest.raises(ValueError, match="network 1 of 2 differs by"):
        check_function_preserved(PROGRAM, params, permutation, WRONG, INPUTS)


def test_rounding_of_float32_passes() -> None:
    """The default tolerance for float32 leaves room for rounding."""
    params = {name: t.float() for name, t in random_stack(shapes_of(PROGRAM), 2, 2).items()}
    assert check_function_preserved(PROGRAM, params, random_permutation(SPEC, 2, 2), SPEC, INPUTS) < 1e-5


def test_a_diverged_network_is_passed_over() -> None:
    """Weights that are not finite compute no function to preserve, and do not hide a fault of another."""
    params = {name: t.float() for name, t in random_stack(shapes_of(PROGRAM), 2, 3).items()}
    params["layers.1.bias"][0] = torch.nan
    assert check_function_preserved(PROGRAM, params, random_permutation(SPEC, 2, 3), SPEC, INPUTS) < 1e-5
    with pytest.raises(ValueError, match="network 1 of 2"):
        check_function_preserved(PROGRAM, params, random_permutation(WRONG, 2, 3), WRONG, INPUTS)
