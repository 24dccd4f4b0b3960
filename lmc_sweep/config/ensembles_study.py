"""The study ``ensembles`` of a sweep file: pairs of networks, averaged in weights and in predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from annotated_types import Ge

from lmc_sweep.config import fields, studies
from lmc_sweep.config.architectures import is_normed
from lmc_sweep.config.grid import unroll
from lmc_sweep.config.refusals import Refusal, refuse_unknown_keys, shown
from lmc_sweep.config.sweep import Cell
from workers.ensembles.specs import (
    ENSEMBLE_METHODS,
    EnsembleMethod,
    Subspace,
    SubspaceFunctionalDifference,
)
from workers.specs import ArchitectureSpec, MLPSpec, Split, TrainingSpec

_KEY = "ensembles"
_EXAMPLE = "{pairs: 5, methods: [{method: independent}, {method: subspace}]}"
_INERT = "at strength 0 nothing holds the ends of a line apart. Leave it out, or raise strength"


@dataclass(frozen=True, kw_only=True)
class EnsemblesStudy:
    """Which pairs of every cell are made into ensembles, by which methods, and where they are measured.

    Pair k joins the listed seeds 2k and 2k + 1, as in the study ``barriers``; without ``pairs``, as many as
    the seeds of each cell allow.
    """

    pairs: Annotated[int, Ge(1)] | None = None
    methods: tuple[EnsembleMethod, ...]
    splits: tuple[Split, ...] = ("train", "test")

    def num_pairs(self, num_seeds: int) -> int:
        """Pairs of a cell with so many seeds."""
        return num_seeds // 2 if self.pairs is None else self.pairs


def read(value: Any, cells: Sequence[Cell]) -> EnsemblesStudy:
    """The study, checked against the cells it is asked of."""
    section = fields.mapping(value, _KEY, _EXAMPLE)
    refuse_unknown_keys(section, fields.field_names(EnsemblesStudy), _KEY)
    if "methods" not in section:
        raise Refusal(_KEY, f"'methods' is missing: without one nothing is measured. Write {_EXAMPLE}")
    methods = _methods(section["methods"])
    found: dict[str, Any] = {}
    if "pairs" in section:
        annotation = fields.annotation(EnsemblesStudy, "pairs")
        found["pairs"] = fields.checked(annotation, section["pairs"], f"{_KEY}.pairs")
    if "splits" in section:
        found["splits"] = studies.listed(EnsemblesStudy, "splits", section["splits"], _KEY)
    study = EnsemblesStudy(**found, methods=tuple(methods))
    _check_pairs(study, cells)
    _check_cells(methods, cells)
    return study


def obstacle(
    method: EnsembleMethod, architecture: ArchitectureSpec, training: TrainingSpec | None, origin: str = ""
) -> str | None:
    """Why a method makes no ensembles of a cell's networks; None where it does.

    Args:
        method: With its options.
        architecture: Of the networks.
        training: Theirs; None where they were trained elsewhere.
        origin: Where the sweep file asks for them.
    """
    if is_normed(architecture, origin):
        return f"{architecture.name} has batch norm, whose statistics an average of weights does not have"
    if not method.learns_line:
        return None
    if training is None:
        return "it trains networks, and those of checkpoints come without their training"
    if not isinstance(architecture, MLPSpec):
        return f"lines are learned between networks of architecture mlp alone, not {architecture.name}"
    if training.precision == "bfloat16":
        return "lines are learned in precision float32 or tf32, not bfloat16"
    return None


def _methods(value: Any) -> dict[EnsembleMethod, str]:
    """One method per point of every entry, and where it stands.

    ``regularizer`` is left at its default where the strength is 0, so that such points are one method.
    """
    path = f"{_KEY}.methods"
    if not isinstance(value, list):
        raise Refusal(path, f"should be a list of methods, as in {_EXAMPLE}, not {shown(value)}")
    methods: dict[EnsembleMethod, str] = {}
    without_effect: dict[str, bool] = {}
    for point in unroll(value, path):
        written: EnsembleMethod = fields.chosen(ENSEMBLE_METHODS, point, "method", "method", "methods")
        method = written
        if isinstance(written, Subspace | SubspaceFunctionalDifference):
            is_free = written.strength == 0
            if is_free:
                method = replace(written, regularizer=type(written)().regularizer)
            if (leaf := point.get("regularizer")) is not None:
                without_effect[leaf.path] = is_free and without_effect.get(leaf.path, True)
        if method not in methods:
            methods[method] = point.path
        elif method == written:
            raise Refusal(point.path, f"means the same as {methods[method]}. Remove one")
    for place, has_none in without_effect.items():
        if has_none:
            raise Refusal(place, f"has no effect: {_INERT}")
    return methods


def _check_pairs(study: EnsemblesStudy, cells: Sequence[Cell]) -> None:
    """Refuses more pairs than the seeds of some cell allow."""
    for cell in cells:
        num_seeds = len(cell.seeds)
        asked = max(study.num_pairs(num_seeds), 1)
        if 2 * asked <= num_seeds:
            continue
        more = "name more files by a pattern, as in 'nets/*.pt'" if cell.checkpoints else "list more seeds"
        words = "1 pair needs" if asked == 1 else f"{asked} pairs need"
        remedy = f"Ask for at most {num_seeds // 2}, or {more}" if num_seeds > 1 else more.capitalize()
        raise Refusal(
            _KEY if study.pairs is None else f"{_KEY}.pairs",
            f"{words} {2 * asked} seeds, and {cell.origin} lists {num_seeds}. {remedy}",
        )


def _check_cells(methods: Mapping[EnsembleMethod, str], cells: Sequence[Cell]) -> None:
    """Refuses methods that serve none of the cells."""
    for method, path in methods.items():
        obstacles = [obstacle(method, cell.architecture, cell.training, cell.origin) for cell in cells]
        if obstacles and all(obstacles):
            raise Refusal(
                path, f"{method.method}: {obstacles[0]}. Leave it out, or add networks that it takes"
            )
