"""The key ``alignments`` of a sweep file, and the method that the command line names: from text to values."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import fields as fields_of
from dataclasses import replace
from typing import Any, get_args

from lmc_sweep.config import fields
from lmc_sweep.config.grid import Located, unroll
from lmc_sweep.config.refusals import Refusal, shown, unknown
from lmc_sweep.config.searches import check_examples, check_options, inert
from lmc_sweep.config.sweep import Cell
from workers.alignment.methods import METHODS, Identity, Method, Random, SimulatedAnnealing, Start

STARTS: dict[str, type[Any]] = {name: cls for name, cls in METHODS.items() if cls in get_args(Start)}
"""The methods whose result a search can refine, by name."""


def read(value: Any, cells: Sequence[Cell], path: str = "barriers.alignments") -> dict[Method, str]:
    """One method per point of every entry, and where it stands; ``path`` is that of the list.

    An option that changes nothing at some points of an entry is left at its default there, so that they are
    one method; one that changes nothing at any is refused.
    """
    if not isinstance(value, list):
        raise Refusal(path, f"should be a list of methods, as in [{{method: identity}}], not {shown(value)}")
    methods: dict[Method, str] = {}
    reasons: dict[str, str] = {}
    with_effect: set[str] = set()
    for point in unroll(value, path):
        written = method_of(point)
        check_examples(written, point, list(dict.fromkeys(cell.data for cell in cells)))
        without = inert(written, cells)
        for keys, leaf in point.leaves():
            if keys[0] in without:
                reasons.setdefault(leaf, without[keys[0]])
            else:
                with_effect.add(leaf)
        method = with_defaults(written, without)
        if method in methods:
            if method != written:
                continue
            raise Refusal(point.path, f"means the same as {methods[method]}. Remove one")
        methods[method] = point.path
    for leaf, reason in reasons.items():
        if leaf not in with_effect:
            raise Refusal(leaf, f"has no effect: {reason}")
    return methods


def method_of(point: Located) -> Method:
    """The method that a mapping of single values describes, its options checked against one another."""
    values = point.value
    named = values["method"].plain() if isinstance(values, dict) and "method" in values else None
    if named != SimulatedAnnealing.method or "start" not in values:
        made: Method = fields.chosen(METHODS, point, "method", "method", "methods")
    else:
        rest = Located({key: part for key, part in values.items() if key != "start"}, point.path)
        annealing = fields.chosen(METHODS, rest, "method", "method", "methods")
        assert isinstance(annealing, SimulatedAnnealing)
        made = replace(annealing, start=_start(values["start"]))
    check_options(made, point)
    return made


def with_defaults(method: Any, options: Collection[str]) -> Method:
    """The method with some options at their defaults."""
    defaults: dict[str, Any] = {f.name: f.default for f in fields_of(method) if f.name in options}
    changed: Method = replace(method, **defaults)
    return changed


def _start(point: Located) -> Any:
    """What a search starts from: ``identity``, ``random``, or another method, with options of its own."""
    known: dict[str, type[Any]] = {"identity": Identity, **STARTS}
    method: Any
    if isinstance(point.value, dict):
        method = fields.chosen(known, point, "method", "start", "starts")
        check_options(method, point)
        for option, reason in inert(method, ()).items():
            raise Refusal(point.at(option), f"has no effect: {reason}")
    elif isinstance(point.value, str) and point.value in known:
        method = known[point.value]()
    else:
        raise Refusal(point.path, unknown("start", point.value, list(known), "starts"))
    return method.method if isinstance(method, Identity | Random) else method
