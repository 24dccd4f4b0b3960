"""Short names of methods for legends and tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

_SHORT = {"simulated_annealing": "annealing"}
_PLAIN = {"identity": "before alignment"}
# Said by the value alone, which says what it is.
_SPEAKING = (
    "objective",
    "moves",
    "acceptance",
    "engine",
    "assignment",
    "similarity",
    "order",
    "key",
    "regularizer",
)


def method_labels(methods: Iterable[str], without: Iterable[str] = ()) -> dict[str, str]:
    """JSON of each method to its name, with the options in which those of one name differ.

    A search that refines another's result says so: ``annealing from weight matching``.

    Args:
        methods: As in the column ``method_json``.
        without: Options that are told elsewhere, as on an axis.
    """
    specs: dict[str, dict[str, Any]] = {text: json.loads(text) for text in methods}
    left_out = {"method", "start", *without}
    labels = {}
    for text, spec in specs.items():
        alike = [other for other in specs.values() if _base(other) == _base(spec)]
        options = [
            _said(option, spec.get(option))
            for option in sorted({key for other in alike for key in other} - left_out)
            if len({json.dumps(other.get(option)) for other in alike}) > 1
        ]
        options = [told for told in options if told] + _start_options(spec, alike)
        labels[text] = f"{_base(spec)} ({', '.join(options)})" if options else _base(spec)
    return labels


def plain_name(method: str) -> str:
    """A method's name as people read it."""
    return _PLAIN.get(method, _SHORT.get(method, method.replace("_", " ")))


def _base(spec: Mapping[str, Any]) -> str:
    """The name, with the start where it is not the identity."""
    name, start = plain_name(spec["method"]), spec.get("start", "identity")
    if isinstance(start, dict):
        return f"{name} from {plain_name(start['method'])}"
    return f"{name} from random" if start == "random" else name


def _said(option: str, value: Any) -> str:
    """``10,000 steps``, ``loss``, ``restarts 4``."""
    words = option.replace("_", " ")
    if option.startswith("num_"):
        return f"all {words[4:]}" if value is None else f"{value:,} {words[4:]}"
    if value is None:  # not bounded, as all others are
        return ""
    if option == "steps":
        return f"{value:,} steps"
    if option == "max_seconds":
        return f"at most {value:g} s"
    if option in _SPEAKING:
        return str(value).replace("_", " ")
    return f"{words} {value}"


def _start_options(spec: Mapping[str, Any], alike: list[dict[str, Any]]) -> list[str]:
    """Options in which the methods that are refined differ."""
    start = spec.get("start")
    if not isinstance(start, dict):
        return []
    starts = [other["start"] for other in alike]
    told = [
        _said(option, start.get(option))
        for option in sorted({key for other in starts for key in other} - {"method"})
        if len({json.dumps(other.get(option)) for other in starts}) > 1
    ]
    return [f"its {option}" for option in told if option]
