"""Identities: the hash of what a thing is.

An id is the head of the SHA-256 of canonical JSON: sorted keys, no spaces, a number that is whole
written without a point, a field left out only at the neutral value frozen when it was introduced.
``NUMERICS_VERSION`` enters every id of its kind; whoever changes the numbers of a kind raises it.
``METHOD_NUMERICS`` does the same for the alignments of one method.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields, is_dataclass
from typing import Any

from workers.alignment.methods import Method, SimulatedAnnealing

NUMERICS_VERSION = {"network": 1, "alignment": 1, "barrier": 1}
METHOD_NUMERICS = {"weight_matching": 3}
"""Methods whose results have changed since they were first released.

Weight matching: 2, a grown start joined the descents; 3, it is the first of them.
"""

ID_LENGTH = 32  # hexadecimal digits, 128 bits

_MISSING = object()


def canonical(value: Any) -> Any:
    """The JSON value that stands for a spec in identities."""
    if is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: canonical(getattr(value, field.name))
            for field in fields(value)
            if getattr(value, field.name) != field.metadata.get("neutral", _MISSING)
        }
    if isinstance(value, dict):
        return {str(key): canonical(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(entry) for entry in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"{type(value).__name__} has no place in an identity: {value!r}")


def canonical_json(value: Any) -> str:
    """Canonical JSON text of a spec."""
    return json.dumps(
        canonical(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )


def method_numerics(method: Method) -> dict[str, int]:
    """Versions that enter the identity of an alignment: of its method, and of what that starts from."""
    found = {"method_numerics": METHOD_NUMERICS.get(method.method)}
    if isinstance(method, SimulatedAnnealing) and not isinstance(method.start, str):
        found["start_numerics"] = METHOD_NUMERICS.get(method.start.method)
    return {name: version for name, version in found.items() if version is not None}


def identify(kind: str, value: Any) -> str:
    """The id of a thing of one kind, from its spec."""
    numerics = NUMERICS_VERSION.get("network" if kind == "cell" else kind)
    text = canonical_json({"kind": kind, "numerics": numerics, "spec": value})
    return hashlib.sha256(text.encode()).hexdigest()[:ID_LENGTH]
