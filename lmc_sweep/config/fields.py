"""Values checked against the types and constraints of frozen dataclasses, and refused in words.

The dataclasses themselves are the schema: pydantic reads their annotations, and nothing is written twice.
Types are strict (the text '64' is no number, true is no 1), but a whole number may stand for a float.
"""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from lmc_sweep.config.grid import Located
from lmc_sweep.config.refusals import Refusal, join, refuse_unknown_keys, shown, unknown

if TYPE_CHECKING:
    from pydantic import TypeAdapter
    from pydantic_core import ErrorDetails

T = TypeVar("T")

_BOUNDS = {
    "greater_than": ("gt", "must be greater than"),
    "greater_than_equal": ("ge", "must be at least"),
    "less_than": ("lt", "must be less than"),
    "less_than_equal": ("le", "must be at most"),
}
_EXPECTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "a text",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dataclass_type": "a mapping",
}


def field_names(cls: type[Any]) -> list[str]:
    """The fields of a dataclass, in order."""
    return [field.name for field in dataclasses.fields(cls)]


def annotation(cls: type[Any], field: str) -> Any:
    """The type of a field with its constraints."""
    return typing.get_type_hints(cls, include_extras=True)[field]


def mapping(value: Any, path: str, example: str) -> dict[str, Any]:
    """``value``, refused if it is no mapping."""
    if not isinstance(value, dict):
        raise Refusal(path, f"should be a mapping, as in {example}, not {shown(value)}")
    return value


def checked(expected: Any, value: Any, path: str) -> Any:
    """``value`` as the type ``expected`` has it, refused at ``path`` or below."""
    return _validated(expected, value, lambda keys: _below(path, keys))


def dataclass_of(cls: type[T], point: Located) -> T:
    """The dataclass that a point of a grid describes; keys it does not know are refused."""
    refuse_unknown_keys(point.value, field_names(cls), point.path)
    made: T = _validated(cls, point.plain(), lambda keys: point.at(*map(str, keys)))
    return made


def chosen(choices: Mapping[str, type[T]], point: Located, key: str, what: str, plural: str) -> T:
    """The dataclass that ``key`` names among the choices, made from the point's other keys."""
    example = f"{{{key}: {next(iter(choices))}}}"
    values = mapping(point.value, point.path, example)
    if key not in values:
        others = (name for cls in choices.values() for name in field_names(cls))
        refuse_unknown_keys(values, list(dict.fromkeys([key, *others])), point.path)
        raise Refusal(point.path, f"'{key}' is missing. Known {plural}: {', '.join(choices)}")
    name = values[key].plain()
    if not isinstance(name, str) or name not in choices:
        raise Refusal(point.at(key), unknown(what, name, list(choices), plural))
    return dataclass_of(choices[name], point)


def _below(path: str, keys: tuple[str | int, ...]) -> str:
    for key in keys:
        path = f"{path}[{key}]" if isinstance(key, int) else join(path, key)
    return path


def _validated(expected: Any, value: Any, locate: Callable[[tuple[str | int, ...]], str]) -> Any:
    """``value`` by pydantic's strict JSON mode: a mapping may stand for a dataclass, a list for a tuple."""
    from pydantic import ValidationError

    try:
        return _adapter(expected).validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        details = error.errors(include_url=False)
        keys = _keys(details[0], value)
        alternatives = [other for other in details if _keys(other, value) == keys]
        if details[0]["type"] == "missing":
            if isinstance(lacking := details[0]["loc"][-1], int):
                raise Refusal(locate(keys), f"the list is too short: [{lacking}] is missing") from None
            raise Refusal(locate(keys[:-1]), f"'{keys[-1]}' is missing, and has no default") from None
        where = locate(keys)
        raise Refusal(where, _words(alternatives, where)) from None


@lru_cache(maxsize=64)
def _adapter(expected: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(expected)


def _keys(detail: ErrorDetails, value: Any) -> tuple[str | int, ...]:
    """Where in ``value`` an error is, without the names that pydantic gives to the members of a union."""
    keys: list[str | int] = []
    for key in detail["loc"]:
        if isinstance(value, dict) and (key in value or detail["type"] == "missing"):
            value = value.get(key)
        elif isinstance(value, list) and isinstance(key, int) and key < len(value):
            value = value[key]
        else:
            break
        keys.append(key)
    return tuple(keys)


def _words(details: list[ErrorDetails], path: str) -> str:
    """The rule broken and the value found; several rules where the type is a union."""
    found = details[0]["input"]
    literals = [literal for detail in details for literal in _literals(detail)]
    if len(details) == 1 and literals and isinstance(found, str):
        name = path.rpartition(".")[2].partition("[")[0].removesuffix("s")
        return unknown(name, found, literals, f"{name}s")
    rules = [_rule(detail, found) for detail in details]
    quoted = isinstance(found, str) and _looks_like_number(found)
    remedy = ". Remove the quotes" if quoted and "a whole number" in rules[0] + rules[-1] else ""
    first, *others = dict.fromkeys(rules)
    alternatives = " or ".join([first, *(other.removeprefix("should be ") for other in others)])
    return f"{alternatives}, not {shown(found)}{remedy}"


def _rule(detail: ErrorDetails, found: Any) -> str:
    if detail["type"] in _BOUNDS:
        key, words = _BOUNDS[detail["type"]]
        return f"{words} {detail['ctx'][key]:g}"
    if literals := _literals(detail):
        return f"should be {' or '.join(literals)}"
    expected = _EXPECTED.get(detail["type"])
    if expected is None:
        return detail["msg"].lower()
    return f"should be {expected}" + (
        f", as in [{found}]" if expected == "a list" and isinstance(found, str) else ""
    )


def _literals(detail: ErrorDetails) -> list[str]:
    """The names among which a text should be one."""
    if detail["type"] != "literal_error":
        return []
    return [name.strip("'") for name in detail["ctx"]["expected"].replace(" or ", ", ").split(", ")]


def _looks_like_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
