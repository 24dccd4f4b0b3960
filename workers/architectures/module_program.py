"""Any module as a stacked program: the networks of a stack are evaluated one after another.

They take turns on every device. Turned into one call by ``vmap``, their convolutions become grouped
ones, measured on a CPU at 2.4 times the time of a loop. Training alone may do that, on a GPU, where
one call saves most of the launches: it times both ways (``workers.training.kernels``).
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.instancenorm import _InstanceNorm

from workers.architectures.module_copies import Mode, ModuleCopies, ModuleCopy, set_for
from workers.params import Params, ParamStack, interpolated, num_networks, row, stack
from workers.seeding import with_global_seed

FLOATS_AT_ONCE = 1 << 21
"""Activations of the examples of one forward pass on a CPU, in floats, where there would be more than 64."""


class ModuleProgram:
    """A stack of networks of one module.

    ``num_parameters`` and ``num_products`` count its parameters, and the multiplications of its linear
    and convolutional layers on one example.

    Args:
        make: Returns the module with fresh weights, drawn from torch's global generator.
        shape: Of an image: channels, height, width.
        num_classes: C, if it is to be checked.
        name: Of the architecture, for messages.

    Raises:
        ValueError: If the module does not take such images, or does not return logits (B, C).
    """

    def __init__(
        self,
        make: Callable[[], nn.Module],
        shape: tuple[int, int, int],
        num_classes: int,
        name: str = "the module",
    ) -> None:
        self.make, self.shape, self.num_classes, self.name = make, shape, num_classes, name
        self._copies: ModuleCopies | None = None
        self._lock = threading.Lock()
        module = with_global_seed(0, make)
        self.num_parameters = sum(parameter.numel() for parameter in module.parameters())
        self._takes_flat, self._floats, self.num_products = _inspect(module, shape, num_classes, name)

    @cached_property
    def module(self) -> nn.Module:
        """The module with its state on the ``meta`` device; what no state dict holds keeps its values."""
        return _without_weights(with_global_seed(0, self.make))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of a network's tensors: parameters, then the buffers that a state dict holds; ties once."""
        held = self.module.state_dict().keys()
        named = [name for name, _ in (*self.module.named_parameters(), *self.module.named_buffers())]
        return tuple(name for name in named if name in held)

    @cached_property
    def aliases(self) -> dict[str, str]:
        """Further names in the state dict of tensors that are held under another one."""
        first: dict[int, str] = {}
        tensors = self.module.state_dict(keep_vars=True)
        for name in (*self.names, *tensors):
            first.setdefault(id(tensors[name]), name)
        return {name: first[id(tensor)] for name, tensor in tensors.items() if first[id(tensor)] != name}

    @cached_property
    def buffers(self) -> frozenset[str]:
        """Names of the tensors that are not parameters."""
        return frozenset(self.names) - {name for name, _ in self.module.named_parameters()}

    @cached_property
    def statistics(self) -> frozenset[str]:
        """Running means and variances of every batch norm that keeps them."""
        return frozenset(
            f"{layer}.{kind}" if layer else kind
            for layer, norm in self.module.named_modules()
            if isinstance(norm, _BatchNorm) and norm.running_mean is not None
            for kind in ("running_mean", "running_var")
        )

    def initialize(self, seed: int) -> Params:
        """The module's own initialization from one seed."""
        state = with_global_seed(seed, self.make).state_dict()
        return {name: state[name].detach().clone() for name in self.names}

    def prepare(self, images: Float[Tensor, "B channels height width"]) -> Tensor:
        """Normalized images (B, channels, height, width), flattened where the first layer is linear.

        Raises:
            ValueError: For images that are still bytes: ``workers.datasets.tensors.normalize`` comes first.
        """
        if not images.is_floating_point():
            raise ValueError(f"prepare takes normalized images, not {images.dtype}: call normalize first")
        return torch.flatten(images, 1) if self._takes_flat else images

    def logits(self, params: ParamStack, inputs: Tensor) -> Float[Tensor, "N C B"]:
        """Logits of every network on the same inputs."""
        parts = [laid_out(part) for part in torch.split(inputs, self._examples_at_once(inputs))]
        outputs: list[Tensor] = []
        with self.forward("evaluation", params) as run:
            for k in range(num_networks(params)):
                network = row(params, k)
                outputs.append(torch.cat([run(network, part) for part in parts]))
        return torch.stack(outputs).mT.contiguous()

    def _examples_at_once(self, inputs: Tensor) -> int:
        """Examples of one forward pass: on a CPU few, but enough to pay for reading the weights.

        Measured on all families at several widths: 64 examples are as fast as any other number, and 512
        take up to twice the time for each, since every layer's output is then memory fresh from the system.
        """
        if inputs.device.type != "cpu":
            return max(1, len(inputs))
        wanted = max(FLOATS_AT_ONCE, self.num_parameters) // self._floats
        return min(max(wanted - wanted % 16, 64), 512)

    def logits_on_segment(
        self, params_a: ParamStack, params_b: ParamStack, alphas: list[float], inputs: Tensor
    ) -> Iterator[Float[Tensor, "P C B"]]:
        """Logits along the segment, one item per alpha."""
        for alpha in alphas:
            if alpha in (0.0, 1.0):
                yield self.logits(params_a if alpha == 0.0 else params_b, inputs)
            else:
                yield self.logits(interpolated(params_a, params_b, alpha), inputs)

    def with_statistics(self, params: ParamStack, batches: Sequence[Tensor]) -> ParamStack:
        """The same networks with batch-norm statistics measured on these inputs, averaged over batches."""
        if not self.statistics:
            return params
        measured: list[Params] = []
        laid = [laid_out(inputs) for inputs in batches]
        with self.forward("statistics", params) as run, torch.no_grad():
            for k in range(num_networks(params)):
                state = {name: tensor.clone() for name, tensor in row(params, k).items()}
                for name in self.buffers:
                    if name.endswith("num_batches_tracked"):
                        state[name].zero_()
                for inputs in laid:
                    run(state, inputs)  # updates the statistics in place
                measured.append({name: state[name] for name in self.statistics})
        return {**params, **stack(measured)}

    def floats_per_example(self) -> int:
        """Inputs and outputs of all layers of one network on one example."""
        return self._floats

    def own_module(self, mode: Mode) -> nn.Module:
        """A module with weights of its own, on the CPU."""
        return set_for(with_global_seed(0, self.make), mode)

    def copy(self, mode: Mode, state: Params | ParamStack) -> AbstractContextManager[nn.Module]:
        """A copy of the module that is the caller's own meanwhile: calls on it swap tensors in and out.

        What no state dict holds lies on the device of ``state``.
        """
        return self._made_copies().module(mode, _device_of(state))

    def forward(self, mode: Mode, state: Params | ParamStack) -> AbstractContextManager[ModuleCopy]:
        """The forward pass as a function of one network's tensors and of inputs, for one thread.

        What it writes into buffers stands in the tensors given; a buffer that it replaces is as before at
        the next call. Its bits are those of ``functional_call``, which looks for every tensor by its name
        at each call (measured: 0.9 ms of the 4 that a ResNet-20 takes for two images).
        """
        return self._made_copies().forward(mode, _device_of(state))

    def _made_copies(self) -> ModuleCopies:
        """All copies, by whichever thread comes first: the module is made from torch's global generator."""
        with self._lock:
            if self._copies is None:
                self._copies = ModuleCopies(self.module, {name: name for name in self.names} | self.aliases)
            return self._copies


