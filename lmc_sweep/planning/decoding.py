"""Canonical JSON back into specs and methods, believed only as far as their types and bounds allow.

A field stands in canonical JSON only where it differs from its neutral value, so what is left out is at its
neutral value, whatever its default has become since.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, get_args, get_type_hints

from lmc_sweep.config import fields as values
from lmc_sweep.config.refusals import Refusal
from lmc_sweep.errors import StoreError
from workers.alignment.methods import METHODS, Method, Start
from workers.specs import ARCHITECTURES, CheckpointSpec, ModuleSpec, NetworkSpec, TrainingSpec, UserDataset


def read_json(text: Any, where: str) -> Any:
    """What a column of JSON says."""
    try:
        return json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise StoreError(f"{where}: is no JSON that this program writes: {str(error)[:200]}") from error


def decode_network(written: Any, where: str) -> NetworkSpec | CheckpointSpec:
    """The spec that canonical JSON stands for, fields that are left out at their neutral value."""
    is_checkpoint = isinstance(written, dict) and "sha256" in written
    cls = CheckpointSpec if is_checkpoint else NetworkSpec
    filled = _filled(cls, written, where)
    if isinstance(filled.get("architecture"), dict):
        family = ARCHITECTURES.get(str(filled["architecture"].get("name")), ModuleSpec)
        filled["architecture"] = _filled(family, filled["architecture"], f"{where}: architecture")
    if "training" in filled:
        filled["training"] = _filled(TrainingSpec, filled["training"], f"{where}: training")
    if filled.get("user_data") is not None:
        filled["user_data"] = _filled(UserDataset, filled["user_data"], f"{where}: user_data")
    spec: NetworkSpec | CheckpointSpec = checked(cls, filled, where)
    return spec


def decode_method(written: Any, where: str) -> Method:
    """The method that canonical JSON stands for, fields that are left out at their neutral value."""
    cls, filled = _method(written, METHODS, where)
    if isinstance(filled.get("start"), dict):
        known = {name: other for name, other in METHODS.items() if other in get_args(Start)}
        filled["start"] = _method(filled["start"], known, f"{where}: start")[1]
    method: Method = checked(cls, filled, where)
    return method


def decode_spec(cls: type[Any], written: Any, where: str) -> Any:
    """The spec of a study's item that canonical JSON stands for.

    Fields of it that are dataclasses in turn are filled as well, wherever the JSON has a mapping.
    """
    filled = _filled(cls, written, where)
    hints = get_type_hints(cls)
    for name, value in filled.items():
        if isinstance(value, dict):
            inner = [one for one in (hints[name], *get_args(hints[name])) if is_dataclass(one)]
            fitting = [one for one in inner if value.keys() <= {field.name for field in fields(one)}]
            if fitting:
                filled[name] = _filled(fitting[0], value, f"{where}: {name}")  # type: ignore[arg-type]
    return checked(cls, filled, where)


def checked(expected: Any, value: Any, where: str) -> Any:
    """``value`` as a type has it."""
    try:
        return values.checked(expected, value, where)
    except (Refusal, TypeError, ValueError) as error:
        raise StoreError(str(error)) from error


def _method(written: Any, known: Mapping[str, type[Any]], where: str) -> tuple[type[Any], dict[str, Any]]:
    """The class and all fields of a method."""
    name = written.get("method") if isinstance(written, dict) else None
    if not isinstance(name, str) or name not in known:
        raise StoreError(f"{where}: method {str(name)[:80]!r} is none of {', '.join(known)}")
    return known[name], _filled(known[name], written, where)


def _filled(cls: type[Any], written: Any, where: str) -> dict[str, Any]:
    """All fields of a dataclass as plain values, what is left out of the JSON at its neutral value."""
    if not isinstance(written, dict):
        raise StoreError(f"{where}: should be a mapping, not {str(written)[:80]!r}")
    known = {field.name: field for field in fields(cls)}
    if unknown := sorted(written.keys() - known.keys()):
        raise StoreError(
            f"{where}: unknown fields {unknown[:5]}. Known: {', '.join(known)}. Update lmc-sweep"
        )
    neutral = {name: one.metadata["neutral"] for name, one in known.items() if "neutral" in one.metadata}
    return {**neutral, **written}
