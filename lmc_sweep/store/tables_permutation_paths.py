"""The table of the study ``permutation_paths``: paths of low loss to where two neurons change places."""

from __future__ import annotations

from lmc_sweep.store.study_columns import study_table

PERMUTATION_PATHS = study_table("permutation_paths", "path_id", "permutation_path", ())
