"""The studies of a sweep file other than ``barriers``: who reads which key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lmc_sweep.config import (
    all_pairs_study,
    canonical_study,
    ensembles_study,
    initialization_study,
    permutation_paths_study,
)
from lmc_sweep.config.sweep import Cell


@dataclass(frozen=True)
class StudyReader:
    """How the section of a study is read.

    Attributes:
        read: The section as a frozen dataclass, checked against the cells; raises ``Refusal``.
        needs_networks: Whether the section, as it was read, asks about networks of the sweep.
    """

    read: Callable[[Any, Sequence[Cell]], Any]
    needs_networks: Callable[[Any], bool] = lambda asked: True


READERS: dict[str, StudyReader] = {
    "all_pairs": StudyReader(all_pairs_study.read),
    "canonical": StudyReader(canonical_study.read),
    "ensembles": StudyReader(ensembles_study.read),
    "initialization": StudyReader(initialization_study.read, needs_networks=lambda asked: False),
    "permutation_paths": StudyReader(
        permutation_paths_study.read, needs_networks=lambda asked: bool(asked.needs_networks)
    ),
}
"""By key of the sweep file."""


def read(value: dict[str, Any], cells: Sequence[Cell]) -> dict[str, Any]:
    """The sections of all studies that a sweep file asks, by key."""
    return {
        key: reader.read(value[key], cells) for key, reader in READERS.items() if value.get(key) is not None
    }
