"""The tables of the studies other than ``barriers``. Each study has a module of its own for its columns."""

from __future__ import annotations

from lmc_sweep.store.columns import Table
from lmc_sweep.store.tables_all_pairs import BARRIER_MATRICES
from lmc_sweep.store.tables_canonical import CANONICAL_AVERAGES, CANONICAL_FORMS
from lmc_sweep.store.tables_ensembles import ENSEMBLES
from lmc_sweep.store.tables_initialization import INITIALIZATION
from lmc_sweep.store.tables_permutation_paths import PERMUTATION_PATHS
from lmc_sweep.store.tables_permutation_points import PERMUTATION_POINTS

STUDY_TABLES: tuple[Table, ...] = (
    BARRIER_MATRICES,
    PERMUTATION_POINTS,
    PERMUTATION_PATHS,
    CANONICAL_AVERAGES,
    CANONICAL_FORMS,
    ENSEMBLES,
    INITIALIZATION,
)
"""In the order of ``lmc_sweep.kinds.KINDS``; tables of rows that belong to an item come before the item's."""
