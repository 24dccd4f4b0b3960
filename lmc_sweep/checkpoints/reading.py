"""The tensors of a checkpoint, read without running anything that the file holds."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmc_sweep.checkpoints.finding import require
from lmc_sweep.errors import SweepError

if TYPE_CHECKING:
    from torch import Tensor

NESTED = ("state_dict", "model_state_dict", "model")
"""Keys under which training scripts put a state dict beside epochs and optimizers."""

_RESAVE = "torch.save(module.state_dict(), 'weights.pt')"


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by state-dict name, and what people should know about how they came out of the file."""

    params: Mapping[str, Tensor]
    notes: tuple[str, ...] = ()


def read(path: Path) -> Checkpoint:
    """The tensors of a ``.safetensors`` file, or of a state dict saved by ``torch.save``, on the CPU.

    A state dict that lies beside other things under one of ``NESTED`` is taken, with a note. Names are
    those of the file. Large files are mapped into memory, not copied, where their format allows it.

    Raises:
        SweepError: If there is no such file, it is torn, holds no state dict, or loading it would run code.
    """
    require(path)
    if path.suffix.lower() == ".safetensors":
        return Checkpoint(_safetensors(path))
    found, notes = _state_dict(_torch_file(path), path)
    return Checkpoint({name: _plain(tensor, name, path) for name, tensor in found.items()}, notes)


def _safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors: dict[str, Tensor] = load_file(path, device="cpu")
    except (SafetensorError, OSError, KeyError) as error:
        raise SweepError(
            f"{path}: is not a whole safetensors file ({_one_line(error)}). Save or copy it again"
        ) from error
    if not tensors:
        raise SweepError(f"{path}: holds no tensors. Save the module's state dict")
    return tensors


def _torch_file(path: Path) -> Any:
    """What ``torch.save`` wrote, where it is made of tensors and plain values alone."""
    import torch

    errors: list[Exception] = []
    for mmap in (True, False):  # files of before 2020 are not archives, and cannot be mapped
        try:
            with warnings.catch_warnings(action="ignore"):  # what they say becomes one error below
                return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
        except Exception as error:
            errors.append(error)
    told = _one_line(errors[-1])
    if "torchscript" in told.lower():
        why = "is a TorchScript archive, and loading it would run its code"
    elif "weights" in told.lower() and "load failed" in told.lower():
        needed = re.search(r"GLOBAL ([\w.]+)", str(errors[-1]))
        why = "is a pickle that needs code" + (f" ({needed[1]})" if needed else "") + ", which is not run"
    else:
        raise SweepError(
            f"{path}: cannot be read as a checkpoint ({told[:160]}). Save or copy it again: {_RESAVE}"
        ) from errors[-1]
    raise SweepError(f"{path}: {why}. Save the tensors alone: {_RESAVE}") from errors[-1]


def _state_dict(value: Any, path: Path) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """The state dict in what a file holds, and a note where it was nested."""
    if isinstance(value, Mapping):
        for key in NESTED:
            below = value.get(key)
            if isinstance(below, Mapping) and below:
                beside = ", ".join(str(other) for other in value if other != key)
                left = f", and left {beside}" if beside else ""
                return below, (f"{path}: took the state dict under {key!r}{left}",)
        if value:
            return value, ()
    what = "an empty mapping" if isinstance(value, Mapping) else f"a {type(value).__name__}"
    raise SweepError(f"{path}: should hold a state dict, not {what}. Save one: {_RESAVE}")


def _plain(value: Any, name: Any, path: Path) -> Tensor:
    """A dense tensor that needs no gradient."""
    import torch

    if not isinstance(name, str) or not isinstance(value, torch.Tensor):
        raise SweepError(
            f"{path}: a state dict holds tensors by name; under {name!r} lies a {type(value).__name__}. "
            f"Save the state dict alone: {_RESAVE}"
        )
    if value.layout != torch.strided or value.is_quantized or value.device.type == "meta":
        kind = "quantized" if value.is_quantized else "without values" if value.is_meta else "sparse"
        raise SweepError(f"{path}: {name} is {kind}; weights must be dense floats. Convert it before saving")
    return value.detach()


def _one_line(error: BaseException) -> str:
    """An error's text on one line, without its last period."""
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
