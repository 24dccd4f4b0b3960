"""Fully connected networks as flat vectors: the form in which their losses are minimized to high precision.

Layer k (1 to d) is one matrix (n_k, n_{k-1} + 1) whose last column is the bias; its row m is the parameter
vector of neuron m. A network is these matrices one after another, row by row; a stack of N networks is a
matrix (N, D). Inputs and activations carry a last row of ones, so that a layer is one product.

Source:
    Brea et al. 2019, section 1.2: the bias belongs to the parameter vector.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from workers.params import ParamStack

Activation = Literal["relu", "tanh", "softplus"]
SMOOTH: frozenset[str] = frozenset({"tanh", "softplus"})
"""Activations with second derivatives everywhere, as a Hessian needs them."""


@dataclass(frozen=True)
class DenseShape:
    """Neurons n_0 (inputs) to n_d (outputs) of a network, and the activation of its hidden layers."""

    sizes: tuple[int, ...]
    activation: Activation = "relu"

    def __post_init__(self) -> None:
        if len(self.sizes) < 3 or min(self.sizes) < 1:
            raise ValueError(
                f"a network needs inputs, a hidden layer and outputs, each of 1 or more: {self.sizes}"
            )

    @property
    def num_layers(self) -> int:
        """d: the hidden layers are 1 to d - 1."""
        return len(self.sizes) - 1

    @cached_property
    def layer_shapes(self) -> tuple[tuple[int, int], ...]:
        """Rows and columns of every layer's matrix, biases included."""
        return tuple((above, below + 1) for below, above in pairwise(self.sizes))

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """Where each layer begins in the vector; last the vector's length D."""
        found = [0]
        for rows, columns in self.layer_shapes:
            found.append(found[-1] + rows * columns)
        return tuple(found)

    @property
    def num_parameters(self) -> int:
        """D."""
        return self.offsets[-1]

    def layers(self, flat: Float[Tensor, "N D"]) -> list[Float[Tensor, "N rows columns"]]:
        """Every layer's matrix, as views into the vectors."""
        return [
            flat[:, start:stop].view(-1, *shape)
            for (start, stop), shape in zip(pairwise(self.offsets), self.layer_shapes, strict=True)
        ]

    def neuron(self, layer: int, index: int) -> slice:
        """Where the parameter vector of a neuron of layer ``layer`` (from 1) stands in the vector."""
        columns = self.layer_shapes[layer - 1][1]
        start = self.offsets[layer - 1] + index * columns
        return slice(start, start + columns)

    def outgoing(self, layer: int, index: int) -> slice:
        """Where the output weights of a neuron of a hidden layer stand: every so many entries."""
        columns = self.layer_shapes[layer][1]
        return slice(self.offsets[layer] + index, self.offsets[layer + 1], columns)

    def with_width(self, layer: int, width: int) -> DenseShape:
        """The same shape with another number of neurons in a hidden layer."""
        self.require_hidden(layer)
        return DenseShape((*self.sizes[:layer], width, *self.sizes[layer + 1 :]), self.activation)

    def require_hidden(self, layer: int, *neurons: int) -> None:
        """Raises ValueError unless this is a hidden layer with these neurons, each named once."""
        if not 1 <= layer < self.num_layers:
            raise ValueError(
                f"layer {layer} is no hidden layer: this network's are 1 to {self.num_layers - 1}; inputs "
                "and outputs are not permuted"
            )
        width = self.sizes[layer]
        missing = [index for index in neurons if not 0 <= index < width]
        if missing:
            raise ValueError(f"layer {layer} has neurons 0 to {width - 1}, not {missing[0]}")
        if len(set(neurons)) < len(neurons):
            raise ValueError(f"two different neurons are merged; layer {layer} was given {list(neurons)}")


def flattened(params: ParamStack) -> Float[Tensor, "N D"]:
    """Vectors of a stack with tensors ``layers.<k>.weight`` and ``layers.<k>.bias``, k from 0."""
    num_layers = len(params) // 2
    parts = [
        torch.cat([params[f"layers.{k}.weight"], params[f"layers.{k}.bias"].unsqueeze(-1)], dim=2).flatten(1)
        for k in range(num_layers)
    ]
    return torch.cat(parts, dim=1)


def unflattened(shape: DenseShape, flat: Float[Tensor, "N D"]) -> ParamStack:
    """The stack of state dicts whose vectors these are."""
    params: ParamStack = {}
    for k, layer in enumerate(shape.layers(flat)):
        params[f"layers.{k}.weight"] = layer[:, :, :-1].contiguous()
        params[f"layers.{k}.bias"] = layer[:, :, -1].contiguous()
    return params


def with_ones(inputs: Float[Tensor, "B inputs"]) -> Float[Tensor, "inputs_and_one B"]:
    """Inputs as columns, a row of ones below, as ``outputs`` and the losses take them."""
    ones = inputs.new_ones(1, inputs.shape[0])
    return torch.cat([inputs.T, ones])


def outputs(
    shape: DenseShape, flat: Float[Tensor, "N D"], inputs: Float[Tensor, "inputs_and_one B"]
) -> Float[Tensor, "N C B"]:
    """Outputs of every network on the same inputs; differentiable."""
    layers = shape.layers(flat)
    hidden = inputs.expand(flat.shape[0], -1, -1)
    for weights in layers[:-1]:
        active = activate(shape.activation, torch.bmm(weights, hidden))
        hidden = torch.cat([active, active.new_ones(active.shape[0], 1, active.shape[2])], dim=1)
    return torch.bmm(layers[-1], hidden)


def activate(activation: Activation, values: Tensor) -> Tensor:
    """g of the values."""
    if activation == "relu":
        return torch.relu(values)
    if activation == "tanh":
        return torch.tanh(values)
    return torch.nn.functional.softplus(values)


def slope(activation: Activation, activated: Tensor) -> Tensor:
    """g' where g is ``activated``; that of ReLU at its kink is 0."""
    if activation == "relu":
        return (activated > 0).to(activated.dtype)
    if activation == "tanh":
        return 1 - activated * activated
    return -torch.expm1(-activated)  # softplus(z) = -log(1 - sigmoid(z))


def curvature(activation: Activation, activated: Tensor) -> Tensor:
    """g'' where g is ``activated``, of smooth activations; 0 for ReLU."""
    if activation == "relu":
        return torch.zeros_like(activated)
    if activation == "tanh":
        return -2 * activated * (1 - activated * activated)
    return -torch.expm1(-activated) * torch.exp(-activated)
