"""The table of the study ``ensembles``: averages of two networks, in weights and in predictions."""

from __future__ import annotations

from lmc_sweep.store.study_columns import study_table

ENSEMBLES = study_table("ensembles", "ensemble_id", "ensemble", ())
