"""The study ``canonical`` of a sweep file: what it stands for, and what is refused in which words."""

from __future__ import annotations

from typing import cast

import pytest

from lmc_sweep.config import parse_sweep
from lmc_sweep.config.canonical_study import CanonicalStudy
from lmc_sweep.errors import SweepError
from workers.canonical_forms.specs import Matched, Merged, Raw, Sorted

SWEEP = """
name: forms
store: unused
networks:
  - dataset: digits
    architecture: {name: mlp, width: [4, 8]}
    training: {max_epochs: 1}
    seeds: 10
canonical:
  treatments: [{treatment: raw}, {treatment: sorted}]
  averages: [2, 5]
"""


def study(*overrides: str, text: str = SWEEP) -> CanonicalStudy:
    """The section as it is read."""
    return cast(CanonicalStudy, parse_sweep(text, "forms.yaml", overrides).studies["canonical"])


def test_an_empty_section_asks_for_the_default_treatments() -> None:
    """Raw, sorted and matched, all networks, no averages."""
    read = study("canonical={}")
    assert (Raw(), Sorted(), Matched()) == read.treatments
    assert read.networks is None
    assert () == read.averages


def test_lists_inside_a_treatment_are_axes() -> None:
    """Two powers are two treatments."""
    read = study(
        "canonical.treatments=[{treatment: sorted, key: power, power: [1.5, 2]}, {treatment: merged}]"
    )
    assert (Sorted(key="power", power=1.5), Sorted(key="power", power=2.0), Merged()) == read.treatments


def test_single_values_may_stand_for_lists() -> None:
    """One epsilon, one average, one split; no average at all where the list is empty."""
    read = study("canonical.epsilons=0.5", "canonical.averages=3", "canonical.splits=test")
    assert ((0.5,), (3,), ("test",)) == (read.epsilons, read.averages, read.splits)
    assert () == study("canonical.averages=[]").averages


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("canonical.network=3", "canonical: unknown key 'network'. Did you mean 'networks'?"),
        ("canonical=3", "canonical: should be a mapping"),
        ("canonical.networks=1", "canonical.networks: must be at least 2, not 1"),
        (
            "canonical.networks=11",
            "11 networks need as many seeds, and networks[0] lists 10. Ask for at most 10",
        ),
        (
            "networks[0].seeds=1",
            "canonical: distances are of pairs, and networks[0] lists 1 seed. List more seeds",
        ),
        ("canonical.treatments=sorted", "canonical.treatments: should be a list of treatments"),
        ("canonical.treatments=[]", "canonical.treatments: an empty list"),
        ("canonical.treatments[0]={treatment: sort}", "unknown treatment 'sort'. Did you mean 'sorted'?"),
        ("canonical.treatments[0]={key: power}", "canonical.treatments[0]: 'treatment' is missing"),
        ("canonical.treatments[0].key=power", "canonical.treatments[0]: unknown key 'key'"),
        ("canonical.treatments[1].key=power", "canonical.treatments[1]: 'power' is missing"),
        (
            "canonical.treatments[1].power=2",
            "canonical.treatments[1].power: has no effect: key is lexicographic",
        ),
        (
            "canonical.treatments[1]={treatment: sorted, key: power, power: 1}",
            "must be greater than 1, not 1",
        ),
        ("canonical.treatments[0]={treatment: sorted, key: lexicographic}", "[1]: means the same as"),
        ("canonical.averages[1]=11", "averages[1]: 11 networks cannot be averaged: networks[0] lists 10"),
        ("canonical.averages[1]=1", "canonical.averages[1]: must be at least 2, not 1"),
        ("canonical.averages[1]=2", "canonical.averages[1]: repeats [0] (2)"),
        ("canonical.epsilons=[0]", "canonical.epsilons[0]: must be greater than 0, not 0"),
        ("canonical.splits=[valid]", "canonical.splits[0]"),
        ("canonical={groups: 2}", "canonical.groups: has no effect: 'averages' names no number"),
        ("canonical={splits: [test]}", "canonical.splits: has no effect"),
        (
            "networks[0].architecture={name: resnet20, width_multiplier: 0.25}",
            "canonical.averages: the mean of batch-norm statistics is not that of the averaged network",
        ),
    ],
)
def test_what_cannot_be_is_refused(override: str, words: str) -> None:
    """With the rule, the value, the place and what may be done."""
    with pytest.raises(SweepError) as caught:
        study(override)
    assert words in str(caught.value)


def test_averages_of_more_than_are_looked_at_are_refused() -> None:
    """Five of four networks, though ten are trained."""
    with pytest.raises(
        SweepError, match=r"averages\[1\]: 5 networks cannot be averaged: canonical.networks is 4"
    ):
        study("canonical.networks=4")


def test_distances_of_networks_with_batch_norm_are_not_refused() -> None:
    """Where no averages are asked."""
    text = SWEEP.replace("  averages: [2, 5]\n", "")
    norm = "networks[0].architecture={name: resnet20, width_multiplier: 0.25}"
    assert () == study(norm, text=text).averages


def test_a_study_without_networks_is_refused() -> None:
    """There is nothing to put in order."""
    with pytest.raises(SweepError, match="'networks' is missing"):
        parse_sweep("name: a\nstore: b\ncanonical: {}\n")
