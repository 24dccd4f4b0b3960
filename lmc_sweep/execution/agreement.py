"""How a second computation of a result compares with the first: number by number, tensor by tensor."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lmc_sweep.execution.recomputation import require_inside
from lmc_sweep.planning.items import AlignmentItem, Item
from lmc_sweep.store.nondeterminism import RELATIVE_TOLERANCE, compared_columns, differences
from lmc_sweep.store.schema import TABLE_OF_KIND
from lmc_sweep.store.store import Store

if TYPE_CHECKING:
    from torch import Tensor

EQUAL = "reproduced bit for bit"
CLOSE = "within tolerance"
DIFFERENT = "differs"
VERDICTS = (EQUAL, CLOSE, DIFFERENT)
"""From best to worst."""

_OUTCOMES = ("stop_reason", "outcome", "objective")
_JOINED_LATER = ("input_size", "num_train", "num_test", "save_at", "planted_noise", "recovered")
"""Columns that rows of older schema versions lack: null then says nothing."""


@dataclass(frozen=True)
class Compared:
    """One column, or all tensors of an artifact, twice.

    ``difference`` is the largest absolute difference of numbers, the share of units elsewhere of
    permutations, infinite where one has a value and the other none.
    """

    name: str
    verdict: str
    difference: float
    stored: Any = None
    recomputed: Any = None


def worst(compared: Sequence[Compared]) -> str:
    """The verdict on the whole: that on its worst part."""
    return max((one.verdict for one in compared), key=VERDICTS.index, default=EQUAL)


def compare(store: Store, scratch: Store, item: Item) -> list[Compared]:
    """Every number of a result beside that of its recomputation, and its weights or permutations."""
    table = TABLE_OF_KIND[item.kind]
    names = [column.name for column in compared_columns(table)]
    texts = [name for name in _OUTCOMES if name in table.by_name]
    place = [table.artifact, "row"] if table.artifact else []
    columns = [*names, *texts, *place]
    (stored,) = store.fetch(table.name, [item.id], columns)
    (again,) = scratch.fetch(table.name, [item.id], columns)
    told = [name for name in names if not (name in _JOINED_LATER and stored[name] is None)]
    beyond = {one.column for one in differences(table, item.id, [("stored", stored), ("again", again)])}
    found = []
    for name in (*told, *texts):
        equal = _identical(stored[name], again[name])
        is_different = name in beyond or name in texts
        verdict = EQUAL if equal else DIFFERENT if is_different else CLOSE
        size = 0.0 if equal else _largest(stored[name], again[name])
        found.append(Compared(name, verdict, size, stored[name], again[name]))
    if table.artifact == "checkpoint" and stored["checkpoint"] is not None:
        origins = [(row["checkpoint"], row["row"]) for row in (stored, again)]
        require_inside(store.files, *origins[0])
        found.append(_weights(store.load_rows(origins[:1]), scratch.load_rows(origins[1:])))
    if isinstance(item, AlignmentItem):
        if stored["permutations"] is not None:
            require_inside(store.files, stored["permutations"], stored["row"])
        found.append(_permutations(store.load_permutations([stored]), scratch.load_permutations([again])))
    return found


def _weights(stored: Mapping[str, Tensor], again: Mapping[str, Tensor]) -> Compared:
    """The weights, tolerated as far apart as numbers are, relative to the largest of each tensor."""
    if {name: one.shape for name, one in stored.items()} != {name: one.shape for name, one in again.items()}:
        return Compared("weights", DIFFERENT, math.inf)
    verdict, largest = EQUAL, 0.0
    for name, one in stored.items():
        two = again[name]
        if one.numel() == 0 or _same_bits(one, two):
            continue
        size = float((one.double() - two.double()).abs().max())
        bound = RELATIVE_TOLERANCE * float(one.double().abs().max())
        verdict = max(verdict, CLOSE if size <= bound else DIFFERENT, key=VERDICTS.index)
        largest = max(largest, size if math.isfinite(size) else math.inf)
    return Compared("weights", verdict, largest)


def _same_bits(one: Tensor, two: Tensor) -> bool:
    """Whether two tensors hold the same bytes, those of a network that diverged included."""
    import torch

    return torch.equal(*(part.contiguous().reshape(-1).view(torch.uint8) for part in (one, two)))


def _permutations(stored: Mapping[str, Tensor], again: Mapping[str, Tensor]) -> Compared:
    """The permutations, of which no tolerance makes sense; an absent one is the identity."""
    import torch

    moved = total = 0
    for name in stored.keys() | again.keys():
        given = (stored if name in stored else again)[name]
        identity = torch.arange(given.shape[1]).expand(1, -1)
        one, two = stored.get(name, identity), again.get(name, identity)
        if one.shape != two.shape:
            return Compared("permutations", DIFFERENT, math.inf)
        moved += int((one != two).sum())
        total += one.numel()
    return Compared("permutations", DIFFERENT if moved else EQUAL, moved / max(total, 1))


def _identical(one: Any, two: Any) -> bool:
    """Whether two values of a column are the same to the last bit; lists entry by entry."""
    return bool(one == two)


def _largest(one: Any, two: Any) -> float:
    """The largest absolute difference of two values of a column."""
    if isinstance(one, list) and isinstance(two, list) and len(one) == len(two):
        return max((_largest(*pair) for pair in zip(one, two, strict=True)), default=0.0)
    if isinstance(one, int | float) and isinstance(two, int | float):
        return abs(one - two)
    return 0.0 if one == two else math.inf
