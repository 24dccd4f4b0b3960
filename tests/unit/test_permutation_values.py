"""Values that leave the operations of a forward pass, and tensors that come about beside them."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from module_zoo import Block
from torch import Tensor, nn
from torch.nn import functional

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
    """A forward pass that reads memory behind torch's back is found out, not believed."""

    def through_bytes(y: Tensor) -> Tensor:
        return torch.frombuffer(bytearray(y.untyped_storage().tolist()), dtype=y.dtype).reshape(y.shape)

    module = with_layer(through_bytes)
    spec = derive(module, EXAMPLE).spec
    for prove in (
        lambda: check_spec(module, spec, EXAMPLE),
        lambda: derive_permutation_spec(module, EXAMPLE),
    ):
        with pytest.raises(ValueError, match="Block differs by"):
            prove()


def test_a_stack_is_of_its_tensors_as_they_were() -> None:
    """Though they are transposed in place before anyone looks at the stack."""

    def forward(m: nn.Module, x: Tensor) -> Tensor:
        weight = m.square * 1
        stacked = torch.stack([weight, weight])
        weight.transpose_(0, 1)
        return m.head((m.first(x).relu() @ stacked.sum(0)).relu())

    square = nn.Parameter(torch.ones(6, 6))
    module = Block(forward, first=nn.Linear(3, 6), square=square, head=nn.Linear(6, 2))
    spec = derive_permutation_spec(module, EXAMPLE)
    assert spec.axes["square", 0] == spec.axes["first.weight", 0]
    assert spec.axes["square", 1] == spec.axes["head.weight", 1]


def test_sparse_buffers_stay_as_they_are() -> None:
    """One that is read is held in place and its reader named; one that nothing reads changes nothing."""
    module = with_layer(torch.tanh)
    module.register_buffer("graph", torch.eye(6).to_sparse())
    assert {"first": 6} == dict(derive_permutation_spec(module, EXAMPLE).groups)

    def forward(m: nn.Module, x: Tensor) -> Tensor:
        return m.head(m.last(torch.sparse.mm(m.graph, m.first(x))).relu())

    graph, first, last = torch.eye(2).to_sparse(), nn.Linear(3, 6), nn.Linear(6, 5)
    reading = Block(forward, graph=graph, first=first, last=last, head=nn.Linear(5, 2))
    found = derive(reading, EXAMPLE)
    assert ({"last": 5}, ["_sparse_addmm"]) == (
        dict(found.spec.groups),
        [one.operation for one in found.pinned_operations],
    )
    assert check_spec(reading, found.spec, EXAMPLE) <= 1e-10


def test_inputs_may_be_left_out() -> None:
    """None among the inputs reaches the forward pass as it is."""

    class Optional(nn.Sequential):
        def forward(self, inputs: Tensor, scale: Tensor | None) -> Tensor:
            return super().forward(inputs) * (1 if scale is None else scale)  # type: ignore[no-any-return]

    module = Optional(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 2))
    assert {"0": 6} == dict(derive_permutation_spec(module, (EXAMPLE, None)).groups)


@pytest.mark.parametrize("persistent", [True, False])
def test_a_table_of_equal_places_ties_nothing(persistent: bool) -> None:
    """Whether the state dict holds it or not, what is the same for all units leaves them free."""

    def forward(m: nn.Module, x: Tensor) -> Tensor:
        return m.head(m.first(x).relu() * m.table)

    module = Block(forward, first=nn.Linear(3, 6), head=nn.Linear(6, 2))
    module.register_buffer("table", torch.full((6,), 0.5), persistent=persistent)
    assert {"first": 6} == dict(derive_permutation_spec(module, EXAMPLE).groups)


def test_numbers_become_columns_without_a_look_at_them() -> None:
    """``one_hot`` of labels leaves hidden units free; of the places of hidden units, holds these."""

    class Conditional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.label, self.head = nn.Linear(3, 6), nn.Linear(4, 6), nn.Linear(6, 2)

        def forward(self, inputs: Tensor, labels: Tensor) -> Tensor:
            label = self.label(functional.one_hot(labels, 4).to(inputs.dtype))
            return self.head((self.first(inputs) + label).relu())  # type: ignore[no-any-return]

    labels = torch.tensor([1, 3])
    assert {"label": 6} == dict(derive_permutation_spec(Conditional(), (EXAMPLE, labels)).groups)
    places = with_layer(lambda y: functional.one_hot(y.argmax(1), 6).to(y.dtype))
    with pytest.raises(ValueError, match="nothing in Block can be permuted"):
        derive(places, EXAMPLE)
