"""The multilayer perceptron, alone and stacked.

The hidden layers have equal width, ReLU and biases; PyTorch's default initialization, no dropout
(Entezari et al. 2021, section 2.1, for all depths alike).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from workers.params import Params, ParamStack
from workers.seeding import with_global_seed

FIRST_LAYER = ("layers.0.weight", "layers.0.bias")


class MLP(nn.Module):
    """Linear layers ``layers.0`` to ``layers.<depth>`` with ReLU between; the last gives the logits."""

    def __init__(self, num_inputs: int, width: int, depth: int, num_classes: int) -> None:
        super().__init__()
        sizes = [num_inputs, *[width] * depth, num_classes]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))

    def forward(self, inputs: Float[Tensor, "B inputs"]) -> Float[Tensor, "B C"]:
        """Logits of a batch."""
        hidden = inputs
        for layer in self.layers[:-1]:
            hidden = torch.relu(layer(hidden))
        return self.layers[-1](hidden)


class MLPProgram:
    """A stack of MLPs of one shape."""

    def __init__(self, num_inputs: int, width: int, depth: int, num_classes: int) -> None:
        self.num_inputs, self.width, self.depth, self.num_classes = num_inputs, width, depth, num_classes

    def make(self) -> MLP:
        return MLP(self.num_inputs, self.width, self.depth, self.num_classes)

    @cached_property
    def module(self) -> nn.Module:
        """The module on the ``meta`` device."""
        with torch.device("meta"):
            return self.make()

    @property
    def buffers(self) -> frozenset[str]:
        """There are none."""
        return frozenset()

    @property
    def statistics(self) -> frozenset[str]:
        """There are none."""
        return frozenset()

    def with_statistics(self, params: ParamStack, batches: Sequence[Tensor]) -> ParamStack:
        """The networks as they are."""
        return params

    def initialize(self, seed: int) -> Params:
        """PyTorch's default initialization from one seed."""
        module = with_global_seed(seed, self.make)
        return {name: tensor.detach() for name, tensor in module.state_dict().items()}

    def prepare(self, images: Tensor) -> Float[Tensor, "B inputs"]:
        """Normalized images (B, channels, height, width), flattened.

        Raises:
            ValueError: For images that are still bytes: ``workers.datasets.tensors.normalize`` comes first.
        """
        if not images.is_floating_point():
            raise ValueError(f"prepare takes normalized images, not {images.dtype}: call normalize first")
        return images.flatten(1)

    def logits(self, params: ParamStack, inputs: Float[Tensor, "B inputs"]) -> Float[Tensor, "N C B"]:
        """Logits of every network on the same inputs."""
        params = self.aligned(params)
        return self._above(params, self.first_preactivation(params, inputs))

    def logits_on_segment(
        self,
        params_a: ParamStack,
        params_b: ParamStack,
        alphas: list[float],
        inputs: Float[Tensor, "B inputs"],
    ) -> Iterator[Float[Tensor, "P C B"]]:
        """Logits along the segment; the first layer's products are formed for the endpoints alone.

        A pre-activation of the first layer is linear in the weights, so at theta(alpha) it is
        (1 - alpha) * z_a + alpha * z_b: two products serve all alphas, and one where both stacks share
        the layer's memory, as they do if only layers above it move. Pairs that follow one another and begin
        at the same network share its product.
        """
        params_a, params_b = self.aligned(params_a), self.aligned(params_b)
        first_a = self._of_runs(params_a, inputs)
        moves = not all(params_a[name].is_set_to(params_b[name]) for name in FIRST_LAYER)
        first_b = self.first_preactivation(params_b, inputs) if moves else first_a
        upper = [name for name in params_a if not name.startswith("layers.0.")]
        for alpha in alphas:
            if alpha in (0.0, 1.0):
                end = params_a if alpha == 0.0 else params_b
                yield self._above(end, (first_a if alpha == 0.0 else first_b).clone())
                continue
            between = {name: torch.lerp(params_a[name], params_b[name], alpha) for name in upper}
            yield self._above(between, torch.lerp(first_a, first_b, alpha))

    def floats_per_example(self) -> int:
        """Inputs, units and logits of one network on one example."""
        return self.num_inputs + self.depth * self.width + self.num_classes

    def aligned(self, params: ParamStack) -> ParamStack:
        """The same functions with dead hidden units up to a multiple of 4.

        Every network's matrices then start alike modulo 16 bytes, wherever it stands in the stack; where
        they do not, batched products were measured to round differently.
        """
        missing = -self.width % 4
        if not missing:
            return params
        padded = {}
        for layer in range(self.depth + 1):
            above, below = missing * (layer < self.depth), missing * (layer > 0)
            name = f"layers.{layer}"
            padded[f"{name}.weight"] = nn.functional.pad(params[f"{name}.weight"], (0, below, 0, above))
            padded[f"{name}.bias"] = nn.functional.pad(params[f"{name}.bias"], (0, above))
        return padded

    def first_preactivation(self, params: ParamStack, inputs: Tensor) -> Tensor:
        """Pre-activations (N, W, B) of the first layer.

        One product of all rows with the shared inputs would be as fast, but with several threads its bits
        depend on how many networks there are; those of a batched product of two or more do not.
        """
        weight, bias = params["layers.0.weight"], params["layers.0.bias"]
        return torch.baddbmm(bias.unsqueeze(-1), weight, inputs.mT.expand(weight.shape[0], -1, -1))

    def _of_runs(self, params: ParamStack, inputs: Tensor) -> Tensor:
        """The same as ``first_preactivation``, formed once for rows in a row that are one network.

        A batch of all pairs of some networks has each as the first of many. To compare weights takes a
        hundredth of a product; on a GPU, where it would have to be awaited, they are not compared.
        """
        weight, bias = params["layers.0.weight"], params["layers.0.bias"]
        if weight.device.type != "cpu" or len(weight) == 1:
            return self.first_preactivation(params, inputs)
        differs = (weight[1:] != weight[:-1]).flatten(1).any(1) | (bias[1:] != bias[:-1]).any(1)
        if bool(differs.all()):
            return self.first_preactivation(params, inputs)
        run = torch.cat([differs.new_zeros(1, dtype=torch.int64), differs.cumsum(0)])
        firsts = torch.cat([run.new_zeros(1), 1 + differs.nonzero().flatten()])
        return self.first_preactivation({name: params[name][firsts] for name in FIRST_LAYER}, inputs)[run]

    def _above(self, params: ParamStack, preactivation: Tensor) -> Tensor:
        """Logits from the first layer's pre-activations, which are overwritten."""
        hidden = preactivation
        for layer in range(1, self.depth + 1):
            weight, bias = params[f"layers.{layer}.weight"], params[f"layers.{layer}.bias"]
            hidden = torch.baddbmm(bias.unsqueeze(-1), weight, hidden.relu_())
        return hidden
