"""Every claim of the paper against stores that bear it out, that do not, and that have nothing to say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from claimed import GREEDY, annealing, ensemble, line, random_networks, store_of

from lmc_sweep.analysis.cards import View, card
from lmc_sweep.analysis.claims import Claim, load_claims, parse_claims
from lmc_sweep.errors import SweepError
from lmc_sweep.store.store import Store

CLAIMS = load_claims(Path(__file__).resolve().parents[2] / "configs" / "entezari" / "claims.yaml").claims
BY_NAME = {claim.name: claim for claim in CLAIMS}
VIEW = View()
Lines = list[dict[str, Any]]


def by_width(values: Sequence[float], least: int = 16, **other: Any) -> Lines:
    """Widths 4, 8, 16, ... whose networks fit from ``least`` on."""
    widths = [4 * 2**step for step in range(len(values))]
    return [
        line(value, width=width, errors=(0.0 if width >= least else 0.2, 0.02), **other)
        for width, value in zip(widths, values, strict=True)
    ]


def by_depth(values: Sequence[float], **other: Any) -> Lines:
    """Depths 2, 4, 6, 8."""
    return [line(value, depth=depth, **other) for depth, value in zip((2, 4, 6, 8), values, strict=True)]


def before_after(before: float, after: float, method: dict[str, Any], **other: Any) -> Lines:
    """The same pairs before and after a search."""
    return [line(before, **other), line(after, method=method, **other)]


def two_worlds(real: float, model: float, **other: Any) -> Lines:
    """One cell in both worlds."""
    return [line(real, **other), line(model, world="model", **other)]


def many_cells(values: Sequence[tuple[float, float]]) -> Lines:
    """Cells of growing width in both worlds."""
    pairs = enumerate(values)
    return [told for step, (real, model) in pairs for told in two_worlds(real, model, width=4 * 2**step)]


def difficult(values: Sequence[float]) -> Lines:
    """Cells of growing test error."""
    names = ("mnist", "svhn", "cifar10", "cifar100")
    cells = enumerate(zip(names, values, strict=True))
    return [line(v, dataset=d, errors=(0.0, 0.1 * step)) for step, (d, v) in cells]


def noisy(values: Sequence[float]) -> Lines:
    """Levels of noise 0, 0.1, 0.2."""
    return [line(value, noise=noise) for noise, value in zip((0.0, 0.1, 0.2), values, strict=True)]


def table_2(factor: float) -> Lines:
    """Width 16 of table 2, each value times a factor."""
    values = {10: 0.470, 100: 0.331, 1000: 0.190, 10000: 0.105, 50000: 0.055}
    return [line(value * factor, width=16, method=annealing(steps)) for steps, value in values.items()]


def table_3(fd: float, subspace: float, both: float) -> Lines:
    """Errors of the weight average by the three methods, on MNIST and on CIFAR-10, where all are higher."""
    names = ("functional_difference", "subspace", "subspace_functional_difference")
    return [
        ensemble(error + shift, name, dataset)
        for dataset, shift in (("mnist", 0.0), ("cifar10", 0.4))
        for name, error in zip(names, (fd, subspace, both), strict=True)
    ]


def by_power(exponent: float) -> Lines:
    """Random networks of two inputs, whose deviation changes with a power of the width."""
    return [random_networks(0.1 * width**exponent, width) for width in (32, 128, 512)]


CNN = {"architecture": "shallow_cnn", "depth": 2}
VGG = {"architecture": "vgg", "depth": 16}
SA1, SA2 = annealing(objective="pairwise_barrier"), annealing(objective="average_error")
FIVE = {"size": 5, "num_pairs": 4}
RISE_AND_FALL, EARLY = [0.1, 0.3, 0.6, 0.3, 0.1], [0.6, 0.3, 0.2, 0.1, 0.1]
DEEP = {"depth": 8}

HOLDS: dict[str, Lines] = {
    "peak_mlp": by_width(RISE_AND_FALL),
    "wide_mlp": by_width(RISE_AND_FALL),
    "peak_shallow_cnn": by_width(RISE_AND_FALL, **CNN),
    "wide_shallow_cnn": by_width(RISE_AND_FALL, **CNN),
    "depth_mlp": [line(0.1), *by_depth([0.3, 0.5, 0.6, 0.6])],
    "depth_shallow_cnn": by_depth([0.1, 0.5, 0.7, 0.8], architecture="shallow_cnn"),
    "saturation": by_width([0.85, 0.86], **VGG),
    "saturation_flat": by_width([0.85, 0.86], **VGG),
    "difficulty": difficult([0.1, 0.2, 0.3, 0.4]),
    "worlds_before": two_worlds(0.3, 0.31),
    "worlds_before_deep": two_worlds(0.8, 0.81, **VGG),
    "worlds_after": two_worlds(0.2, 0.19, method=annealing()),
    "worlds_after_five": two_worlds(0.2, 0.19, method=SA2, **FIVE),
    "worlds_over_cells": many_cells([(0.1, 0.1), (0.4, 0.42), (0.6, 0.58), (0.2, 0.2)]),
    "annealing_five": before_after(0.4, 0.38, SA2, **FIVE),
    "annealing_two": before_after(0.4, 0.1, annealing()),
    "annealing_deep": before_after(0.8, 0.79, annealing(), **DEEP),
    "zero_after_search": by_width([0.002, 0.001], method=annealing()),
    "sa1_like_sa2": [line(0.3, method=SA1, **FIVE), line(0.31, method=SA2, **FIVE)],
    "midpoint_is_supremum": by_width([0.3, 0.2], gap=1e-5),
    "annealing_steps": table_2(1.1),
    "annealing_halves": table_2(1.1),
    "functional_difference": before_after(0.4, 0.2, GREEDY),
    "label_noise": noisy([0.2, 0.22, 0.25]),
    "ensembles": table_3(0.0315, 0.0237, 0.0178),
    "random_networks": by_power(-0.4),
}
FAILS: dict[str, Lines] = {
    "peak_mlp": by_width(EARLY),
    "wide_mlp": by_width([0.1, 0.2, 0.3, 0.4, 0.5]),
    "peak_shallow_cnn": by_width(EARLY, **CNN),
    "wide_shallow_cnn": by_width([0.1, 0.2, 0.3, 0.4, 0.5], **CNN),
    "depth_mlp": [line(0.3), *by_depth([0.3, 0.3, 0.3, 0.3])],
    "depth_shallow_cnn": by_depth([0.3, 0.3, 0.3, 0.3], architecture="shallow_cnn"),
    "saturation": by_width([0.85, 0.3], **VGG),
    "saturation_flat": by_width([0.85, 0.3], **VGG),
    "difficulty": difficult([0.4, 0.3, 0.2, 0.1]),
    "worlds_before": two_worlds(0.3, 0.1),
    "worlds_before_deep": two_worlds(0.8, 0.5, **VGG),
    "worlds_after": two_worlds(0.2, 0.05, method=annealing()),
    "worlds_after_five": two_worlds(0.2, 0.05, method=SA2, **FIVE),
    "worlds_over_cells": many_cells([(0.6, 0.1), (0.2, 0.42), (0.1, 0.58), (0.4, 0.2)]),
    "annealing_five": before_after(0.4, 0.1, SA2, **FIVE),
    "annealing_two": before_after(0.4, 0.4, annealing()),
    "annealing_deep": before_after(0.8, 0.2, annealing(), **DEEP),
    "zero_after_search": by_width([0.001, 0.2], method=annealing()),
    "sa1_like_sa2": [line(0.1, method=SA1, **FIVE), line(0.3, method=SA2, **FIVE)],
    "midpoint_is_supremum": by_width([0.3, 0.2], gap=0.01),
    "annealing_steps": table_2(2.0),
    "annealing_halves": [line(0.3, width=16, method=annealing(steps)) for steps in (10, 50000)],
    "functional_difference": before_after(0.4, 0.4, GREEDY),
    "label_noise": noisy([0.2, 0.4, 0.6]),
    "ensembles": table_3(0.0315, 0.0178, 0.0237),
    "random_networks": by_power(-0.05),
}
MEASURED = [claim for claim in CLAIMS if claim.query is not None]


@pytest.fixture(scope="module")
def nothing(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store of networks that no claim is about."""
    return store_of(tmp_path_factory.mktemp("nothing") / "store", [line(0.1, architecture="other")])


