"""The studies other than ``barriers``: what each asks for, and of which class its items are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lmc_sweep.config.sweep import Cell
from lmc_sweep.planning import (
    study_all_pairs,
    study_canonical,
    study_ensembles,
    study_initialization,
    study_permutation_paths,
)
from lmc_sweep.planning.item_classes import Item, NetworkItem, StudyItem


@dataclass(frozen=True)
class StudyPlanning:
    """How a study is planned.

    Attributes:
        item_class: Of its own kind of item.
        items: What it asks for, given its section of the sweep file as it was read, and the networks of every
            cell in the order of their seeds.
        left_out: Why alignments that it asks for are not planned, with how many.
    """

    item_class: type[StudyItem]
    items: Callable[[Any, Sequence[Sequence[NetworkItem]]], Iterable[Item]]
    left_out: Callable[[Any, Sequence[Cell]], Counter[str]] = lambda asked, cells: Counter()


STUDIES: dict[str, StudyPlanning] = {
    "all_pairs": StudyPlanning(
        study_all_pairs.BarrierMatrixItem, study_all_pairs.items, study_all_pairs.left_out
    ),
    "canonical": StudyPlanning(study_canonical.CanonicalFormItem, study_canonical.items),
    "ensembles": StudyPlanning(study_ensembles.EnsembleItem, study_ensembles.items),
    "initialization": StudyPlanning(study_initialization.InitializationItem, study_initialization.items),
    "permutation_paths": StudyPlanning(
        study_permutation_paths.PermutationPathItem, study_permutation_paths.items
    ),
}
"""By key of the sweep file."""

CLASSES: dict[str, type[StudyItem]] = {study.item_class.kind: study.item_class for study in STUDIES.values()}
"""The classes of their items, by kind."""
