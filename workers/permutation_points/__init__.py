"""Points where two neurons of a layer are one, and the paths that lead there (Brea et al. 2019).

The names below are the public ones. They are imported on first use, so that what is asked of a study can be
read without torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workers.permutation_points.dense import DenseShape, flattened, outputs, unflattened, with_ones
    from workers.permutation_points.duplication import (
        critical_shares,
        duplicated,
        equal_loss_directions,
        equalized,
        merged,
    )
    from workers.permutation_points.equal_loss import EqualLossPath, equal_loss_path
    from workers.permutation_points.losses import Loss
    from workers.permutation_points.measured_points import permutation_points
    from workers.permutation_points.paths import DistanceSchedule, MergingPath, find_paths
    from workers.permutation_points.permuted_self import (
        PermutedSelf,
        losses_between,
        lowest_barrier,
        path_to_permuted_self,
    )
    from workers.permutation_points.point import PermutationPoint
    from workers.permutation_points.point_specs import PermutationPointsSpec
    from workers.permutation_points.statements import verdicts

_HOME = {
    "DenseShape": "dense",
    "flattened": "dense",
    "unflattened": "dense",
    "with_ones": "dense",
    "outputs": "dense",
    "Loss": "losses",
    "DistanceSchedule": "paths",
    "MergingPath": "paths",
    "find_paths": "paths",
    "lowest_barrier": "permuted_self",
    "losses_between": "permuted_self",
    "PermutedSelf": "permuted_self",
    "path_to_permuted_self": "permuted_self",
    "EqualLossPath": "equal_loss",
    "equal_loss_path": "equal_loss",
    "duplicated": "duplication",
    "merged": "duplication",
    "equalized": "duplication",
    "equal_loss_directions": "duplication",
    "critical_shares": "duplication",
    "PermutationPoint": "point",
    "PermutationPointsSpec": "point_specs",
    "permutation_points": "measured_points",
    "verdicts": "statements",
}

__all__ = [  # noqa: RUF022  the order of use: networks, paths, orders of a layer, copies, what is measured
    "DenseShape",
    "flattened",
    "unflattened",
    "with_ones",
    "outputs",
    "Loss",
    "DistanceSchedule",
    "MergingPath",
    "find_paths",
    "lowest_barrier",
    "losses_between",
    "PermutedSelf",
    "path_to_permuted_self",
    "EqualLossPath",
    "equal_loss_path",
    "duplicated",
    "merged",
    "equalized",
    "equal_loss_directions",
    "critical_shares",
    "PermutationPoint",
    "PermutationPointsSpec",
    "permutation_points",
    "verdicts",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
