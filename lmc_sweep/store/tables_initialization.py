"""The table of the study ``initialization``: random networks, matched, and how far from linear they are."""

from __future__ import annotations

from lmc_sweep.store.study_columns import study_table

INITIALIZATION = study_table("initialization", "initialization_id", "initialization", ())
