"""The study ``permutation_paths`` of a sweep file: which networks, which two neurons, which way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from lmc_sweep.config import fields
from lmc_sweep.config.counts import refuse_many, seeds_of
from lmc_sweep.config.grid import Located, unroll
from lmc_sweep.config.pair_choices import PairChoice, choices_of, refuse_unfit
from lmc_sweep.config.refusals import Refusal, join, refuse_unknown_keys
from lmc_sweep.config.sweep import Cell
from workers.datasets.definitions import define
from workers.permutation_points.point_specs import PermutationPointsSpec
from workers.permutation_points.specs import PermutationPathSpec, RandomTeacher
from workers.specs import MLPSpec

_KEY = "permutation_paths"
_EXAMPLE = "{teachers: {inputs: 2, hidden: [5], outputs: 1, seeds: 20}, pairs: all}"
_LISTED = ("pairs", "multipliers", "permutation_points")
_AXES = (
    *("layer", "loss", "num_examples", "variant", "num_steps", "smallest", "output_weights"),
    *("gradient_norm", "max_evaluations", "precision"),
)
_OF_VARIANT = {"smallest": "constrained", "output_weights": "constrained", "multipliers": "penalized"}
_DEFAULTS = {"layer": 1, "gradient_norm": 1e-6, "max_evaluations": 1000}
_STEPS_OF_TOY, _STEPS_OF_TRAINED = 200, 100
"""Brea et al. 2019, figures 2 and 3."""
_SMALLEST, _MULTIPLIERS = 1e-4, (1e-6, 1e3)


@dataclass(frozen=True, kw_only=True)
class AskedPaths:
    """Paths that differ in their network and pair alone.

    Attributes:
        spec: All else; its ``teacher`` has the first of the seeds, and is None where the networks are those
            of the sweep.
        seeds: Of random networks.
        pairs: Which pairs of the layer: ``all``, or these.
    """

    spec: PermutationPathSpec
    seeds: tuple[int, ...]
    pairs: Literal["all"] | tuple[PairChoice, ...]


@dataclass(frozen=True, kw_only=True)
class PermutationPathsStudy:
    """Every point of the grids of all entries."""

    asked: tuple[AskedPaths, ...]

    @property
    def needs_networks(self) -> bool:
        """Whether any path starts from a network of the sweep."""
        return any(asked.spec.teacher is None for asked in self.asked)


def read(value: Any, cells: Sequence[Cell]) -> PermutationPathsStudy:
    """The study, one entry or a list of them, checked against the cells."""
    if isinstance(value, list):
        if not value:
            raise Refusal(_KEY, f"an empty list asks for nothing. Write {_EXAMPLE}, or leave it out")
        entries = [(entry, f"{_KEY}[{index}]") for index, entry in enumerate(value)]
    else:
        entries = [(value, _KEY)]
    asked: dict[AskedPaths, str] = {}
    for entry, path in entries:
        for one in _entry(entry, path, cells):
            if asked.get(one, path) != path:  # points of one grid may differ in options of the other variant
                raise Refusal(path, f"asks for the same paths as {asked[one]}. Remove one")
            asked.setdefault(one, path)
    number = sum(_num_paths(one, cells) for one in asked)
    refuse_many(number, _KEY, "paths", "Lower seeds, or ask for fewer pairs, as in pairs: {cosine: 3}")
    return PermutationPathsStudy(asked=tuple(asked))


def _num_paths(asked: AskedPaths, cells: Sequence[Cell]) -> int:
    """Paths of all networks: one for each pair."""
    spec = asked.spec
    counts = [len(asked.seeds)] if spec.teacher is not None else _num_networks(cells)
    widths = [sizes[spec.layer] for sizes, _ in _shapes(spec, cells)]
    return sum(
        number * (width * (width - 1) // 2 if asked.pairs == "all" else len(asked.pairs))
        for number, width in zip(counts, widths, strict=True)
    )


def _num_networks(cells: Sequence[Cell]) -> list[int]:
    """Networks of each cell that paths can lead from."""
    return [len(cell.seeds) for cell in cells if isinstance(cell.architecture, MLPSpec)]


def _entry(value: Any, path: str, cells: Sequence[Cell]) -> list[AskedPaths]:
    """What one entry asks for, a point of its grid each."""
    section = fields.mapping(value, path, _EXAMPLE)
    refuse_unknown_keys(section, ("teachers", *_LISTED, *_AXES), path)
    pairs = choices_of(section.get("pairs", {"cosine": 1}), join(path, "pairs"))
    multipliers = _multipliers(section, path)
    points = _points(section.get("permutation_points"), join(path, "permutation_points"))
    teachers = _teachers(section, path)
    grid = unroll({key: part for key, part in section.items() if key in _AXES}, path)
    for point in grid:
        _check_variant(point)
    _refuse_of_other_variant(section, grid, path)
    found = []
    for teacher, seeds in teachers:
        for point in grid:
            spec = _spec(point, teacher, multipliers, points, path)
            _check(spec, path, cells)
            for sizes, _ in _shapes(spec, cells):
                refuse_unfit(pairs, sizes, spec.layer, path, point.at("layer"))
            found.append(AskedPaths(spec=spec, seeds=seeds, pairs=pairs))
    return found


def _teachers(section: dict[str, Any], path: str) -> list[tuple[RandomTeacher | None, tuple[int, ...]]]:
    """The random networks, and their seeds; one None where those of the sweep are asked about."""
    if "teachers" not in section:
        return [(None, ())]
    where = join(path, "teachers")
    value = fields.mapping(section["teachers"], where, "{inputs: 2, hidden: [5], seeds: 20}")
    known = [*fields.field_names(RandomTeacher), "seeds"]
    known.remove("seed")
    refuse_unknown_keys(value, known, where)
    if "seeds" not in value:
        raise Refusal(where, "'seeds' is missing, and has no default: write seeds: 20")
    seeds = seeds_of(value["seeds"], join(where, "seeds"))
    hidden = _hidden(value, where)
    axes = {key: part for key, part in value.items() if key not in ("hidden", "seeds")}
    found: list[tuple[RandomTeacher | None, tuple[int, ...]]] = []
    for point in unroll(axes, where):
        for key, part in point.value.items():
            fields.checked(fields.annotation(RandomTeacher, key), part.plain(), part.path)
        values = {**point.plain(), **hidden, "seed": seeds[0]}
        found.append((fields.checked(RandomTeacher, values, where), seeds))
    return found


def _hidden(value: dict[str, Any], path: str) -> dict[str, list[int]]:
    """Neurons of every hidden layer: a list of layers, or the one there is."""
    if "hidden" not in value:
        return {}
    where = join(path, "hidden")
    hidden = value["hidden"] if isinstance(value["hidden"], list) else [value["hidden"]]
    if not hidden:
        raise Refusal(where, "a network has at least one hidden layer, as in [5]")
    return {"hidden": list(fields.checked(fields.annotation(RandomTeacher, "hidden"), hidden, where))}


def _multipliers(section: dict[str, Any], path: str) -> tuple[float, float]:
    """The smallest and the largest multiplier of the penalty."""
    if "multipliers" not in section:
        return _MULTIPLIERS
    where = join(path, "multipliers")
    annotation = fields.annotation(PermutationPathSpec, "multipliers")
    found = fields.checked(annotation, section["multipliers"], where)
    if found is None or found[0] >= found[1]:
        raise Refusal(where, f"names the smallest multiplier and the largest, as in [1e-6, 1e3], not {found}")
    return float(found[0]), float(found[1])


def _points(value: Any, path: str) -> PermutationPointsSpec | None:
    """What is measured where both neurons are one."""
    if value is None or value is False:
        return None
    section = {} if value is True else fields.mapping(value, path, "{hessian: true, lowest: 50}")
    refuse_unknown_keys(section, fields.field_names(PermutationPointsSpec), path)
    found: PermutationPointsSpec = fields.checked(PermutationPointsSpec, section, path)
    if not found.hessian and "lowest" in section:
        raise Refusal(join(path, "lowest"), "has no effect: hessian is false. Leave it out")
    return found


def _check_variant(point: Located) -> None:
    """Refuses an unknown variant, and null for an option that stands for no choice of its own."""
    for key in ("variant", *_OF_VARIANT):
        leaf = point.get(key)
        if leaf is not None and leaf.plain() is None:
            raise Refusal(leaf.path, "null says nothing here. Leave it out for the default")
    if (leaf := point.get("variant")) is not None:
        fields.checked(fields.annotation(PermutationPathSpec, "variant"), leaf.plain(), leaf.path)


def _refuse_of_other_variant(section: dict[str, Any], grid: list[Located], path: str) -> None:
    """Refuses options that concern a variant that no point of the grid has."""
    variants = {_plain(point, "variant", "constrained") for point in grid}
    for key, variant in _OF_VARIANT.items():
        if key in section and variant not in variants:
            found = ", ".join(sorted(map(str, variants)))
            raise Refusal(
                join(path, key), f"has no effect: it concerns variant {variant}, not {found}. Leave it out"
            )


def _plain(point: Located, key: str, default: Any) -> Any:
    found = point.get(key)
    return default if found is None else found.plain()


def _spec(
    point: Located,
    teacher: RandomTeacher | None,
    multipliers: tuple[float, float],
    points: PermutationPointsSpec | None,
    path: str,
) -> PermutationPathSpec:
    """All that a point of the grid says of its paths, options of the other variant left out."""
    values = {**_DEFAULTS, **point.plain()}
    for key in point.value:
        fields.checked(fields.annotation(PermutationPathSpec, key), values[key], point.at(key))
    values.setdefault("num_steps", _STEPS_OF_TRAINED if teacher is None else _STEPS_OF_TOY)
    values.setdefault("loss", "relative_squared" if teacher is None else "squared")
    if teacher is not None and values["loss"] == "cross_entropy":
        raise Refusal(
            point.at("loss"),
            "cross_entropy needs labels, which a random network's points do not have. Write squared",
        )
    if teacher is not None and values.get("num_examples") is not None:
        raise Refusal(point.at("num_examples"), "has no effect on random networks: write teachers.num_points")
    if values.get("variant", "constrained") == "penalized":
        values = {key: part for key, part in values.items() if _OF_VARIANT.get(key) != "constrained"}
        values["multipliers"] = list(multipliers)
    else:
        values.setdefault("smallest", _SMALLEST)
        values.setdefault("output_weights", "free")
    spec: PermutationPathSpec = fields.checked(PermutationPathSpec, values, path)
    return replace(spec, teacher=teacher, points=points)


def _check(spec: PermutationPathSpec, path: str, cells: Sequence[Cell]) -> None:
    """Refuses what asks of networks that there are not, or of an activation what it has not."""
    shapes = _shapes(spec, cells)
    if not shapes and (spec.teacher is not None or cells):
        names = ", ".join(sorted({cell.architecture.name for cell in cells}))
        raise Refusal(path, f"asks of networks of architecture mlp alone, and the sweep has {names}")
    if not shapes:
        raise Refusal(path, "asks of networks of the sweep, and it has none: add networks, or teachers")
    kinked = any(activation == "relu" for _, activation in shapes)
    if spec.points is not None and spec.points.hessian and kinked:
        raise Refusal(
            f"{path}.permutation_points.hessian",
            "second derivatives need an activation that has them, tanh or softplus, and relu has not. Write "
            "hessian: false, or another activation"
            + ("" if spec.teacher is not None else "; networks of the sweep are relu"),
        )
    for cell in cells if spec.teacher is None and spec.num_examples is not None else ():
        most = define(cell.data).num_train
        if spec.num_examples is not None and spec.num_examples > most:
            raise Refusal(
                f"{path}.num_examples",
                f"{spec.num_examples} is more than the {most} training examples of {cell.origin}",
            )


def _shapes(spec: PermutationPathSpec, cells: Sequence[Cell]) -> list[tuple[tuple[int, ...], str]]:
    """Neurons of every layer, and activation, of the networks that are asked about."""
    if spec.teacher is not None:
        return [(spec.teacher.sizes, spec.teacher.activation)]
    return [(mlp_sizes(cell), "relu") for cell in cells if isinstance(cell.architecture, MLPSpec)]


def mlp_sizes(cell: Any) -> tuple[int, ...]:
    """Neurons of every layer of an MLP: of a cell, or of what a network is."""
    definition, architecture = define(cell.data), cell.architecture
    hidden = (architecture.width,) * architecture.depth
    return (definition.num_inputs, *hidden, definition.num_classes)
