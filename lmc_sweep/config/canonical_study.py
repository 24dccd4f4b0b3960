"""The study ``canonical`` of a sweep file: the networks of a cell with their hidden units in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge

from lmc_sweep.config import fields
from lmc_sweep.config.architectures import is_normed
from lmc_sweep.config.grid import Located, unroll
from lmc_sweep.config.refusals import Refusal, refuse_unknown_keys, shown
from lmc_sweep.config.studies import listed
from lmc_sweep.config.sweep import Cell
from workers.canonical_forms.specs import TREATMENTS, CanonicalSpec, Matched, Raw, Sorted, Treatment
from workers.specs import Split

_EXAMPLE = "{networks: 200, treatments: [{treatment: raw}, {treatment: sorted}]}"
_LISTS = ("epsilons", "averages", "splits")
LEAST_NETWORKS = 2


@dataclass(frozen=True, kw_only=True)
class CanonicalStudy:
    """Which networks of every cell are put in order how, and which of them are averaged.

    ``networks`` counts the first listed seeds of each cell; None: all. ``averages``: how many networks are
    averaged, and ``groups``: how many such averages at most, of one group of networks after another.
    """

    networks: Annotated[int, Ge(LEAST_NETWORKS)] | None = None
    treatments: tuple[Treatment, ...] = (Raw(), Sorted(), Matched())
    epsilons: tuple[float, ...] = CanonicalSpec.epsilons
    averages: tuple[int, ...] = ()
    groups: Annotated[int, Ge(1)] = 1
    splits: tuple[Split, ...] = ("train", "test")


def read(value: Any, cells: Sequence[Cell]) -> CanonicalStudy:
    """The study, checked against the cells it is asked of."""
    section = fields.mapping(value, "canonical", _EXAMPLE)
    refuse_unknown_keys(section, fields.field_names(CanonicalStudy), "canonical")
    plain: dict[str, Any] = {
        key: fields.checked(fields.annotation(CanonicalStudy, key), section[key], f"canonical.{key}")
        for key in ("networks", "groups")
        if key in section
    }
    for key in _LISTS:
        if key in section:
            asked = section[key] if isinstance(section[key], list) else [section[key]]
            if key == "averages" and not asked:
                continue  # none is asked for
            plain[key] = listed(CanonicalSpec, key, asked, "canonical")
    if "treatments" in section:
        plain["treatments"] = _treatments(section["treatments"])
    study = CanonicalStudy(**plain)
    _check_averages(study, section, cells)
    _check_networks(study, cells)
    return study


def _treatments(value: Any) -> tuple[Treatment, ...]:
    """One treatment per point of every entry."""
    path = "canonical.treatments"
    if not isinstance(value, list):
        raise Refusal(
            path, f"should be a list of treatments, as in [{{treatment: sorted}}], not {shown(value)}"
        )
    found: dict[Treatment, str] = {}
    for point in unroll(value, path):
        treatment = fields.chosen(TREATMENTS, point, "treatment", "treatment", "treatments")
        _check_key(treatment, point)
        if treatment in found:
            raise Refusal(point.path, f"means the same as {found[treatment]}. Remove one")
        found[treatment] = point.path
    return tuple(found)


def _check_key(treatment: Treatment, point: Located) -> None:
    """Refuses the key power without its p, and p with another key."""
    if not isinstance(treatment, Sorted):
        return
    if treatment.key == "power" and treatment.power is None:
        raise Refusal(
            point.path,
            "'power' is missing: key power sorts by the outgoing weights times 1, p, p^2, ... "
            "Name p above 1, as in {treatment: sorted, key: power, power: 1.05}",
        )
    if treatment.key != "power" and treatment.power is not None:
        raise Refusal(
            point.at("power"), f"has no effect: key is {treatment.key}. Leave it out, or write key: power"
        )


def _check_averages(study: CanonicalStudy, section: dict[str, Any], cells: Sequence[Cell]) -> None:
    """Refuses options of averages where none is asked for, and averages of networks with batch norm."""
    if not study.averages:
        for key in ("groups", "splits"):
            if key in section:
                raise Refusal(f"canonical.{key}", "has no effect: 'averages' names no number of networks")
        return
    for cell in cells:
        if is_normed(cell.architecture, cell.origin):
            raise Refusal(
                "canonical.averages",
                f"the mean of batch-norm statistics is not that of the averaged network, and {cell.origin} "
                f"({cell.architecture.name}) has batch norm. Leave averages out",
            )


def _check_networks(study: CanonicalStudy, cells: Sequence[Cell]) -> None:
    """Refuses more networks than the seeds of some cell, and averages of more than are looked at."""
    for cell in cells:
        num_seeds = len(cell.seeds)
        more = "name more files by a pattern, as in 'nets/*.pt'" if cell.checkpoints else "list more seeds"
        if num_seeds < LEAST_NETWORKS:
            raise Refusal(
                "canonical",
                f"distances are of pairs, and {cell.origin} lists {num_seeds} seed. "
                f"{more[0].upper()}{more[1:]}",
            )
        if study.networks is not None and study.networks > num_seeds:
            raise Refusal(
                "canonical.networks",
                f"{study.networks} networks need as many seeds, and {cell.origin} lists {num_seeds}. "
                f"Ask for at most {num_seeds}, or {more}",
            )
        num = num_seeds if study.networks is None else study.networks
        for index, size in enumerate(study.averages):
            if size > num:
                where = "canonical.networks is" if study.networks is not None else f"{cell.origin} lists"
                raise Refusal(
                    f"canonical.averages[{index}]",
                    f"{size} networks cannot be averaged: {where} {num}. Ask for at most {num}, or {more}",
                )
