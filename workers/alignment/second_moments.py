"""Second moments of what linear and convolutional layers read, and the parallel sum of two of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float64
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from workers.alignment.activations import Side, chunks, fitting, look
from workers.alignment.examples import Examples
from workers.params import Params

MAX_PATCH_BYTES = 64e6
"""What a layer reads at all positions of some examples, laid out for a product, at a time."""

Reader = nn.Linear | _ConvNd
"""A layer whose outputs are products of its weight's rows with what it reads at one position."""


def is_reader(layer: nn.Module) -> bool:
    """Whether every output of the layer is a row of its weight times all that it reads at one position."""
    if isinstance(layer, _ConvTransposeNd):
        return False
    return isinstance(layer, nn.Linear) or (isinstance(layer, _ConvNd) and layer.groups == 1)


def reader(module: nn.Module, name: str) -> Reader:
    """Such a layer by name."""
    layer = module.get_submodule(name)
    assert isinstance(layer, nn.Linear | _ConvNd)
    return layer


def num_read(layer: Reader) -> int:
    """Entries that one output depends on: those of a row of the weight, and a 1 for the bias."""
    return layer.weight[0].numel() + (layer.bias is not None)


def second_moments(
    examples: Examples, params: Params, layers: Sequence[str], max_bytes: float
) -> dict[str, Float64[Tensor, "D D"]]:
    """For each layer E[x x^T] of what it reads, as one network computes it.

    x is laid out as a row of the layer's weight, a patch of a convolution's input with its padding, with a
    1 for the bias at the end where there is one. The mean is over examples, positions and calls; products
    and sums are in float64.
    """
    module = examples.program.module
    readers = {name: reader(module, name) for name in layers}
    total: dict[str, Tensor] = {}
    num_samples = dict.fromkeys(layers, 0)

    def note(name: str, _: Side, tensor: Tensor) -> None:
        layer = readers[name]
        if name not in total:
            shape = (num_read(layer), num_read(layer))
            total[name] = torch.zeros(shape, dtype=torch.float64, device=tensor.device)
        for samples in _samples(layer, tensor):
            total[name].addmm_(samples.mT, samples)
            num_samples[name] += len(samples)

    for inputs in chunks(examples, params, max_bytes):
        look(examples.program, params, inputs, [(name, "input") for name in layers], note)
    return {name: (total[name] / num_samples[name]).cpu() for name in layers}


def calls(examples: Examples, params: Params, layers: Sequence[str]) -> list[str]:
    """The layers in the order in which a network first comes by; those that it does not call are left out."""
    seen: list[str] = []
    inputs = fitting(examples.inputs[:1], params)
    look(
        examples.program,
        params,
        inputs,
        [(name, "input") for name in layers],
        lambda name, *_: seen.append(name),
    )
    return list(dict.fromkeys(seen))


def parallel_sum(p: Float64[Tensor, "D D"], q: Float64[Tensor, "D D"]) -> Float64[Tensor, "D D"]:
    """(P^-1 + Q^-1)^-1 of two symmetric matrices without negative eigenvalues, as P (P + Q)^+ Q.

    That holds for singular ones too: where either gives 0, so does the result. Eigenvalues of P + Q below
    D times the rounding of float64 times the largest count as 0.

    Source: Anderson, Duffin 1969.
    """
    values, vectors = torch.linalg.eigh(p + q)
    kept = values > len(p) * torch.finfo(torch.float64).eps * values[-1]
    basis = vectors[:, kept]
    product = (p @ basis / values[kept]) @ (basis.mT @ q)
    return (product + product.mT) / 2


def _samples(layer: Reader, tensor: Tensor) -> list[Tensor]:
    """What the layer reads, one row per example and position, piece by piece, in float64."""
    if isinstance(layer, nn.Linear):
        rows = tensor.reshape(-1, layer.in_features)
        size = max(1, int(MAX_PATCH_BYTES // (8 * num_read(layer))))
        return [_with_one(part.to(torch.float64), layer) for part in torch.split(rows, size)]
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    padded = functional.pad(tensor, layer._reversed_padding_repeated_twice, mode=mode)
    patches = padded
    for axis, (size, step, gap) in enumerate(
        zip(layer.kernel_size, layer.stride, layer.dilation, strict=True), start=2
    ):
        patches = patches.unfold(axis, (size - 1) * gap + 1, step)[..., ::gap]
    num_axes = len(layer.kernel_size)
    # examples, channels, positions, kernel -> examples, positions, channels, kernel: views until here
    patches = patches.permute(0, *range(2, 2 + num_axes), 1, *range(2 + num_axes, 2 + 2 * num_axes))
    bytes_per_example = 8 * num_read(layer) * patches[0].numel() / layer.weight[0].numel()
    parts = torch.split(patches, max(1, int(MAX_PATCH_BYTES // bytes_per_example)))
    return [_with_one(part.reshape(-1, layer.weight[0].numel()).to(torch.float64), layer) for part in parts]


def _with_one(rows: Tensor, layer: Reader) -> Tensor:
    """The rows with a 1 at the end, if the layer has a bias."""
    return functional.pad(rows, (0, 1), value=1.0) if layer.bias is not None else rows