@pytest.mark.parametrize("claim", MEASURED, ids=lambda claim: claim.name)
def test_a_claim_holds_where_the_store_bears_it_out(claim: Claim, tmp_path: Path) -> None:
    """Barriers as the paper has them: the verdict is that the claim holds."""
    assert "holds" == card(store_of(tmp_path / "store", HOLDS[claim.name]), claim, VIEW).verdict


@pytest.mark.parametrize("claim", MEASURED, ids=lambda claim: claim.name)
def test_a_claim_fails_where_the_store_contradicts_it(claim: Claim, tmp_path: Path) -> None:
    """Barriers that contradict the paper: the verdict is that the claim fails."""
    assert "fails" == card(store_of(tmp_path / "store", FAILS[claim.name]), claim, VIEW).verdict


@pytest.mark.parametrize("claim", [*MEASURED, BY_NAME["ensembles"]], ids=lambda claim: claim.name)
def test_a_claim_is_not_measured_where_the_store_has_nothing(claim: Claim, nothing: Store) -> None:
    """What the store lacks is told, with the sweeps that would bring it."""
    found = card(nothing, claim, VIEW)
    if claim.name != "midpoint_is_supremum":  # it is about every network
        assert "not measured" == found.verdict
        assert found.why
        assert all(name in found.why for name in claim.sweeps)


