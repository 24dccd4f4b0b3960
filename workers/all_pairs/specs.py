"""What decides the numbers of one matrix of barriers, free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Len

from workers.specs import Correction, Split

Height = Literal["supremum", "midpoint"]
"""Of which heights a matrix consists: the largest over all alphas, or that at 1/2."""

Pairing = Literal["all", "iid"]
"""Whether all pairs are looked at, or independent draws (``workers.all_pairs.drawing``)."""

LEAST_NETWORKS = 3
"""Below that there is no third network."""


@dataclass(frozen=True, kw_only=True)
class BarrierMatrixSpec:
    """The barriers between networks of one cell, before or after alignment pair by pair.

    ``method_json`` is the method in canonical JSON. ``barriers_sha256`` is the hash of the ids of the
    barriers, pair by pair: whatever changes one of them changes it. ``num_pairs`` and ``draw_seed`` are
    None where all pairs are looked at.
    """

    networks: Annotated[tuple[str, ...], Len(LEAST_NETWORKS)]
    method_json: str
    split: Split
    correction: Correction
    alphas: tuple[float, ...]
    height: Height
    pairing: Pairing
    num_pairs: Annotated[int, Ge(1)] | None
    draw_seed: Annotated[int, Ge(0)] | None
    barriers_sha256: str
