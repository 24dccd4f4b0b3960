"""Values that leave the operations of a forward pass, and tensors that come about beside them."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from module_zoo import Block
from torch import Tensor, nn

from workers.permutation.check import check_spec
from workers.permutation.derive import derive, derive_permutation_spec

EXAMPLE = torch.zeros(2, 3)


def with_layer(function: Callable[[Tensor], Tensor]) -> nn.Module:
    """Two layers, with a function of the hidden units between them."""

    def forward(m: nn.Module, x: Tensor) -> Tensor:
        return m.head(function(m.first(x).relu()))

    return Block(forward, first=nn.Linear(3, 6), head=nn.Linear(6, 2))


@pytest.mark.parametrize(
    ("function", "reader"),
    [
        (lambda y: torch.tensor(y.tolist()), "tolist"),
        (lambda y: y[:, y[0].argsort().tolist()], "tolist"),
        (lambda y: torch.from_numpy(y.numpy()), "numpy"),
        (lambda y: torch.from_numpy(y.__array__()), "__array__"),
        (torch.from_dlpack, "__dlpack__"),
        (lambda y: torch.tensor([list(row) for row in y]), "tensor"),
    ],
)
def test_values_that_leave_torch_are_refused(function: Callable[[Tensor], Tensor], reader: str) -> None:
    """What other libraries or Python compute from values cannot be followed; the method is named."""
    with pytest.raises(ValueError, match=f"Block cannot be traced: it, by {reader}, looks at values"):
        derive(with_layer(function), EXAMPLE)


@pytest.mark.parametrize(
    "function",
    [
        lambda y: y.as_subclass(Tensor) * 1,
        copy.deepcopy,
        nn.Parameter,
        lambda y: torch.asarray(y) + torch.tensor([[1.0, 2.0]]).tolist()[0][1],
    ],
)
def test_the_same_tensor_by_another_way_has_the_same_units(function: Callable[[Tensor], Tensor]) -> None:
    """Copies and subclasses that no operation makes move with what they were made of, or stay in place."""
    module = with_layer(function)
    assert {"first": 6} == dict(derive_permutation_spec(module, EXAMPLE).groups)


def test_a_layer_that_is_copied_on_the_way_keeps_its_units() -> None:
    """Its weights are those of the original."""

    def forward(m: nn.Module, x: Tensor) -> Tensor:
        return m.head(copy.deepcopy(m.second)(m.first(x).relu()).relu())

    module = Block(forward, first=nn.Linear(3, 6), second=nn.Linear(6, 5), head=nn.Linear(5, 2))
    assert [5, 6] == sorted(derive_permutation_spec(module, EXAMPLE).groups.values())


def test_what_is_derived_is_proved() -> None:
    """A forward pass that exchanges weights behind torch's back is found out, not believed."""

    def forward(m: nn.Module, x: Tensor) -> Tensor:
        m.first.weight.data = m.other.data
        return m.head(m.first(x).relu())

    module = Block(forward, first=nn.Linear(3, 6), other=nn.Parameter(torch.ones(6, 3)), head=nn.Linear(6, 2))
    spec = derive(module, EXAMPLE).spec
    with pytest.raises(ValueError, match="Block differs by"):
        check_spec(module, spec, EXAMPLE)
    with pytest.raises(ValueError, match="Block differs by"):
        derive_permutation_spec(module, EXAMPLE)
