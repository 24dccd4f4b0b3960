"""The study ``barriers`` of a sweep file: which pairs, which alignments, which curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lmc_sweep.config import alignments, fields
from lmc_sweep.config.applicability import obstacle
from lmc_sweep.config.architectures import is_normed
from lmc_sweep.config.counts import alphas_of
from lmc_sweep.config.grid import refuse_repeated
from lmc_sweep.config.refusals import Refusal, join, refuse_unknown_keys
from lmc_sweep.config.sweep import BarriersStudy, Cell, Interpolation
from workers.alignment.methods import Method, Oracle, SimulatedAnnealing
from workers.datasets.definitions import define

_EXAMPLE = "{alignments: [{method: identity}]}"
_DEFAULT_ALPHAS = 11


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
        key: listed(BarriersStudy, key, section[key], "barriers")
        if key in ("worlds", "planted_noise")
        else _scalar(key, section[key])
        for key in ("worlds", "pairs", "networks_per_alignment", "planted_noise")
        if key in section
    }
    methods = alignments.read(section["alignments"], cells)
    study = BarriersStudy(
        **plain,
        alignments=tuple(methods),
        interpolation=interpolation(section.get("interpolation", {}), cells, "barriers.interpolation"),
    )
    if "planted_noise" in section and "planted" not in study.worlds:
        raise Refusal(
            "barriers.planted_noise",
            "has no effect: barriers.worlds lacks planted. Add it, or leave planted_noise out",
        )
    check_methods(study, methods, cells)
    _check_pairs(study, cells)
    return study


def _scalar(key: str, value: Any) -> Any:
    return fields.checked(fields.annotation(BarriersStudy, key), value, f"barriers.{key}")


def listed(cls: type[Any], key: str, value: Any, path: str) -> Any:
    """A list of names or numbers, none of them twice."""
    where = join(path, key)
    found = fields.checked(fields.annotation(cls, key), value, where)
    if not found:
        raise Refusal(where, "an empty list measures nothing. Name at least one, or leave it out")
    refuse_repeated(list(found), where)
    return found


def interpolation(value: Any, cells: Sequence[Cell], path: str) -> Interpolation:
    """The grid of alphas, the splits and the corrections that stand at ``path``."""
    section = fields.mapping(value, path, "{alphas: 11, splits: [train, test]}")
    refuse_unknown_keys(section, fields.field_names(Interpolation), path)
    _refuse_corrections(section.get("corrections"), cells, f"{path}.corrections")
    lists: dict[str, Any] = {
        key: listed(Interpolation, key, section[key], path)
        for key in ("splits", "corrections")
        if key in section
    }
    if "layers" in section:  # most often one word
        asked = section["layers"] if isinstance(section["layers"], list) else [section["layers"]]
        lists["layers"] = listed(Interpolation, "layers", asked, path)
    return Interpolation(alphas=alphas_of(section.get("alphas", _DEFAULT_ALPHAS), f"{path}.alphas"), **lists)


def _refuse_corrections(value: Any, cells: Sequence[Cell], path: str) -> None:
    """Refuses a reset of batch-norm statistics where no network has any, and statistics of one example."""
    for index, name in enumerate(value if isinstance(value, list) else []):
        where = f"{path}[{index}]"
        if (
            name == "reset_bn"
            and cells
            and not any(is_normed(cell.architecture, cell.origin) for cell in cells)
        ):
            architectures = ", ".join(sorted({cell.architecture.name for cell in cells}))
            text = f"'{name}' has no effect: it resets batch-norm statistics, and {architectures} has none"
            raise Refusal(where, f"{text}. Leave it out")
        if name in ("reset_bn", "repair") and any(define(cell.data).num_train < 2 for cell in cells):
            raise Refusal(where, f"'{name}' measures variances, for which num_train must be at least 2")


def check_methods(
    study: BarriersStudy,
    methods: Mapping[Method, str],
    cells: Sequence[Cell],
    instead_of_oracle: str = "Ask for world model or planted as well",
) -> None:
    """Refuses methods that serve none of the cells and worlds, or fewer networks than are grouped."""
    asked = study.networks_per_alignment
    for method, path in methods.items():
        if asked > 2 and isinstance(method, SimulatedAnnealing) and method.objective.startswith("midpoint"):
            raise Refusal(
                path,
                f"{method.objective} is of two networks, and barriers.networks_per_alignment is {asked}: "
                "choose objective: average_error or pairwise_barrier",
            )
        obstacles = [
            obstacle(method, world, cell.architecture, cell.data) for cell in cells for world in study.worlds
        ]
        if obstacles and all(obstacles):
            remedy = (
                instead_of_oracle
                if isinstance(method, Oracle)
                else "Raise max_permutations, or add narrower networks"
            )
            raise Refusal(path, f"{method.method}: {obstacles[0]}. {remedy}")


def _check_pairs(study: BarriersStudy, cells: Sequence[Cell]) -> None:
    """Refuses more pairs than the seeds of some cell allow."""
    num_members = study.networks_per_alignment
    for cell in cells:
        num_seeds = len(cell.seeds)
        most, asked = study.most_pairs(num_seeds), study.num_pairs(num_seeds)
        if max(asked, 1) <= most:
            continue
        needed = max(asked, 1) * num_members
        s, verb = ("", "needs") if max(asked, 1) == 1 else ("s", "need")
        group = f"pair{s}" if num_members == 2 else f"group{s} of {num_members}"
        where = "barriers.pairs" if study.pairs is not None else "barriers"
        more = "name more files by a pattern, as in 'nets/*.pt'" if cell.checkpoints else "list more seeds"
        remedy = f"Ask for at most {most}, or {more}" if most else more[0].upper() + more[1:]
        if not most and set(study.worlds) - {"real"}:
            others = ", ".join(world for world in study.worlds if world != "real")
            remedy += f", or ask for worlds: [{others}] alone"
        raise Refusal(
            where,
            f"{max(asked, 1)} {group} {verb} {needed} seeds, and {cell.origin} lists {num_seeds}. {remedy}",
        )
