"""The study ``all_pairs`` end to end: computed, found again, shared with barriers, recomputed, shown."""

from __future__ import annotations

import json
import shutil
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_store
from typer.testing import CliRunner

from lmc_sweep.cli.app import app
from lmc_sweep.config import parse_sweep
from lmc_sweep.figures.registry import draw
from lmc_sweep.planning.plan import make_plan
from lmc_sweep.report.all_pairs_section import all_pairs_section
from lmc_sweep.report.scope import make_scope
from lmc_sweep.store.store import Store
from tests.support.cell_rows import legend, panels, words

NETWORKS = """
name: pairs
store: unused
networks:
  - dataset: digits
    architecture: {name: mlp, width: 3}
    training: {max_epochs: 3, learning_rate: 0.05}
    seeds: [4, 7, 0, 2, 9]
"""
ASKED = """
  alignments: [{method: identity}, {method: brute_force, objective: midpoint_loss}]
  interpolation: {alphas: 3, splits: [train]}
"""
SWEEP = f"{NETWORKS}all_pairs:{ASKED}  heights: [supremum, midpoint]\n"
SEEDS = [4, 7, 0, 2, 9]
PAIRS = list(combinations(range(5), 2))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that holds everything the sweep asks for."""
    return small_store.compute(tmp_path_factory.mktemp("whole") / "store", SWEEP).path


@pytest.fixture
def store(whole: Path, tmp_path: Path) -> Store:
    """A copy of it."""
    return Store(shutil.copytree(whole, tmp_path / "store"))


def rows(store: Store, query: str) -> list[dict[str, Any]]:
    """What a SELECT answers."""
    found: list[dict[str, Any]] = store.answer(query).to_pylist()
    return found


def test_a_matrix_holds_the_barriers_of_its_pairs(store: Store) -> None:
    """As their own rows have them, of the largest height and of that at 1/2, before and after."""
    matrices = rows(store, "SELECT * FROM barrier_matrices")
    assert 4 == len(matrices)
    for matrix in matrices:
        asked = f"SELECT * FROM barriers WHERE method = '{matrix['method']}'"
        barriers = {(row["seed_a"], row["seed_b"]): row for row in rows(store, asked)}
        assert SEEDS == matrix["seeds"]
        assert PAIRS == list(zip(matrix["positions_a"], matrix["positions_b"], strict=True))
        for quantity in ("loss", "error"):
            name = "barrier" if matrix["height"] == "supremum" else "midpoint_barrier"
            expected = [barriers[SEEDS[a], SEEDS[b]][f"{quantity}_{name}"] for a, b in PAIRS]
            assert expected == matrix[f"{quantity}_barriers"]
            assert float(np.mean(expected)) == pytest.approx(matrix[f"mean_{quantity}_barrier"])
            assert float(np.median(expected)) == pytest.approx(matrix[f"median_{quantity}_barrier"])


def test_indirect_barriers_are_those_over_every_third_network(store: Store) -> None:
    """The least over the third networks, of which the first that reaches it is named."""
    for matrix in rows(store, "SELECT * FROM barrier_matrices"):
        direct = dict(zip(PAIRS, matrix["loss_barriers"], strict=True))
        for k, (a, c) in enumerate(PAIRS):
            ways = [
                (max(direct[min(a, b), max(a, b)], direct[min(b, c), max(b, c)]), b)
                for b in range(5)
                if b not in (a, c)
            ]
            assert min(ways) == (matrix["loss_indirect_barriers"][k], matrix["loss_intermediates"][k])
            assert matrix["loss_bottlenecks"][k] <= min(min(ways)[0], direct[a, c])
            assert (matrix["loss_bottleneck_legs"][k] == 1) == (matrix["loss_bottlenecks"][k] == direct[a, c])


def test_what_is_there_is_not_computed_again(store: Store, tmp_path: Path) -> None:
    """A second run has nothing to do; a lost matrix comes back with the same id and the same numbers."""
    assert make_plan(parse_sweep(SWEEP), store, 1).complete
    query = "SELECT * EXCLUDE (created_at, measure_seconds) FROM barrier_matrices ORDER BY matrix_id"
    before = rows(store, query)
    shutil.rmtree(store.path / "records" / "barrier_matrices")
    store = Store(store.path)
    assert [0, 0, 0, 4] == [
        make_plan(parse_sweep(SWEEP), store, 1).num_to_do(kind)
        for kind in ("network", "alignment", "barrier", "barrier_matrix")
    ]
    small_store.complete(store, parse_sweep(SWEEP))

    assert before == rows(Store(store.path), query)


def test_pairs_are_shared_with_the_study_barriers(store: Store) -> None:
    """A sweep that asks for real pairs of the same networks finds them measured; draws find theirs too."""
    barriers = parse_sweep(f"{NETWORKS}barriers:{ASKED}  worlds: [real]\n")
    drawn = parse_sweep(f"{NETWORKS}all_pairs:{ASKED}  pairing: iid\n  pairs: 20\n")

    assert make_plan(barriers, store, 1).complete
    assert [0, 0, 0, 2] == [
        make_plan(drawn, store, 1).num_to_do(kind)
        for kind in ("network", "alignment", "barrier", "barrier_matrix")
    ]


def test_independent_draws_have_no_way_over_a_third_network(store: Store) -> None:
    """They join two halves, and a third network would be of both; the figure says that there is none."""
    drawn = parse_sweep(f"{NETWORKS}all_pairs:{ASKED}  pairing: iid\n  pairs: 20\n  draw_seed: 1\n")
    shutil.rmtree(store.path / "records" / "barrier_matrices")
    store = Store(store.path)
    small_store.complete(store, drawn)
    store = Store(store.path)
    for matrix in rows(store, "SELECT * FROM barrier_matrices"):
        assert ("iid", 1, 20) == (matrix["pairing"], matrix["draw_seed"], matrix["num_pairs"])
        assert [None] * 20 == matrix["loss_indirect_barriers"] == matrix["error_intermediates"]
        assert matrix["mean_loss_indirect_barrier"] is None
    figure = draw("pair_histograms", store)

    assert "20 independently drawn pairs" in words(figure)
    assert "no such way" in [text.get_text() for text in panels(figure)["over a third network"].texts]


def test_matrices_are_reproduced_bit_for_bit(store: Store) -> None:
    """From the barriers that their specs name; verify finds nothing wrong."""
    for row in rows(store, "SELECT matrix_id FROM barrier_matrices"):
        done = CliRunner().invoke(app, ["repro", str(store.path), row["matrix_id"], "--json"])
        assert 0 == done.exit_code, done.output
        assert "reproduced bit for bit" == json.loads(done.stdout)["verdict"]
    assert 0 == CliRunner().invoke(app, ["verify", str(store.path)]).exit_code


def test_networks_that_diverged_have_no_ways(tmp_path: Path) -> None:
    """Their barriers are null, and so is all that follows from them; the figure is drawn."""
    text = SWEEP.replace("learning_rate: 0.05", "learning_rate: 1.0e+30").replace("[4, 7, 0, 2, 9]", "3")
    store = small_store.compute(tmp_path / "store", text)
    for matrix in rows(store, "SELECT * FROM barrier_matrices"):
        for name in ("barriers", "indirect_barriers", "intermediates", "bottlenecks", "bottleneck_legs"):
            assert [None] * 3 == matrix[f"loss_{name}"]
        assert matrix["mean_loss_barrier"] is None

    assert "because a network diverged" in words(draw("pair_histograms", store))


def test_the_figure_shows_every_way_and_both_matrices(store: Store, tmp_path: Path) -> None:
    """Before alignment below the diagonal and after it above; where no matrix is there, it says so."""
    figure = draw("pair_histograms", store)
    shown = {title.replace("\n", " "): axes for title, axes in panels(figure).items()}

    assert ["before alignment", "brute force"] == legend(figure)
    assert {"digits mlp, width 3, depth 1: direct", "over a third network", "over chains"} < set(shown)
    (image,) = shown["before alignment (below), brute force (above)"].images
    colors = np.ma.filled(image.get_array(), np.nan)
    for method, triangle in (("identity", np.tril_indices(5, -1)), ("brute_force", np.triu_indices(5, 1))):
        asked = f"SELECT * FROM barrier_matrices WHERE height = 'supremum' AND method = '{method}'"
        (matrix,) = rows(store, asked)
        square = np.zeros((5, 5))
        for (a, b), value in zip(PAIRS, matrix["loss_barriers"], strict=True):
            square[a, b] = square[b, a] = value
        np.testing.assert_array_equal(square[triangle], colors[triangle])
    assert np.isnan(np.diag(colors)).all()
    empty = draw("pair_histograms", Store.create(tmp_path / "empty"))
    assert "by the key all_pairs" in words(empty)


def test_the_report_tells_every_method_and_height(store: Store, tmp_path: Path) -> None:
    """Four barriers by two methods; nothing where no matrix is there."""
    (table,) = all_pairs_section(make_scope(store, "store", "pairs", None)).blocks

    assert 8 == len(table.rows)  # type: ignore[union-attr]
    assert () == all_pairs_section(make_scope(Store.create(tmp_path / "none"), "none", None, None)).blocks