def test_cells_that_a_search_solves_in_our_model_say_nothing(tmp_path: Path) -> None:
    """Where annealing leaves no barrier in world model, agreement of the worlds is not measured."""
    solved = two_worlds(0.0, 0.0, method=annealing())
    assert "not measured" == card(store_of(tmp_path / "s", solved), BY_NAME["worlds_after"], VIEW).verdict


def test_only_the_longest_annealing_of_a_cell_counts(tmp_path: Path) -> None:
    """Ten steps that leave the barrier high do not count beside fifty thousand that remove it."""
    lines = [*before_after(0.4, 0.1, annealing()), line(0.4, method=annealing(10))]
    (part, *_) = card(store_of(tmp_path / "s", lines), BY_NAME["annealing_two"], VIEW).parts
    assert 0.25 == pytest.approx(part.measured)


def test_the_view_chooses_the_column(tmp_path: Path) -> None:
    """The mean is of the column that the view names; a claim with a view of its own keeps it."""
    store = store_of(tmp_path / "s", [line(0.2, gap=0.1)])
    query = "SELECT 'all' AS part, 1 AS x, pair_id AS pair, {barrier} AS value FROM {barriers}"
    for column, view in {
        0.2: VIEW,
        0.3: View(at="supremum"),
        0.4: View(quantity="loss"),
        0.6: View("loss", "supremum"),
    }.items():
        free = Claim("c", "", "", "mean", query=query)
        assert column == pytest.approx(card(store, free, view).parts[0].measured)
        own = Claim("c", "", "", "mean", query=query, quantity="error", at="midpoint")
        assert 0.2 == pytest.approx(card(store, own, view).parts[0].measured)
    assert () == card(store, Claim("c", "", "", "mean", query=query), View(split="test")).parts


def test_a_sweep_narrows_what_counts(tmp_path: Path) -> None:
    """Barriers that the sweep did not ask for are left out; a name with a quote is one name."""
    store = store_of(tmp_path / "s", [line(0.2), line(0.4, width=8)])
    ((one,),) = store.sql("SELECT min(barrier_id) FROM barriers WHERE width = 8").fetchall()
    store.record_sweep("part", "name: part\n", [("barrier", one)])
    query = "SELECT 'all' AS part, 1 AS x, pair_id AS pair, {barrier} AS value FROM {barriers}"
    told = Claim("c", "", "", "mean", query=query)
    assert (10, 1) == tuple(card(store, told, VIEW, sweep).parts[0].num_pairs for sweep in (None, "part"))
    assert () == card(store, told, VIEW, "it's none").parts


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("SELECT 1 AS part", "gives no column x, pair, value"),
        ("COPY barriers TO 'file.csv'", "only SELECT"),
        ("SELECT nothing FROM {barriers}", "nothing"),
        ("SELECT 'a' AS part, 'b' AS x, 'a' AS pair, 1 AS value", "must be numbers"),
        ("SELECT NULL AS part, 1 AS x, 'a' AS pair, 1 AS value", "without part, x or pair"),
    ],
)
def test_a_wrong_query_is_told_with_its_claim(nothing: Store, query: str, told: str) -> None:
    """The error names the claim and what is wrong; nothing but a SELECT is run."""
    keys = (
        f'name: mine\n    where: w\n    claim: c\n    statistic: mean\n    measure: m\n    query: "{query}"'
    )
    (claim,) = parse_claims(f"source: s\nclaims:\n  - {keys}\n    accept: {{at_most: 1}}\n").claims
    with pytest.raises(SweepError, match="claim mine: ") as refused:
        card(nothing, claim, VIEW)
    assert told.lower() in str(refused.value).lower()


def test_a_claim_about_no_barriers_names_none() -> None:
    """What a barrier is stands on the cards of claims about barriers alone."""
    told = {name: VIEW.words(claim.query or "") for name, claim in BY_NAME.items()}
    assert "" == told["random_networks"]
    assert "split train" == told["ensembles"]
    assert "error barrier at alpha 1/2, split train" == told["peak_mlp"]
