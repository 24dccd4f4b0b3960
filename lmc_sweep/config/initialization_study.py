"""The study ``initialization`` of a sweep file: random networks, and how near they are to being linear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge, Gt, Lt

from lmc_sweep.config import fields, studies
from lmc_sweep.config.counts import alphas_of, refuse_many, seeds_of
from lmc_sweep.config.refusals import Refusal, join, refuse_unknown_keys
from lmc_sweep.config.sweep import Cell
from workers.initialization.specs import GridRule, LipschitzActivation, Matching

_KEY = "initialization"
_EXAMPLE = "{input_dims: [1, 2, 3], widths: [64, 256, 1024], seeds: 5}"
_AXES = ("input_dims", "widths", "matchings", "activation", "grid_cells")
_NUMBERS = ("num_inputs", "num_draws", "delta")
_DEFAULT_ALPHAS = 11
_MOST_DEVIATIONS = 10_000_000
"""Of one pair of networks: one for each input and draw, 80 MB."""
_WIDEST_ASSIGNED = 32_768
"""Hidden units of an assignment: their distances take 8.6 GB."""


@dataclass(frozen=True, kw_only=True)
class InitializationStudy:
    """Pairs of random networks: one for every input dimension, width, matching and seed.

    What the options mean: ``workers.initialization.specs.InitializationSpec``. ``grid_cells`` concerns the
    matching ``grid`` alone.
    """

    input_dims: tuple[Annotated[int, Ge(1)], ...]
    widths: tuple[Annotated[int, Ge(1)], ...]
    matchings: tuple[Matching, ...] = ("identity", "grid", "hungarian")
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    alphas: tuple[float, ...]
    num_inputs: Annotated[int, Ge(1)] = 1000
    num_draws: Annotated[int, Ge(1)] = 64
    activation: tuple[LipschitzActivation, ...] = ("relu",)
    delta: Annotated[float, Gt(0), Lt(1)] = 0.1
    grid_cells: tuple[GridRule | Annotated[int, Ge(1)], ...] = ("least_bound",)


def read(value: Any, _cells: Sequence[Cell] = ()) -> InitializationStudy:
    """The study; it asks of no networks of the sweep."""
    section = fields.mapping(value, _KEY, _EXAMPLE)
    refuse_unknown_keys(section, fields.field_names(InitializationStudy), _KEY)
    for key in ("input_dims", "widths"):
        if key not in section:
            raise Refusal(_KEY, f"'{key}' is missing, and has no default. Write {_EXAMPLE}")
    found: dict[str, Any] = {key: _listed(key, section[key]) for key in _AXES if key in section}
    for key in _NUMBERS:
        if key in section:
            annotation = fields.annotation(InitializationStudy, key)
            found[key] = fields.checked(annotation, section[key], join(_KEY, key))
    if "seeds" in section:
        found["seeds"] = seeds_of(section["seeds"], join(_KEY, "seeds"))
    found["alphas"] = alphas_of(section.get("alphas", _DEFAULT_ALPHAS), join(_KEY, "alphas"))
    study = InitializationStudy(**found)
    _check_sizes(study)
    _check_grid(study, section)
    return study


def _listed(key: str, value: Any) -> Any:
    """One value, or a list of several."""
    asked = value if isinstance(value, list) else [value]
    return studies.listed(InitializationStudy, key, asked, _KEY)


def _check_sizes(study: InitializationStudy) -> None:
    """Refuses what would take more memory than machines have, and more pairs than a plan can list."""
    matchings = len(study.matchings) + (len(study.grid_cells) - 1) * ("grid" in study.matchings)
    shapes = len(study.input_dims) * len(study.widths) * len(study.activation)
    refuse_many(
        shapes * matchings * len(study.seeds), _KEY, "pairs of networks", "Lower seeds, or list fewer sizes"
    )
    num_deviations = study.num_inputs * study.num_draws
    if num_deviations > _MOST_DEVIATIONS:
        raise Refusal(
            join(_KEY, "num_inputs"),
            f"{study.num_inputs} inputs for each of {study.num_draws} draws (num_draws) are {num_deviations} "
            f"deviations, more than {_MOST_DEVIATIONS}. Lower one of them, or add seeds",
        )
    is_assigned = (
        "hungarian" in study.matchings and max(study.input_dims) > 1
    )  # units of one input are sorted
    if is_assigned and max(study.widths) > _WIDEST_ASSIGNED:
        raise Refusal(
            join(_KEY, "widths"),
            f"matching hungarian keeps the distances of all pairs of units in memory: at most "
            f"{_WIDEST_ASSIGNED} units, not {max(study.widths)}. Leave hungarian out for wider ones",
        )


def _check_grid(study: InitializationStudy, section: dict[str, Any]) -> None:
    """Refuses options of the grid where no grid is asked for."""
    if "grid_cells" in section and "grid" not in study.matchings:
        raise Refusal(
            join(_KEY, "grid_cells"),
            "has no effect: matchings lacks grid. Add it, or leave grid_cells out",
        )
