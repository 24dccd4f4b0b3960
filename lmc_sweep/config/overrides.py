"""Overrides on a sweep file: ``networks[0].seeds=12``, dotted keys, list indices, YAML values."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from typing import Any

from lmc_sweep.config import document
from lmc_sweep.config.refusals import Refusal, join, shown, unknown

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*|\[[0-9]+\]")


def apply(value: Any, overrides: Sequence[str]) -> Any:
    """A copy of the file's value with every override applied, later ones over earlier ones.

    A key that a mapping lacks is added, and a mapping that is lacking on the way to it; whether the
    schema knows them is for the reader of the whole to say.

    Raises:
        Refusal: If an override does not parse, or leads through something that is not there.
    """
    changed = copy.deepcopy(value)
    for override in overrides:
        keys, new = parse(override)
        try:
            changed = _replaced(changed, keys, new, "")
        except Refusal as refusal:
            raise Refusal("", f"override {shown(override)}: {refusal}") from refusal
    return changed


def parse(override: str) -> tuple[list[str | int], Any]:
    """The keys and list indices of an override, and its value."""
    path, equals, text = override.partition("=")
    path = path.strip()
    if not equals:
        raise Refusal("", f"override {shown(override)} has no '='. Write it as networks[0].seeds=12")
    try:
        return keys_of(path), document.read(text)
    except Refusal as refusal:
        raise Refusal("", f"override {shown(override)}: {refusal}") from refusal


def keys_of(path: str) -> list[str | int]:
    """``networks[0].seeds`` as ``["networks", 0, "seeds"]``."""
    found = _KEY.findall(path)
    if not found or _path([_key(part) for part in found]) != path:
        raise Refusal(
            "", f"{shown(path)} is not a path: keys are joined by dots, lists indexed as networks[0]"
        )
    return [_key(part) for part in found]


def _key(part: str) -> str | int:
    return int(part[1:-1]) if part.startswith("[") else part


def _path(keys: Sequence[str | int]) -> str:
    path = ""
    for key in keys:
        path = f"{path}[{key}]" if isinstance(key, int) else join(path, key)
    return path


def _replaced(value: Any, keys: Sequence[str | int], new: Any, path: str) -> Any:
    """``value``, itself changed, with ``new`` at the end of ``keys``."""
    if not keys:
        return new
    key, rest = keys[0], keys[1:]
    if isinstance(key, int):
        if not isinstance(value, list):
            raise Refusal(path, f"cannot be indexed: it is {shown(value)}, not a list")
        if key >= len(value):
            raise Refusal(path, f"there is no [{key}]: the list has length {len(value)}, indices begin at 0")
        value[key] = _replaced(value[key], rest, new, f"{path}[{key}]")
        return value
    if isinstance(value, list):
        raise Refusal(
            path, f"is a list of length {len(value)}: say which entry is meant, as in {path}[0].{key}"
        )
    if value is None:  # a section that the file leaves out, or leaves empty
        value = {}
    if not isinstance(value, dict):
        raise Refusal(path, f"has no keys: it is {shown(value)}")
    if key not in value and rest and isinstance(rest[0], int):
        raise Refusal(path, unknown("list", key, list(value), "keys"))
    value[key] = _replaced(value.get(key), rest, new, join(path, key))
    return value
