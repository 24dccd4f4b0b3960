"""The items of the study ``canonical``: their ids, what they need, what they cost."""

from __future__ import annotations

import pytest

from lmc_sweep.config import parse_sweep
from lmc_sweep.planning.batching import batches
from lmc_sweep.planning.decoding import decode_spec, read_json
from lmc_sweep.planning.identity import METHOD_NUMERICS, canonical_json
from lmc_sweep.planning.items import NetworkItem, items
from lmc_sweep.planning.study_canonical import CanonicalFormItem
from workers.canonical_forms.specs import CanonicalSpec, Matched, Merged, Raw, Sorted, Treatment

SWEEP = """
name: forms
store: unused
networks:
  - dataset: mnist
    architecture: {name: mlp, width: [64, 512]}
    training: {max_epochs: 1}
    seeds: 6
canonical:
  networks: 4
  treatments: [{treatment: raw}, {treatment: sorted}, {treatment: sorted, key: power, power: 2},
               {treatment: matched}, {treatment: merged}]
  averages: [2, 4]
"""
FLOPS = 1e11
TREATMENTS: list[Treatment] = [Raw(), Sorted(), Sorted(key="power", power=1.5), Matched(), Merged()]


def forms(*overrides: str) -> list[CanonicalFormItem]:
    """The canonical forms that the sweep asks for."""
    found = items(parse_sweep(SWEEP, overrides=overrides))["canonical_form"]
    assert all(isinstance(item, CanonicalFormItem) for item in found)
    return found  # type: ignore[return-value]


def test_every_cell_is_put_in_order_by_every_treatment() -> None:
    """Two cells, five treatments; each needs the first four of its cell's networks, in their order."""
    planned = items(parse_sweep(SWEEP))
    found = forms()
    assert 10 == len({item.id for item in found})
    for item in found:
        of_cell = [one.id for one in planned["network"] if one.cell_id == item.cell_id]
        assert tuple(of_cell[:4]) == item.requires == item.networks


def test_more_seeds_change_no_item() -> None:
    """Where the number of networks is named; an entry more in the file changes none either."""
    ids = [item.id for item in forms()]
    assert ids == [item.id for item in forms("networks[0].seeds=9")]
    assert set(ids) > {item.id for item in forms("networks[0].architecture.width=64")}


@pytest.mark.parametrize(
    "override",
    [
        "canonical.networks=5",
        "canonical.averages=[2, 3]",
        "canonical.groups=2",
        "canonical.splits=[test]",
        "canonical.epsilons=[1]",
        "canonical.treatments=[{treatment: sorted, key: power, power: 3}]",
        "canonical.treatments=[{treatment: matched, restarts: 2}]",
        "canonical.treatments=[{treatment: merged, max_sweeps: 2}]",
        "canonical.treatments=[{treatment: merged, tolerance: 0.1}]",
    ],
)
def test_every_option_enters_the_identity(override: str) -> None:
    """No item is shared by two values of an option."""
    assert not {item.id for item in forms()} & {item.id for item in forms(override)}


def test_pinned_identities() -> None:
    """Results in stores are found by these for ever: a changed id would orphan every one of its kind."""
    networks = ("0" * 32, "1" * 32)
    pinned = [
        CanonicalFormItem.named(CanonicalSpec(networks=networks, treatment=one), "").id for one in TREATMENTS
    ]
    assert [
        "d26f92b4036b42ba6486c5954b976847",
        "44bcf09d891b5a2148550055013288a0",
        "8196f893b19a902f1febaeccb38bc41c",
        "b437bb3f6314b9121f2ff4838580982b",
        "1f4882ff77113341cc7c750272010bc8",
    ] == pinned


@pytest.mark.parametrize(
    ("method", "treatments"), [("node_sort", {"sorted"}), ("weight_matching", {"matched", "merged"})]
)
def test_other_numerics_of_a_method_name_what_it_orders_anew(
    monkeypatch: pytest.MonkeyPatch, method: str, treatments: set[str]
) -> None:
    """Forms by a method that has changed are computed again; those by the others keep their ids."""
    before = forms()
    monkeypatch.setitem(METHOD_NUMERICS, method, 99)
    known = {item.id for item in before}
    assert treatments == {one.spec.treatment.treatment for one in forms() if one.id not in known}


@pytest.mark.parametrize("treatment", TREATMENTS, ids=lambda one: canonical_json(one)[:40])
def test_specs_are_read_back_from_their_json(treatment: Treatment) -> None:
    """Bit for bit, whatever the treatment."""
    spec = CanonicalSpec(networks=("a", "b"), treatment=treatment, averages=(2,), epsilons=(0.5, 1.0))
    assert spec == decode_spec(CanonicalSpec, read_json(canonical_json(spec), "here"), "here")


def test_items_are_remade_from_their_spec_and_networks() -> None:
    """With the same id, cell and needs."""
    networks = {one.id: one for one in items(parse_sweep(SWEEP))["network"] if isinstance(one, NetworkItem)}
    for item in forms():
        assert item == CanonicalFormItem.of(item.spec, networks)


def test_what_takes_longer_is_modeled_longer() -> None:
    """More networks, wider ones, more averages, and treatments that search."""
    by_treatment = {(one.spec.treatment, one.cell.architecture.width): one for one in forms() if one.cell}
    for treatment in (Raw(), Sorted(), Matched(), Merged()):
        narrow, wide = (by_treatment[treatment, width].seconds(FLOPS) for width in (64, 512))
        assert 0 < narrow < wide
    seconds = [by_treatment[one, 512].seconds(FLOPS) for one in (Raw(), Sorted(), Matched(), Merged())]
    assert sorted(seconds) == seconds
    assert sum(one.seconds(FLOPS) for one in forms()) < sum(
        one.seconds(FLOPS) for one in forms("canonical.networks=6")
    )
    assert sum(one.seconds(FLOPS) for one in forms("canonical.averages=[2]")) < sum(
        one.seconds(FLOPS) for one in forms()
    )


def test_a_thousand_networks_are_planned_within_two_gigabytes() -> None:
    """Of (784, 512, 10), as table 1 of the thesis has them."""
    (item,) = forms(
        "networks[0].seeds=1000",
        "networks[0].architecture.width=512",
        "canonical.networks=1000",
        "canonical.treatments=[{treatment: sorted}]",
    )
    assert 5e8 <= item.working_bytes() <= 2e9
    assert 1000 * 32 < item.stored_bytes() < 1e6
    assert "1000 networks sorted by lexicographic key" == item.words


def test_items_of_one_kind_of_question_share_batches() -> None:
    """Cells that differ in their training alone; treatments and architectures do not."""
    found = forms("networks[0].architecture.width=8", "networks[0].training.learning_rate=[0.1, 0.2]")
    made = batches({"canonical_form": list(found)}, lambda item: 0.01, 1e9, 1)
    assert [2] * 5 == [len(batch.items) for batch in made]
