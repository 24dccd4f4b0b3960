"""The forward pass of a module, run once to learn which axes of its state move together."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from workers.permutation.operations import tensors_in
from workers.permutation.recorder import Recorder, Trace
from workers.permutation.stand_in import first_line, stand_in, values_of

VALUE_METHODS = frozenset({Tensor.tolist, Tensor.numpy, Tensor.__array__, Tensor.__dlpack__})
"""Methods that hand a tensor's values to Python or other libraries, where they cannot be followed."""

VALUE_TAKERS = frozenset({torch.tensor, torch.as_tensor, torch.asarray})
"""Functions that read the values of tensors in a list."""


def trace(module: nn.Module, inputs: tuple[Tensor | None, ...]) -> Trace:
    """The axes of a module's state, tied as its forward pass on inputs of these shapes demands.

    The module runs on the CPU, in eval mode, with zeros for parameters and floating-point inputs, and
    is observed below autograd, where torch has taken composite operations apart.

    Raises:
        ValueError: If the forward pass fails or depends on the values of tensors.
    """
    outside: list[tuple[Tensor, bool]] = []

    def make(name: str | None, tensor: Tensor) -> Tensor:
        if isinstance(tensor, nn.Parameter):
            made = torch.zeros(tensor.shape, dtype=tensor.dtype)
        else:  # tables of numbers and masks are read for what they say
            made = values_of(tensor)
        if name is None:
            outside.append((made, not tensor.is_meta and not tensor.requires_grad))
        return made

    copied, state = stand_in(module, make)
    recorder = Recorder(copied, state, outside)
    examples = tuple(recorder.example(tensor) for tensor in inputs)
    kind = type(module).__name__
    try:
        with torch.no_grad(), _PythonSide(recorder), recorder:
            outputs = copied(*examples)
    except Exception as error:
        if recorder.reader is not None:
            raise ValueError(
                f"{kind} cannot be traced: {recorder.reader} looks at values of tensors. "
                "Its forward pass must not branch on values of tensors."
            ) from error
        raise ValueError(
            f"{recorder.place or kind} fails on the example input: {first_line(error)}"
        ) from error
    return recorder.finish(outputs)


class _PythonSide(TorchFunctionMode):
    """Sees what becomes of tensors above dispatch: values that leave it, and copies that do not pass it.

    While it is active, layers with a fused path for inference take the one made of operations.
    """

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is Tensor.__deepcopy__:
            return _copied(*args, **(kwargs or {}))
        if func is functional.one_hot:
            return _one_hot(*args, **(kwargs or {}))
        if func in VALUE_METHODS:
            self._recorder.read(func.__name__, args[:1])
        elif func in VALUE_TAKERS and args and not isinstance(args[0], Tensor):
            self._recorder.read(func.__name__, tensors_in(args[0]))
        return func(*args, **(kwargs or {}))


def _one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """As ``functional.one_hot``, which looks whether the numbers are in range."""
    if num_classes < 0:
        return functional.one_hot(tensor, num_classes)
    return (tensor.unsqueeze(-1) == torch.arange(num_classes, device=tensor.device)).long()


def _copied(tensor: Tensor, memo: dict[int, Any]) -> Tensor:
    """A deep copy made by an operation."""
    if id(tensor) not in memo:
        copied = tensor.clone()
        memo[id(tensor)] = nn.Parameter(copied, False) if isinstance(tensor, nn.Parameter) else copied
    made: Tensor = memo[id(tensor)]
    return made
