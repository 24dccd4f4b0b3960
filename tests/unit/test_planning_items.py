"""From a sweep to its items."""

from __future__ import annotations

from lmc_sweep.config import parse_sweep
from lmc_sweep.planning.items import AlignmentItem, NetworkItem, items


def asked(
    seeds: str = "6", pairs: str = "3", worlds: str = "[real, model]", more: str = ""
) -> dict[str, list]:
    """Items of a small sweep."""
    return items(
        parse_sweep(
            f"""
            name: small
            store: runs/small
            networks:
              - {{dataset: digits, architecture: {{name: mlp, width: [4, 8]}}, seeds: {seeds}}}
            barriers:
              worlds: {worlds}
              pairs: {pairs}
              alignments: [{{method: identity}}, {{method: weight_matching}}]
              interpolation: {{alphas: 5, splits: [train, test]}}
              {more}
            """
        )
    )


def test_counts_multiply() -> None:
    """Cells x seeds networks; cells x worlds x pairs x methods alignments; times splits barriers."""
    assert {"network": 12, "alignment": 24, "barrier": 48} == {k: len(v) for k, v in asked().items() if v}


def test_pair_k_joins_listed_seeds_2k_and_2k_plus_1() -> None:
    """Pairs follow the list of seeds, not their values."""
    real = [a for a in asked(seeds="[5, 3, 9, 1, 0, 2]")["alignment"] if a.world == "real"]
    assert {(5, 3), (9, 1), (0, 2)} == {a.seeds for a in real}


def test_more_seeds_and_pairs_never_change_existing_items() -> None:
    """Every item of a smaller sweep is an item of the larger one."""
    small, large = asked(seeds="4", pairs="2"), asked(seeds="8", pairs="4")
    for kind, of_kind in small.items():
        assert {i.id for i in of_kind} <= {i.id for i in large[kind]}


def test_model_pair_repeats_the_first_member_of_the_real_pair() -> None:
    """World model pairs network 2k with itself."""
    by_world: dict[str, list[AlignmentItem]] = {"real": [], "model": []}
    for alignment in asked()["alignment"]:
        by_world[alignment.world].append(alignment)
    assert [(a.networks[0], a.networks[0]) for a in by_world["real"]] == [
        a.networks for a in by_world["model"]
    ]


def test_pair_id_is_shared_by_all_methods() -> None:
    """Before and after alignment, a pair is the same pair."""
    alignments = asked()["alignment"]
    assert len(alignments) == 2 * len({a.pair_id for a in alignments})


def test_several_networks_per_alignment_are_measured_pair_by_pair() -> None:
    """Three members give three curves per split under one alignment."""
    found = items(
        parse_sweep(
            """
            name: three
            store: s
            networks: [{dataset: digits, architecture: {name: mlp, width: 4}, seeds: 3}]
            barriers:
              worlds: [real]
              networks_per_alignment: 3
              alignments: [{method: random}]
              interpolation: {splits: [train]}
            """
        )
    )
    assert 1 == len(found["alignment"])
    assert [(0, 1), (0, 2), (1, 2)] == [(b.member_a, b.member_b) for b in found["barrier"]]


def test_requirements_name_items_that_exist() -> None:
    """Every required id is the id of an item."""
    found = asked()
    ids = {item.id for of_kind in found.values() for item in of_kind}
    assert all(
        required in ids for of_kind in found.values() for item in of_kind for required in item.requires
    )


def test_networks_shared_by_two_entries_are_one_item() -> None:
    """The same cell in two entries gives each network once."""
    entry = "{dataset: digits, architecture: {name: mlp, width: 4}, seeds: %s}"
    found = items(parse_sweep(f"{{name: twice, store: s, networks: [{entry % 2}, {entry % 4}]}}"))
    assert 4 == len(found["network"])
    assert all(isinstance(item, NetworkItem) for item in found["network"])
