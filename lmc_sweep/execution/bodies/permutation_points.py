"""Measuring where a path leads: rows of ``permutation_points``."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from lmc_sweep.planning.identity import identify
from workers.permutation_points.measured_points import permutation_points
from workers.permutation_points.statements import verdicts

if TYPE_CHECKING:
    from torch import Tensor

    from workers.permutation_points.losses import Loss
    from workers.permutation_points.point_specs import PermutationPointsSpec


def point_rows(
    path_id: str,
    cell_id: str,
    loss: Loss,
    network: Tensor,
    layer: int,
    pair: tuple[int, int],
    spec: PermutationPointsSpec,
) -> list[dict[str, Any]]:
    """A row for every point that a path's end gives rise to; they are committed before the path's own row.

    Args:
        path_id, cell_id: Of the path.
        loss: What the path minimized, for its network alone.
        network: Where the path has come to distance 0.
        layer: The hidden layer, from 1.
        pair: The neurons that have one parameter vector there.
        spec: What to measure.
    """
    rows = []
    for point in permutation_points(loss, network, layer, pair, spec, path_id):
        found = verdicts(point)
        rows.append(
            {
                "point_id": identify("permutation_point", {"path": path_id, "copies": list(point.copies)}),
                "path_id": path_id,
                "cell_id": cell_id,
                "point_order": point.order,  # ORDER is a word of SQL
                **{name: value for name, value in dataclasses.asdict(point).items() if name != "order"},
                "copies": list(point.copies),
                "lowest_curvatures": list(point.lowest_curvatures),
                "held": [name for name, holds in found.items() if holds],
                "falsified": [name for name, holds in found.items() if not holds],
            }
        )
    return rows
