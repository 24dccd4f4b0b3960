"""The bodies of the tasks: read, call the workers, commit. Nothing else.

Artifacts are written before the record file that names them, so an attempt that dies leaves at most an
unnamed file behind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lmc_sweep.execution.bodies.align import align_batch
from lmc_sweep.execution.bodies.barrier_matrix import barrier_matrix_batch
from lmc_sweep.execution.bodies.canonical import canonical_batch
from lmc_sweep.execution.bodies.ensembles import ensembles_batch
from lmc_sweep.execution.bodies.initialization import initialization_batch
from lmc_sweep.execution.bodies.measure import measure_batch
from lmc_sweep.execution.bodies.permutation_paths import permutation_paths_batch
from lmc_sweep.execution.bodies.train import train_batch
from lmc_sweep.execution.task import Machine
from lmc_sweep.planning.items import AlignmentItem, BarrierItem, NetworkItem
from lmc_sweep.planning.study_all_pairs import BarrierMatrixItem
from lmc_sweep.planning.study_canonical import CanonicalFormItem
from lmc_sweep.planning.study_ensembles import EnsembleItem
from lmc_sweep.planning.study_initialization import InitializationItem
from lmc_sweep.planning.study_permutation_paths import PermutationPathItem
from lmc_sweep.store.store import Store

__all__ = ["BODIES", "align_batch", "measure_batch", "train_batch"]

BODIES: dict[str, Callable[[Store, Sequence[Any], Machine], None]] = {
    NetworkItem.kind: train_batch,
    AlignmentItem.kind: align_batch,
    BarrierItem.kind: measure_batch,
    BarrierMatrixItem.kind: barrier_matrix_batch,
    CanonicalFormItem.kind: canonical_batch,
    EnsembleItem.kind: ensembles_batch,
    InitializationItem.kind: initialization_batch,
    PermutationPathItem.kind: permutation_paths_batch,
}
