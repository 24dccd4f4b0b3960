"""Grids: every list under an entry is an axis, and the entry stands for every combination."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lmc_sweep.config.refusals import Refusal, join, shown

_MAX_POINTS = 1_000_000  # a slip of the finger, not a sweep: refused before memory is gone


@dataclass(frozen=True)
class Located:
    """A value without lists, and where it stands; the values of a mapping are located in turn."""

    value: Any
    path: str

    def plain(self) -> Any:
        """The value without its places."""
        if isinstance(self.value, dict):
            return {key: part.plain() for key, part in self.value.items()}
        return self.value

    def at(self, *keys: str) -> str:
        """Where a value below stands, or would stand."""
        if not keys:
            return self.path
        if isinstance(self.value, dict) and keys[0] in self.value:
            below: Located = self.value[keys[0]]
            return below.at(*keys[1:])
        return join(self.path, keys[0])

    def get(self, key: str) -> Located | None:
        """The located value of a key, or None."""
        return self.value.get(key) if isinstance(self.value, dict) else None

    def leaves(self) -> Iterator[tuple[tuple[str, ...], str]]:
        """The keys that lead to every scalar, and where it stands."""
        if not isinstance(self.value, dict):
            yield (), self.path
            return
        for key, part in self.value.items():
            for keys, path in part.leaves():
                yield (key, *keys), path


def unroll(value: Any, path: str) -> list[Located]:
    """Every point of a grid; the last axis of the file runs fastest.

    Raises:
        Refusal: If an axis is empty, names a value twice, or holds a list.
    """
    _check_axes(value, path)
    if (num_points := _num_points(value)) > _MAX_POINTS:
        raise Refusal(path, f"the grid has {num_points} points, more than {_MAX_POINTS}. Split the sweep")
    return list(_points(value, path))


def _points(value: Any, path: str) -> Iterator[Located]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _points(item, f"{path}[{index}]")
    elif isinstance(value, dict):
        axes = [list(_points(part, join(path, key))) for key, part in value.items()]
        for combination in itertools.product(*axes):
            yield Located(dict(zip(value, combination, strict=True)), path)
    else:
        yield Located(value, path)


def _num_points(value: Any) -> int:
    if isinstance(value, list):
        return sum(map(_num_points, value))
    return math.prod(map(_num_points, value.values())) if isinstance(value, dict) else 1


def _check_axes(value: Any, path: str) -> None:
    if isinstance(value, dict):
        for key, part in value.items():
            _check_axes(part, join(path, key))
    if not isinstance(value, list):
        return
    if not value:
        raise Refusal(path, "an empty list is a grid without points. Name at least one value")
    refuse_repeated(value, path)
    for index, item in enumerate(value):
        if isinstance(item, list):
            raise Refusal(
                f"{path}[{index}]", "a list inside a list: an axis of a grid is a plain list of values"
            )
        _check_axes(item, f"{path}[{index}]")


def refuse_repeated(values: list[Any], path: str) -> None:
    """Refuses a list that names a value twice."""
    seen: dict[str, int] = {}
    for index, value in enumerate(values):
        key = json.dumps(value, sort_keys=True)
        if key in seen:
            raise Refusal(f"{path}[{index}]", f"repeats [{seen[key]}] ({shown(value)}). Name it once")
        seen[key] = index
