"""What the study all_pairs of a sweep file says, and what of it is refused."""

from __future__ import annotations

from typing import Any

import pytest

from lmc_sweep.config.all_pairs_study import AllPairsStudy
from lmc_sweep.config.loading import parse_sweep
from lmc_sweep.errors import SweepError

HEAD = """
name: pairs
store: runs/pairs
networks:
  - {dataset: digits, architecture: {name: mlp, width: [4, 16]}, training: {max_epochs: 1}, seeds: 6}
all_pairs:
"""
METHODS = "alignments: [{method: identity}, {method: weight_matching}]"


def study(*lines: str) -> AllPairsStudy:
    """The study that these lines of the file describe."""
    found: Any = parse_sweep(HEAD + "".join(f"  {line}\n" for line in lines)).studies["all_pairs"]
    assert isinstance(found, AllPairsStudy)
    return found


def test_without_options_all_pairs_of_all_networks_are_asked_for() -> None:
    """Of the largest height over eleven alphas, on both splits."""
    found = study(METHODS)

    assert (None, "all", None, ("supremum",)) == (found.networks, found.pairing, found.pairs, found.heights)
    assert ["identity", "weight_matching"] == [method.method for method in found.alignments]
    assert 11 == len(found.interpolation.alphas)
    assert ("train", "test") == found.interpolation.splits


def test_options_are_read() -> None:
    """One height may stand for a list of one."""
    found = study(METHODS, "networks: 5", "pairing: iid", "pairs: 7", "draw_seed: 3", "heights: midpoint")

    assert (5, "iid", 7, 3, ("midpoint",)) == (
        found.networks,
        found.pairing,
        found.pairs,
        found.draw_seed,
        found.heights,
    )


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["networks: 5"], "all_pairs: 'alignments' is missing"),
        (
            [METHODS, "networks: 7"],
            "all_pairs.networks: 7 networks need as many seeds, and networks[0] lists 6",
        ),
        ([METHODS, "networks: 2"], "all_pairs.networks: must be at least 3, not 2"),
        ([METHODS, "pairs: 5"], "all_pairs.pairs: has no effect: pairing is all"),
        ([METHODS, "draw_seed: 5"], "all_pairs.draw_seed: has no effect: pairing is all"),
        ([METHODS, "pairing: iid"], "all_pairs: 'pairs' is missing"),
        ([METHODS, "pairing: iid", "pairs: 0"], "all_pairs.pairs: must be at least 1, not 0"),
        (
            [METHODS, "pairing: iid", "pairs: 1000000000"],
            "all_pairs.pairs: must be at most 100000, not 1000000000",
        ),
        ([METHODS, "pairing: some"], "all_pairs.pairing: unknown pairing 'some'"),
        ([METHODS, "heights: []"], "all_pairs.heights: an empty list measures nothing"),
        ([METHODS, "heights: [midpoint, midpoint]"], "all_pairs.heights"),
        ([METHODS, "worlds: [real]"], "all_pairs: unknown key 'worlds'"),
        ([METHODS, "interpolation: {layers: each}"], "all_pairs.interpolation.layers: a matrix is of whole"),
        ([METHODS, "interpolation: {corrections: [reset_bn]}"], "all_pairs.interpolation.corrections[0]"),
        (["alignments: [{method: oracle}]"], "all_pairs.alignments[0]: oracle: it undoes what was planted"),
        (
            ["alignments: [{method: brute_force, max_permutations: 10}]"],
            "all_pairs.alignments[0]: brute_force: mlp of width 4",
        ),
        (["alignments: [{method: matching}]"], "all_pairs.alignments[0].method: unknown method 'matching'"),
    ],
)
def test_what_breaks_a_rule_is_refused(lines: list[str], told: str) -> None:
    """In one line that names the key, before anything starts."""
    with pytest.raises(SweepError) as refused:
        study(*lines)

    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


def test_two_seeds_are_too_few() -> None:
    """There is no third network; the remedy is said."""
    text = HEAD.replace("seeds: 6", "seeds: 2") + f"  {METHODS}\n"
    with pytest.raises(SweepError, match=r"needs 3 seeds, and networks.0. lists 2. List more seeds"):
        parse_sweep(text)


def test_more_pairs_than_a_plan_can_list_are_refused() -> None:
    """All pairs of ten thousand networks of two cells, with two methods; a draw of a hundred is a few."""
    many = HEAD.replace("seeds: 6", "seeds: 10000")
    with pytest.raises(SweepError, match=r"all_pairs: asks for 199,980,000 alignments of pairs"):
        parse_sweep(f"{many}  {METHODS}\n")
    parse_sweep(f"{many}  {METHODS}\n  pairing: iid\n  pairs: 100\n")
