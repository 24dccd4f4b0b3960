"""Identities: the hash of what a thing is.

An id is the head of the SHA-256 of canonical JSON: sorted keys, no spaces, a number that is whole
written without a point, a field left out only at the neutral value frozen when it was introduced.
``NUMERICS_VERSION`` enters every id of its kind; whoever changes the numbers of a kind raises it.
``METHOD_NUMERICS`` does the same for the alignments of one method, and for items that search inside by it.

A sweep of 100,000 items has a few methods and cells: what items share is written once, as a ``Fragment``,
and stands in the text of each as it is. The text is the same as if it had been written anew.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import Any

from lmc_sweep.kinds import KINDS
from workers.alignment.methods import Method, SimulatedAnnealing

NUMERICS_VERSION = {**dict.fromkeys(KINDS, 1), "permutation_path": 2}
"""Permutation paths: 2, minimization of long vectors begins from the curvature of every layer, lengths of the
layers below are held with the output weights, and silent neurons are chosen last.
"""

METHOD_NUMERICS = {"weight_matching": 3}
"""Methods whose results have changed since they were first released.

Weight matching: 2, a grown start joined the descents; 3, it is the first of them.
"""

ID_LENGTH = 32  # hexadecimal digits, 128 bits

_MISSING = object()


@dataclass(frozen=True)
class Fragment:
    """Canonical JSON text of a part, to stand in the text of many wholes."""

    text: str


def fragment(value: Any) -> Fragment:
    """The canonical JSON text of a part that many identities share."""
    return Fragment(canonical_json(value))


@cache
def _fields(kind: type) -> tuple[tuple[str, Any], ...]:
    """Names of a dataclass's fields, with their neutral values."""
    return tuple((field.name, field.metadata.get("neutral", _MISSING)) for field in fields(kind))


def canonical(value: Any) -> Any:
    """The JSON value that stands for a spec in identities."""
    if is_dataclass(value) and not isinstance(value, type) and not isinstance(value, Fragment):
        held = ((name, getattr(value, name), neutral) for name, neutral in _fields(type(value)))
        return {name: canonical(entry) for name, entry, neutral in held if entry != neutral}
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
    """Canonical JSON text of a spec; fragments in its mappings stand there as they are."""
    if isinstance(value, Fragment):
        return value.text
    if isinstance(value, dict):
        texts = {str(key): canonical_json(entry) for key, entry in value.items()}
        return "{" + ",".join([f"{_dumps(key)}:{texts[key]}" for key in sorted(texts)]) + "}"
    if type(value) is int:  # bool is another type, and written otherwise
        return str(value)
    return _dumps(value if isinstance(value, str) else canonical(value))


_dumps = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode


def method_numerics(method: Method) -> dict[str, int]:
    """Versions that enter the identity of an alignment: of its method, and of what that starts from."""
    found = {"method_numerics": METHOD_NUMERICS.get(method.method)}
    if isinstance(method, SimulatedAnnealing) and not isinstance(method.start, str):
        found["start_numerics"] = METHOD_NUMERICS.get(method.start.method)
    return {name: version for name, version in found.items() if version is not None}


def searched(spec: Any, *methods: str) -> Any:
    """The value that stands for a spec whose answer is found by methods of alignment, with their versions.

    It is the spec itself where none of them has changed since its first release.
    """
    versions = {method: METHOD_NUMERICS[method] for method in methods if method in METHOD_NUMERICS}
    return {**canonical(spec), "method_numerics": versions} if versions else spec


def identify(kind: str, value: Any) -> str:
    """The id of a thing of one kind, from its spec."""
    numerics = NUMERICS_VERSION.get("network" if kind == "cell" else kind)
    text = canonical_json({"kind": kind, "numerics": numerics, "spec": fragment(value)})
    return hashlib.sha256(text.encode()).hexdigest()[:ID_LENGTH]
