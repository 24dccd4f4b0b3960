"""A checkpoint held against the module that it is to be loaded into."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lmc_sweep.checkpoints.reading import Checkpoint, read
from lmc_sweep.errors import SweepError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from workers.architectures.program import StackedProgram
    from workers.params import ParamStack

MAX_SHOWN = 5
"""Tensors of one kind of difference that a message names."""

PREFIXES = ("module.", "_orig_mod.", "model.")
"""What DataParallel, torch.compile and Lightning put before every name."""

_COUNTER = "num_batches_tracked"


def check(checkpoint: Checkpoint, target: StackedProgram | nn.Module, path: Path) -> Checkpoint:
    """The state of one network as a program takes it, with notes on what was changed for that.

    As ``fit``, and then floats become float32, whole numbers the target's type.

    Args:
        checkpoint: As ``read`` returned it; unchanged.
        target: A program, or a module on any device.
        path: Of the file, for messages.

    Raises:
        SweepError: If tensors are missing, too many, of other shapes or types, or not finite; one line
            that names the file and the tensors.
    """
    expected = _expected(_module(target))[1]
    fitted = fit(checkpoint, target, path)
    params: dict[str, Tensor] = {}
    converted: Counter[str] = Counter()
    for name, tensor in fitted.params.items():
        params[name] = _typed(tensor, expected[name], name, path)
        if params[name].dtype != tensor.dtype:
            converted[f"{_type(tensor.dtype)} were converted to {_type(params[name].dtype)}"] += 1
    _check_finite(params, path)
    notes = [f"{path}: {count} tensors of {what}" for what, count in converted.items()]
    return Checkpoint(params, (*fitted.notes, *notes))


def fit(checkpoint: Checkpoint, target: StackedProgram | nn.Module, path: Path) -> Checkpoint:
    """The tensors as they are, named as the target holds them.

    Names and shapes must be those of the target's state dict. A prefix that a wrapper put before all
    names is taken off; a tensor that the target holds under several names may stand under any of them,
    with equal values, and is kept under the first; a missing counter of batches
    (``num_batches_tracked``, absent in old files) is 0.

    Raises:
        SweepError: If tensors are missing, too many or of other shapes.
    """
    first_names, expected = _expected(_module(target))
    own, prefixes = unwrapped(checkpoint.params, first_names)
    notes = tuple(f"{path}: took the prefix {prefix!r} off all names" for prefix in prefixes)
    found = _under_first_names(own, first_names, path)
    counters = [name for name in expected if name not in found and name.rpartition(".")[2] == _COUNTER]
    _check_shapes(found, {name: tensor for name, tensor in expected.items() if name not in counters}, path)
    params = {
        name: wanted.new_zeros(wanted.shape, device="cpu") if name in counters else found[name]
        for name, wanted in expected.items()
    }
    if counters:
        notes = (*notes, f"{path}: without {_COUNTER}, which was set to 0 in {len(counters)} layers")
    return Checkpoint(params, (*checkpoint.notes, *notes))


def state_dict(params: Mapping[str, Tensor], target: StackedProgram | nn.Module) -> dict[str, Tensor]:
    """The state under every name of the target's state dict, as ``load_state_dict(strict=True)`` wants it."""
    return {name: params[first] for name, first in _expected(_module(target))[0].items()}


def unwrapped(
    params: Mapping[str, Tensor], known: Collection[str]
) -> tuple[Mapping[str, Tensor], tuple[str, ...]]:
    """The tensors without what wrappers put before all names, and those prefixes.

    A prefix that some of the known names have too stays.
    """
    prefixes: list[str] = []
    while prefix := next((p for p in PREFIXES if all(name.startswith(p) for name in params)), None):
        if not params or any(name.startswith(prefix) for name in known):
            break
        params = {name.removeprefix(prefix): tensor for name, tensor in params.items()}
        prefixes.append(prefix)
    return params, tuple(prefixes)


def load_many(paths: Sequence[Path], program: StackedProgram) -> ParamStack:
    """The checkpoints as one stack, in the order given, each checked against the program.

    Raises:
        SweepError: As ``read`` and ``check``.
    """
    from workers.params import stack

    return stack([dict(check(read(path), program, path).params) for path in paths])