def _device_of(state: Params | ParamStack) -> torch.device:
    """That of its tensors."""
    return next((tensor.device for tensor in state.values()), torch.device("cpu"))


def laid_out(inputs: Tensor) -> Tensor:
    """The same inputs, images on a CPU with their channels last.

    In single precision convolutions then take the same time or less, down to half (measured on all
    families); the layers behind follow the layout of their inputs.
    """
    if inputs.ndim != 4 or inputs.device.type != "cpu" or inputs.dtype != torch.float32:
        return inputs
    return inputs.contiguous(memory_format=torch.channels_last)


def _without_weights(module: nn.Module) -> nn.Module:
    """A copy of the module with its state on the ``meta`` device, tied tensors tied as before.

    ``module.to("meta")`` would untie them, and take the values of buffers that no state dict holds.
    """
    moved: dict[int, Any] = {}
    for tensor in module.state_dict(keep_vars=True).values():
        empty = tensor.detach().to("meta")
        is_parameter = isinstance(tensor, nn.Parameter)
        moved[id(tensor)] = nn.Parameter(empty, tensor.requires_grad) if is_parameter else empty
    return copy.deepcopy(module, moved)


def _refuse_norms(module: nn.Module, name: str) -> None:
    """Refuses norms whose statistics are not those of a population, measured when training is done."""
    for place, layer in module.named_modules():
        if isinstance(layer, _BatchNorm) and layer.running_mean is None:
            raise ValueError(
                f"{name}: layer {place} is a batch norm without running statistics, so that what it computes "
                "depends on which examples are evaluated together. Leave track_running_stats at True"
            )
        if isinstance(layer, _InstanceNorm) and layer.running_mean is not None:
            raise ValueError(
                f"{name}: layer {place} is an instance norm with running statistics, which are averages of "
                "training. Leave track_running_stats at False"
            )


def _inspect(
    module: nn.Module, shape: tuple[int, int, int], num_classes: int, name: str
) -> tuple[bool, int, int]:
    """Whether the module takes flattened images; its floats and its products per example."""
    _refuse_norms(module, name)
    first = next((m for m in module.modules() if next(m.parameters(recurse=False), None) is not None), None)
    floats: list[int] = []
    products: list[int] = []

    def count(layer: nn.Module, _: object, output: object) -> None:
        if not isinstance(output, Tensor):
            return
        floats.append(output.numel())
        weight = getattr(layer, "weight", None)
        if isinstance(layer, nn.Linear | _ConvNd) and isinstance(weight, Tensor):
            products.append(output.numel() * weight[0].numel())

    layers = {layer: place for place, layer in module.named_modules() if not list(layer.children())}
    handles = [layer.register_forward_hook(count) for layer in layers]
    reached: list[str] = []
    handles += [
        layer.register_forward_pre_hook(lambda layer, _: reached.append(layers[layer])) for layer in layers
    ]
    module.eval()
    images = torch.zeros(1, *shape)
    attempts = [(False, images)]
    if isinstance(first, nn.Linear):
        attempts.insert(0, (True, images.flatten(1)))
    errors = []
    for takes_flat, inputs in attempts:
        floats.clear()
        products.clear()
        try:
            with torch.no_grad():
                logits = module(inputs)
        except Exception as error:  # whatever the module does with images that it was not made for
            place = reached[-1] if reached else "its input"
            errors.append(f"at {place}: " + str(error).strip().partition("\n")[0])
            continue
        if not isinstance(logits, Tensor) or tuple(logits.shape) != (1, num_classes):
            found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise ValueError(
                f"{name} must return logits of shape (examples, {num_classes}), it returns {found}"
            )
        for handle in handles:
            handle.remove()
        return takes_flat, images.numel() + sum(floats), sum(products)
    raise ValueError(f"{name} does not take images of shape {shape}: {errors[0]}")
