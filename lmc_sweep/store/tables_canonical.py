"""The table of the study ``canonical``: a cell's networks before and after their units were sorted."""

from __future__ import annotations

from lmc_sweep.store.study_columns import study_table

CANONICAL_FORMS = study_table("canonical_forms", "canonical_id", "canonical_form", ())
