"""The study ``all_pairs`` of a sweep file: the barriers between all pairs of a cell's networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge, Le

from lmc_sweep.config import alignments, fields, studies
from lmc_sweep.config.counts import refuse_many
from lmc_sweep.config.refusals import Refusal, refuse_unknown_keys
from lmc_sweep.config.sweep import BarriersStudy, Cell, Interpolation
from workers.alignment.methods import Method
from workers.all_pairs.specs import LEAST_NETWORKS, Height, Pairing

_EXAMPLE = "{networks: 100, alignments: [{method: identity}, {method: weight_matching}]}"
_MOST_DRAWS = 100_000  # of one cell; a slip of the finger is refused before they are drawn
_PLAIN = ("networks", "pairing", "pairs", "draw_seed")


@dataclass(frozen=True, kw_only=True)
class AllPairsStudy:
    """Which networks of every cell are paired with one another, aligned pair by pair, and interpolated.

    ``networks`` counts the first listed seeds of each cell; None: all. With ``pairing`` ``iid``, ``pairs``
    are drawn by ``draw_seed`` (``workers.all_pairs.drawing``). ``heights``: of what matrices are made.
    """

    networks: Annotated[int, Ge(LEAST_NETWORKS)] | None = None
    pairing: Pairing = "all"
    pairs: Annotated[int, Ge(1), Le(_MOST_DRAWS)] | None = None
    draw_seed: Annotated[int, Ge(0)] = 0
    heights: tuple[Height, ...] = ("supremum",)
    alignments: tuple[Method, ...]
    interpolation: Interpolation

    @property
    def as_barriers(self) -> BarriersStudy:
        """What the study ``barriers`` asks of each pair, so that both ask for the same items."""
        return BarriersStudy(worlds=("real",), alignments=self.alignments, interpolation=self.interpolation)


def read(value: Any, cells: Sequence[Cell]) -> AllPairsStudy:
    """The study, checked against the cells it is asked of."""
    section = fields.mapping(value, "all_pairs", _EXAMPLE)
    refuse_unknown_keys(section, fields.field_names(AllPairsStudy), "all_pairs")
    if "alignments" not in section:
        raise Refusal(
            "all_pairs", f"'alignments' is missing: without one nothing is measured. Write {_EXAMPLE}"
        )
    plain = {
        key: fields.checked(fields.annotation(AllPairsStudy, key), section[key], f"all_pairs.{key}")
        for key in _PLAIN
        if key in section
    }
    if "heights" in section:
        asked = section["heights"] if isinstance(section["heights"], list) else [section["heights"]]
        plain["heights"] = studies.listed(AllPairsStudy, "heights", asked, "all_pairs")
    methods = alignments.read(section["alignments"], cells, "all_pairs.alignments")
    study = AllPairsStudy(
        **plain,
        alignments=tuple(methods),
        interpolation=studies.interpolation(
            section.get("interpolation", {}), cells, "all_pairs.interpolation"
        ),
    )
    if study.interpolation.layers != ("all",):
        raise Refusal(
            "all_pairs.interpolation.layers",
            "a matrix is of whole networks. Leave it out, or ask for layers in the study barriers",
        )
    _check_pairing(study, section)
    studies.check_methods(study.as_barriers, methods, cells, "Leave it out")
    _check_networks(study, cells)
    return study


def _check_pairing(study: AllPairsStudy, section: dict[str, Any]) -> None:
    """Refuses options of draws where all pairs are looked at, and draws without their number."""
    if study.pairing == "iid":
        if study.pairs is None:
            raise Refusal("all_pairs", "'pairs' is missing: pairing iid draws as many as it says")
        return
    for key in ("pairs", "draw_seed"):
        if key in section:
            raise Refusal(
                f"all_pairs.{key}",
                "has no effect: pairing is all, which takes every pair. Leave it out, or write pairing: iid",
            )


def _check_networks(study: AllPairsStudy, cells: Sequence[Cell]) -> None:
    """Refuses more networks than the seeds of some cell, and fewer than a third network takes."""
    asked = LEAST_NETWORKS if study.networks is None else study.networks
    for cell in cells:
        num_seeds = len(cell.seeds)
        if asked <= num_seeds:
            continue
        more = "name more files by a pattern, as in 'nets/*.pt'" if cell.checkpoints else "list more seeds"
        if num_seeds < LEAST_NETWORKS:
            raise Refusal(
                "all_pairs",
                f"a way over a third network needs {LEAST_NETWORKS} seeds, and {cell.origin} lists "
                f"{num_seeds}. {more[0].upper()}{more[1:]}",
            )
        raise Refusal(
            "all_pairs.networks",
            f"{asked} networks need as many seeds, and {cell.origin} lists {num_seeds}. "
            f"Ask for at most {num_seeds}, or {more}",
        )
    if study.pairing == "all":
        sizes = [study.networks or len(cell.seeds) for cell in cells]
        refuse_many(
            sum(size * (size - 1) // 2 for size in sizes) * len(study.alignments),
            "all_pairs",
            "alignments of pairs",
            "Lower networks, or draw pairs: pairing: iid",
        )