def _module(target: StackedProgram | nn.Module) -> nn.Module:
    """The module of a program, or the module itself."""
    from torch import nn

    return target if isinstance(target, nn.Module) else target.module


def _expected(module: nn.Module) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Every name of the state dict to the first of the same tensor, and the tensors under first names.

    Parameters come before buffers, as in a program's state.
    """
    held = module.state_dict(keep_vars=True)
    order = [name for name, _ in (*module.named_parameters(), *module.named_buffers()) if name in held]
    first: dict[int, str] = {}
    for name in (*order, *held):
        first.setdefault(id(held[name]), name)
    first_names = {name: first[id(tensor)] for name, tensor in held.items()}
    return first_names, {name: held[name] for name in order}


def _under_first_names(
    params: Mapping[str, Tensor], first_names: Mapping[str, str], path: Path
) -> dict[str, Tensor]:
    """The tensors with each tied one once, refused where its names hold different values."""
    import torch

    kept: dict[str, Tensor] = {}
    origin: dict[str, str] = {}
    for name, tensor in params.items():
        first = first_names.get(name, name)
        if first in kept and not torch.equal(kept[first], tensor):
            raise SweepError(
                f"{path}: {origin[first]} and {name} are one tensor of the module, and differ in the file. "
                "Save the state dict of the module itself"
            )
        kept.setdefault(first, tensor)
        origin.setdefault(first, name)
    return kept


def _check_shapes(params: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: Path) -> None:
    """Raises a SweepError that tells the two sets of tensors apart."""
    missing = [f"{name} {_shape(expected[name])}" for name in expected if name not in params]
    extra = [f"{name} {_shape(params[name])}" for name in params if name not in expected]
    other = [
        f"{name} is {_shape(params[name])}, the module has {_shape(expected[name])}"
        for name in expected
        if name in params and params[name].shape != expected[name].shape
    ]
    kinds = [("missing", missing), ("not of the module", extra), ("of another shape", other)]
    if not (missing or extra or other):
        return
    lines = [f"{len(names)} {kind}: {_listed(names)}" for kind, names in kinds if names]
    raise SweepError(
        f"{path}: does not fit the module. {'. '.join(lines)}. Name the module that it was saved from"
    )


def _typed(tensor: Tensor, wanted: Tensor, name: str, path: Path) -> Tensor:
    """The tensor in the type that the program computes in; a copy only where the type changes."""
    import torch

    both_whole = not (tensor.is_floating_point() or tensor.is_complex()) and not (
        wanted.is_floating_point() or wanted.is_complex()
    )
    if tensor.is_floating_point() and wanted.is_floating_point():
        return tensor.to(torch.float32)
    if both_whole:
        return tensor.to(wanted.dtype)
    raise SweepError(
        f"{path}: {name} holds {_type(tensor.dtype)}, the module {_type(wanted.dtype)}. "
        "Name the module that it was saved from"
    )


def _check_finite(params: Mapping[str, Tensor], path: Path) -> None:
    """Raises a SweepError that names the tensors with entries that are no numbers."""
    bad = []
    for name, tensor in params.items():
        if tensor.is_floating_point():
            count = tensor.numel() - int(tensor.isfinite().sum())
            if count:
                bad.append(f"{name} ({count} of {tensor.numel()} entries)")
    if bad:
        raise SweepError(
            f"{path}: weights must be finite; NaN or infinity in {_listed(bad)}. "
            "Choose a checkpoint from before training diverged"
        )


def _listed(names: Sequence[str]) -> str:
    """The first names, and how many more."""
    more = len(names) - MAX_SHOWN
    return ", ".join(names[:MAX_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _shape(tensor: Tensor) -> str:
    """A shape as people write it: 64x3x3x3."""
    return "x".join(map(str, tensor.shape)) or "scalar"


def _type(dtype: torch.dtype) -> str:
    """A type without its package."""
    return str(dtype).removeprefix("torch.")
