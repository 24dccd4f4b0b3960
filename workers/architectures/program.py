"""What a stack of networks of one architecture can compute."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

from workers.params import Params, ParamStack


@runtime_checkable
class StackedProgram(Protocol):
    """The forward pass of one architecture over a network axis.

    A network is its state: parameters and buffers in one dict, named as in the module's state dict; a
    tensor that stands there under several names is held under the first. Permuting, interpolating and
    storing treat all of it alike; only matching and the statistics tell buffers from parameters.

    Logits have shape (N, C, B): the class axis stands before the examples, as torch's cross-entropy
    has it for sequences. Log-softmax over an axis of ten that is not the last was measured at a
    fifteenth of the time of one that is, because it vectorizes over examples.
    """

    @property
    def module(self) -> nn.Module:
        """The module itself on the ``meta`` device: names, shapes, forward pass; no weights."""
        ...

    @property
    def num_classes(self) -> int:
        """C."""
        ...

    @property
    def buffers(self) -> frozenset[str]:
        """Names of the state's tensors that are not parameters: statistics, counters, constants."""
        ...

    @property
    def statistics(self) -> frozenset[str]:
        """The buffers that hold population means and variances of batch norm; none without batch norm."""
        ...

    def initialize(self, seed: int) -> Params:
        """PyTorch's default initialization of the module from one seed; buffers included."""
        ...

    def prepare(self, images: Tensor) -> Tensor:
        """Normalized images (B, channels, height, width) in the shape that ``logits`` takes."""
        ...

    def logits(self, params: ParamStack, inputs: Tensor) -> Float[Tensor, "N C B"]:
        """Logits of every network on the same prepared inputs."""
        ...

    def logits_on_segment(
        self, params_a: ParamStack, params_b: ParamStack, alphas: list[float], inputs: Tensor
    ) -> Iterator[Float[Tensor, "P C B"]]:
        """Logits of theta(alpha) = (1 - alpha) * theta_a + alpha * theta_b, one item per alpha, all pairs.

        At alpha 0 and 1 they are those of the endpoints, bit for bit. Statistics are interpolated as
        parameters are; integer buffers are the first endpoint's.
        """
        ...

    def with_statistics(self, params: ParamStack, batches: Sequence[Tensor]) -> ParamStack:
        """The same networks with batch-norm statistics measured anew on these prepared inputs.

        From zero, in training mode of the batch norm alone: the simple average over the batches of each
        one's mean and unbiased variance. Networks without batch norm are returned as they are.
        """
        ...

    def floats_per_example(self) -> int:
        """Activations of one network on one example, in floats: the measure for chunk sizes."""
        ...
