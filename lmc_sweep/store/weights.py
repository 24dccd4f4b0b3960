"""Networks and permutations read back from their files, row by row, in the order asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lmc_sweep.errors import StoreError
from lmc_sweep.store.artifacts import require_whole
from lmc_sweep.store.files import Files

if TYPE_CHECKING:
    from torch import Tensor

    from workers.params import ParamStack

Source = tuple[str, int]
"""Path of a file relative to the store, and a row of its tensors."""

_MEMBER_GROUP = re.compile(r"member\d+\..+")


def load_rows(files: Files, sources: Sequence[Source]) -> ParamStack:
    """The named rows as one stack; every file must hold tensors of the same names and shapes."""
    if not sources:
        raise StoreError("no network was named, and a stack needs at least one")
    files.bring({path for path, _ in sources})
    stack: dict[str, Tensor] = {}
    for path, positions, rows in _by_file(sources):
        with _open(files, path) as file:
            names = set(file.keys())
            if stack and names != set(stack):
                raise StoreError(f"{path}: holds {sorted(names)}, which do not stack with {sorted(stack)}")
            for name in sorted(names):
                found = _take(file.get_slice(name), rows, path)
                if name not in stack:
                    stack[name] = found.new_empty((len(sources), *found.shape[1:]))
                elif stack[name].shape[1:] != found.shape[1:]:
                    raise StoreError(
                        f"{path}: {name} has shape {tuple(found.shape[1:])}, which does not stack with "
                        f"{tuple(stack[name].shape[1:])}. Load networks of one architecture at a time."
                    )
                stack[name][positions] = found
    return stack


def aliases(files: Files, path: str) -> dict[str, str]:
    """Further names of tensors in a file of weights, each to the name under which the tensor lies there.

    They stand in the file's metadata, so that the state dict of a module with tied weights is whole
    without importing the module.
    """
    with _open(files, path) as file:
        told = json.loads((file.metadata() or {}).get("aliases", "{}"))
        held = set(file.keys())
    if not isinstance(told, dict) or not set(told.values()) <= held:
        raise StoreError(f"{files.told(path)}: its aliases {told} name tensors that it does not hold")
    return told


def load_permutations(files: Files, rows: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
    """``member<k>.<group>`` to int64 indices of shape (len(rows), units), ``new[i] = old[index[i]]``.

    Where the file of a row holds no permutation of a group that another row's file does, and where a
    row has no file at all, the row gets the identity. Empty when no row has a file.
    """
    import torch

    sources = [(row["permutations"], row["row"]) for row in rows]
    with_file = torch.tensor([index for index, (path, _) in enumerate(sources) if path is not None])
    found: dict[str, Tensor] = {}
    files.bring({path for path, _ in sources if path is not None})
    for path, positions, indices in _by_file([(path, row) for path, row in sources if path is not None]):
        with _open(files, path) as file:
            for name in file.keys():  # noqa: SIM118  a safetensors file is not a mapping
                if not _MEMBER_GROUP.fullmatch(name):
                    continue
                part = _take(file.get_slice(name), indices, path)
                if name not in found:
                    found[name] = torch.arange(part.shape[1]).repeat(len(rows), 1)
                found[name][with_file[positions]] = part
    return found


def _by_file(sources: Sequence[Source]) -> Iterator[tuple[str, Tensor, list[int]]]:
    """Per file: its path, the positions in ``sources`` that it serves, and the rows that they ask for."""
    import torch

    groups: dict[str, list[int]] = {}
    for position, (path, _) in enumerate(sources):
        groups.setdefault(path, []).append(position)
    for path, positions in groups.items():
        yield path, torch.tensor(positions), [sources[position][1] for position in positions]


def _open(files: Files, path: str) -> Any:
    """The file, opened for reading single rows; DamageError or StoreError names a file that cannot be."""
    from safetensors import SafetensorError, safe_open

    require_whole(files, path)
    try:
        return safe_open(files.root / path, framework="pt", device="cpu")
    except (OSError, SafetensorError) as error:
        raise StoreError(
            f"{files.told(path)}: cannot be read: {error}. Delete it and run the sweep again: "
            "it is computed anew."
        ) from error


def _take(tensor: Any, rows: list[int], path: str) -> Tensor:
    """The rows of a tensor on disk, each run of neighbours read at once."""
    import torch

    num_rows = tensor.get_shape()[0]
    wrong = [row for row in rows if not 0 <= row < num_rows]
    if wrong:
        raise StoreError(f"{path}: row {wrong[0]} is named, and the file has {num_rows}")
    wanted = sorted(set(rows))
    runs: list[list[int]] = []
    for row in wanted:
        if runs and runs[-1][1] == row:
            runs[-1][1] = row + 1
        else:
            runs.append([row, row + 1])
    found = torch.cat([tensor[start:stop] for start, stop in runs])
    position = {row: index for index, row in enumerate(wanted)}
    return found if rows == wanted else found[[position[row] for row in rows]]
