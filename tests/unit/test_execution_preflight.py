"""What a sweep asks of modules of the user's own is checked before anything starts, for every study."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmc_sweep.config import parse_sweep
from lmc_sweep.errors import SweepError
from lmc_sweep.execution import preflight

MODULE = """
from torch import nn

def linear():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
"""
SWEEP = """
name: linear
store: unused
networks: [{dataset: digits, architecture: {name: 'preflight_nets:linear'}, seeds: 4}]
"""


@pytest.fixture(autouse=True)
def _nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "preflight_nets.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.parametrize(
    "study",
    [
        "barriers: {alignments: [{method: identity}]}",
        "all_pairs: {alignments: [{method: identity}]}",
        "canonical: {treatments: [{treatment: raw}]}",
        "ensembles: {methods: [{method: independent}, {method: functional_difference}]}",
    ],
)
def test_modules_without_units_to_permute_are_refused(study: str) -> None:
    """Before anything is trained, by every study that permutes hidden units."""
    sweep = parse_sweep(SWEEP + study)
    with pytest.raises(SweepError, match=r"networks\[0\]: nothing in Sequential can be permuted"):
        preflight.check(sweep, lambda told: None)


def test_studies_that_permute_nothing_take_them() -> None:
    """Two such networks can be averaged as they are."""
    told: list[str] = []
    preflight.check(parse_sweep(SWEEP + "ensembles: {methods: [{method: independent}]}"), told.append)
    assert [] == told
