"""The numeric floor: pure functions from specs and tensors to tensors and records.

Nothing here knows of Ray, of files, or of the store. The names below are the public ones; they
are imported on first use, so that ``import workers.specs`` does not pay for torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workers.alignment.align import AlignmentResult, align
    from workers.interpolation.interpolate import Curves, interpolate
    from workers.permutation.derive import derive_permutation_spec
    from workers.permutation.spec import PermutationSpec
    from workers.training.train import TrainedStack, train

_HOME = {
    "AlignmentResult": "workers.alignment.align",
    "Curves": "workers.interpolation.interpolate",
    "PermutationSpec": "workers.permutation.spec",
    "TrainedStack": "workers.training.train",
    "align": "workers.alignment.align",
    "derive_permutation_spec": "workers.permutation.derive",
    "interpolate": "workers.interpolation.interpolate",
    "train": "workers.training.train",
}

__all__ = [  # noqa: RUF022  the order of a run: train, align, interpolate
    "train",
    "TrainedStack",
    "align",
    "AlignmentResult",
    "interpolate",
    "Curves",
    "PermutationSpec",
    "derive_permutation_spec",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'workers' has no attribute {name!r}")
