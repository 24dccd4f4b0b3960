"""YAML text to plain values and back, by the rules of YAML 1.2's core schema.

PyYAML reads ``2e9`` as text, ``no`` as false and ``1:30`` as ninety, as YAML 1.1 has it. Here a number
is what it looks like, and only true and false are booleans. A key that stands twice in one mapping, a
key that is no text, and a number that is not finite are refused.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

from lmc_sweep.config.refusals import Refusal, shown

_INTEGER = r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"
_FLOAT = (
    r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_RESOLVERS = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", _INTEGER, list("-+0123456789")),
    ("float", _FLOAT, list("-+0123456789.")),
    ("merge", r"<<", ["<"]),
)
_COLLECTIONS = ("tag:yaml.org,2002:seq", "tag:yaml.org,2002:map")
_LARGEST_INTEGER = 2**63 - 1  # what a column of the store holds
_MOST_VALUES = 1_000_000
_LONGEST_INTEGER = 1000  # digits: enough to be too large, and few enough for Python to read


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  PyYAML's own shape


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


for _tag, _pattern, _first in _RESOLVERS:
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _first)


def read(text: str) -> Any:
    """The value a YAML document stands for; an empty one is None.

    Raises:
        Refusal: If the text is not YAML, or breaks one of the rules above; with line and column.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is not None:
            _refuse_too_many(node)
        return None if node is None else _value(loader, node, ())
    except yaml.MarkedYAMLError as error:
        problem = " ".join(filter(None, (error.context, error.problem)))
        raise Refusal(
            "", f"{_at(error.problem_mark or error.context_mark)}not valid YAML: {problem}"
        ) from error
    except yaml.reader.ReaderError as error:
        line = text[: int(error.position)].count("\n") + 1
        raise Refusal("", f"line {line}: not valid YAML: a character that text cannot hold") from error
    except RecursionError as error:
        raise Refusal("", "not a sweep: lists or mappings are nested too deeply") from error


def write(value: Any) -> str:
    """YAML text that ``read`` turns into the same value, keys in the order given."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return text


def _value(loader: _Loader, node: yaml.Node, above: tuple[yaml.Node, ...]) -> Any:
    """The value of a node; ``above`` are the nodes that hold it, so that an alias to one of them is told."""
    if any(node is holder for holder in above):
        raise Refusal("", f"{_at(node.start_mark)}an alias stands inside what it refers to")
    if isinstance(node, yaml.CollectionNode) and node.tag not in _COLLECTIONS:
        raise Refusal("", f"{_at(node.start_mark)}{node.tag} has no place in a sweep")
    if isinstance(node, yaml.SequenceNode):
        return [_value(loader, item, (*above, node)) for item in node.value]
    if not isinstance(node, yaml.MappingNode):
        return _scalar(loader, node)
    _refuse_twice(node)
    loader.flatten_mapping(node)  # keys that ``<<`` merges come first, so that the mapping's own replace them
    mapping = {}
    for key_node, value_node in node.value:
        key = _value(loader, key_node, (*above, node))
        if not isinstance(key, str):
            raise Refusal("", f"{_at(key_node.start_mark)}a key must be a text, not {shown(key)}")
        mapping[key] = _value(loader, value_node, (*above, node))
    return mapping


def _refuse_twice(node: yaml.MappingNode) -> None:
    """Refuses a key that a mapping itself, merges aside, has twice."""
    seen: dict[str, yaml.Node] = {}
    for key_node, _ in node.value:
        if isinstance(key_node, yaml.ScalarNode):
            if key_node.value in seen:
                first = seen[key_node.value].start_mark.line + 1
                text = f"key {shown(key_node.value)} stands twice in one mapping, first in line {first}"
                raise Refusal("", _at(key_node.start_mark) + text)
            seen[key_node.value] = key_node


def _scalar(loader: _Loader, node: yaml.Node) -> Any:
    """A text, a number, a boolean or null."""
    try:
        if node.tag == "tag:yaml.org,2002:int":  # PyYAML would take 010 for octal, as YAML 1.1 does
            digits = str(node.value)[:_LONGEST_INTEGER]
            value: Any = int(digits, 0 if digits[:2] in ("0o", "0x") else 10)
        else:
            value = loader.construct_object(node, deep=True)
    except (ValueError, KeyError) as error:  # a tag that its text belies
        raise Refusal("", f"{_at(node.start_mark)}{shown(node.value)} is not what its tag says") from error
    if value == 0.0 and isinstance(value, float):
        value = 0.0  # minus zero is the same number, and must not be another identity
    if isinstance(value, float) and not math.isfinite(value):
        raise Refusal("", f"{_at(node.start_mark)}{node.value} is not a finite number")
    if isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
        raise Refusal("", f"{_at(node.start_mark)}{shown(node.value)} is too large: 64 bits hold less")
    if isinstance(value, str) and not value.isprintable():
        raise Refusal("", f"{_at(node.start_mark)}a text on one line belongs here, not {shown(value)}")
    if not isinstance(value, str | int | float | None):
        raise Refusal("", f"{_at(node.start_mark)}{node.tag} has no place in a sweep")
    return value


def _refuse_too_many(root: yaml.Node) -> None:
    """Refuses a text whose aliases stand for more values than any sweep has; each node is visited once."""
    counts: dict[int, int] = {}

    def count(node: yaml.Node, above: frozenset[int]) -> int:
        if id(node) in above or not isinstance(node, yaml.CollectionNode):
            return 1  # an alias to what holds it is refused where it is read
        if id(node) not in counts:
            parts = (
                part for entry in node.value for part in (entry if isinstance(entry, tuple) else (entry,))
            )
            counts[id(node)] = 1 + sum(count(part, above | {id(node)}) for part in parts)
        return counts[id(node)]

    if count(root, frozenset()) > _MOST_VALUES:
        raise Refusal("", f"its aliases stand for more than {_MOST_VALUES} values, which no sweep has")


def _at(mark: yaml.Mark | None) -> str:
    return "" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: "
