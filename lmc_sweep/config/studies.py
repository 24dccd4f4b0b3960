"""The study ``barriers`` of a sweep file: which pairs, which alignments, which curves."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from lmc_sweep.config import fields
from lmc_sweep.config.architectures import is_normed
from lmc_sweep.config.grid import refuse_repeated, unroll
from lmc_sweep.config.refusals import Refusal, join, refuse_unknown_keys, shown
from lmc_sweep.config.sweep import BarriersStudy, Cell, Interpolation
from workers.alignment.methods import METHODS, Method, SimulatedAnnealing, WeightMatching
from workers.datasets.definitions import define
from workers.specs import MLPSpec

_EXAMPLE = "{alignments: [{method: identity}]}"
_DEFAULT_ALPHAS = 11
_MAX_ALPHAS = 10_001


def read(value: Any, cells: Sequence[Cell]) -> BarriersStudy | None:
    """The study, checked against the cells it is asked of; None where the file asks none."""
    if value is None:
        return None
    section = fields.mapping(value, "barriers", _EXAMPLE)
    refuse_unknown_keys(section, fields.field_names(BarriersStudy), "barriers")
    if "alignments" not in section:
        raise Refusal(
            "barriers", f"'alignments' is missing: without one nothing is measured. Write {_EXAMPLE}"
        )
    plain = {
        key: _list(BarriersStudy, key, section[key], "barriers")
        if key == "worlds"
        else _scalar(key, section[key])
        for key in ("worlds", "pairs", "networks_per_alignment")
        if key in section
    }
    study = BarriersStudy(
        **plain,
        alignments=_alignments(section["alignments"], cells),
        interpolation=_interpolation(section.get("interpolation", {}), cells),
    )
    _check_members(study, section["alignments"])
    _check_pairs(study, cells)
    return study


def _scalar(key: str, value: Any) -> Any:
    return fields.checked(fields.annotation(BarriersStudy, key), value, f"barriers.{key}")


def _list(cls: type[Any], key: str, value: Any, path: str) -> Any:
    """A list of names, none of them twice."""
    where = join(path, key)
    names = fields.checked(fields.annotation(cls, key), value, where)
    if not names:
        raise Refusal(where, "an empty list measures nothing. Name at least one, or leave it out")
    refuse_repeated(list(names), where)
    return names


def _alignments(value: Any, cells: Sequence[Cell]) -> tuple[Method, ...]:
    """One method per point of every entry."""
    path = "barriers.alignments"
    if not isinstance(value, list):
        raise Refusal(path, f"should be a list of methods, as in [{{method: identity}}], not {shown(value)}")
    methods: dict[Method, str] = {}
    for point in unroll(value, path):
        method = fields.chosen(METHODS, point, "method", "method", "methods")
        if method in methods:
            raise Refusal(point.path, f"means the same as {methods[method]}. Remove one")
        methods[method] = point.path
        if isinstance(method, SimulatedAnnealing):
            _check_annealing(method, point.path, cells)
        if isinstance(method, WeightMatching):
            _check_matching(method, point.path, cells)
    return tuple(methods)


def _check_matching(method: WeightMatching, path: str, cells: Sequence[Cell]) -> None:
    """Refuses options of the descent where every network has one group, which one assignment solves."""
    one_layer = (isinstance(cell.architecture, MLPSpec) and cell.architecture.depth == 1 for cell in cells)
    if not all(one_layer):
        return
    default = WeightMatching()
    for option in ("restarts", "max_sweeps", "tolerance"):
        if getattr(method, option) != getattr(default, option):
            text = "has no effect: with one hidden layer a single assignment is exact"
            raise Refusal(join(path, option), f"{text}. Leave it out, or add deeper networks")


def _check_annealing(method: SimulatedAnnealing, path: str, cells: Sequence[Cell]) -> None:
    """Refuses a search that heats up, or that asks for more examples than there are."""
    start, end = method.temperature_start, method.temperature_end
    if start != "auto" and end != "auto" and end > start:
        raise Refusal(
            join(path, "temperature_end"), f"must not exceed temperature_start ({start:g}), not {end:g}"
        )
    for data in dict.fromkeys(cell.data for cell in cells):
        num_train = define(data).num_train
        if method.num_examples is not None and method.num_examples > num_train:
            text = f"{data.dataset} has {num_train} training examples, not {method.num_examples}"
            raise Refusal(join(path, "num_examples"), f"{text}. Leave it out for all of them")
    if cells and all(method.num_examples == define(cell.data).num_train for cell in cells):
        raise Refusal(
            join(path, "num_examples"), "names all training examples. Leave it out, which means the same"
        )


def _interpolation(value: Any, cells: Sequence[Cell]) -> Interpolation:
    """The grid of alphas, the splits and the corrections."""
    path = "barriers.interpolation"
    section = fields.mapping(value, path, "{alphas: 11, splits: [train, test]}")
    refuse_unknown_keys(section, fields.field_names(Interpolation), path)
    _refuse_corrections(section.get("corrections"), cells)
    lists = {
        key: _list(Interpolation, key, section[key], path)
        for key in ("splits", "corrections")
        if key in section
    }
    return Interpolation(alphas=_alphas(section.get("alphas", _DEFAULT_ALPHAS), f"{path}.alphas"), **lists)


def _refuse_corrections(value: Any, cells: Sequence[Cell]) -> None:
    """Refuses a reset of batch-norm statistics where no network has any, and statistics of one example."""
    for index, name in enumerate(value if isinstance(value, list) else []):
        where = f"barriers.interpolation.corrections[{index}]"
        if name == "reset_bn" and not any(is_normed(cell.architecture, cell.origin) for cell in cells):
            architectures = ", ".join(sorted({cell.architecture.name for cell in cells}))
            text = f"'{name}' has no effect: it resets batch-norm statistics, and {architectures} has none"
            raise Refusal(where, f"{text}. Leave it out")
        if name in ("reset_bn", "repair") and any(define(cell.data).num_train < 2 for cell in cells):
            raise Refusal(where, f"'{name}' measures variances, for which num_train must be at least 2")


def _alphas(value: Any, path: str) -> tuple[float, ...]:
    """The positions that a count or a list stands for, and 1/2."""
    if isinstance(value, list):
        alphas = fields.checked(tuple[float, ...], value, path)
        for before, after in itertools.pairwise(alphas):
            if after <= before:
                raise Refusal(path, f"must be strictly increasing, but {before:g} is followed by {after:g}")
        if not alphas or (alphas[0], alphas[-1]) != (0.0, 1.0):
            found = f"from {alphas[0]:g} to {alphas[-1]:g}" if alphas else "empty"
            raise Refusal(
                path, f"must begin at 0 and end at 1, where barriers have their chord; this list is {found}"
            )
        return tuple(sorted({*alphas, 0.5}))
    if isinstance(value, bool) or not isinstance(value, int):
        text = "should be a count (11 for 0, 0.1, ... 1) or a list from 0 to 1"
        raise Refusal(path, f"{text}, not {shown(value)}")
    if not 2 <= value <= _MAX_ALPHAS:
        raise Refusal(path, f"a count of alphas must be from 2 to {_MAX_ALPHAS}, not {shown(value)}")
    return tuple(sorted({index / (value - 1) for index in range(value)} | {0.5}))


def _check_members(study: BarriersStudy, value: list[Any]) -> None:
    """Refuses searches on the midpoint of two networks where the study groups more."""
    asked = study.networks_per_alignment
    for method in study.alignments:
        if asked > 2 and isinstance(method, SimulatedAnnealing) and method.objective.startswith("midpoint"):
            raise Refusal(
                f"barriers.alignments[{_entry_of(method, value)}]",
                f"{method.objective} is of two networks, and barriers.networks_per_alignment is {asked}: "
                "choose objective: average_error or pairwise_barrier",
            )


def _entry_of(method: Method, value: list[Any]) -> int:
    """The entry of ``alignments`` that names the method."""
    for index, entry in enumerate(value):
        named = entry["method"]
        if method.method in (named if isinstance(named, list) else [named]):
            return index
    raise AssertionError("every method was read from an entry")


def _check_pairs(study: BarriersStudy, cells: Sequence[Cell]) -> None:
    """Refuses more pairs than the seeds of some cell allow."""
    num_members = study.networks_per_alignment
    for cell in cells:
        num_seeds = len(cell.seeds)
        most, asked = study.most_pairs(num_seeds), study.num_pairs(num_seeds)
        if max(asked, 1) <= most:
            continue
        needed = max(asked, 1) * num_members
        group = "pairs" if num_members == 2 else f"groups of {num_members}"
        where = "barriers.pairs" if study.pairs is not None else "barriers"
        more = "name more files by a pattern, as in 'nets/*.pt'" if cell.checkpoints else "list more seeds"
        remedy = f"Ask for at most {most}, or {more}" if most else more[0].upper() + more[1:]
        if not most and "model" in study.worlds:
            remedy += ", or ask for worlds: [model] alone"
        raise Refusal(
            where,
            f"{max(asked, 1)} {group} need {needed} seeds, and {cell.origin} lists {num_seeds}. {remedy}",
        )
