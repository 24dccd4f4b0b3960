"""A sweep of ensembles on digits: made, measured, stored, resumed, recomputed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from lmc_sweep.config import parse_sweep
from lmc_sweep.errors import SweepError
from lmc_sweep.execution.agreement import EQUAL, compare
from lmc_sweep.execution.recomputation import recompute, scratch_store
from lmc_sweep.execution.run import RunResult, run
from lmc_sweep.figures.registry import draw
from lmc_sweep.planning.reconstruction import items_of
from lmc_sweep.report.ensembles_section import ensembles_section
from lmc_sweep.report.scope import make_scope
from lmc_sweep.store.store import Store
from lmc_sweep.store.verification import verify
from workers.ensembles.line_step import ends_of
from workers.ensembles.specs import ENSEMBLE_METHODS

METHODS = ", ".join(f"{{method: {name}}}" for name in ENSEMBLE_METHODS)
SWEEP = """
name: ensembles
store: {store}
networks:
  - dataset: digits
    architecture: {{name: mlp, width: 6, depth: 2}}
    training: {{max_epochs: 6, learning_rate: [0.05, 0.1]}}
    seeds: 4
  - dataset: digits
    architecture: {{name: mlp, width: 6}}
    training: {{max_epochs: 3, learning_rate: 1e30}}
    seeds: 2
ensembles: {{methods: [{methods}]}}
"""


def run_ensembles(store: Path, *overrides: str) -> RunResult:
    """Runs the sweep into a store."""
    return run(parse_sweep(SWEEP.format(store=store, methods=METHODS), overrides=overrides), inline=True)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The store of the finished sweep."""
    path = tmp_path_factory.mktemp("ensembles") / "store"
    assert 0 == run_ensembles(path).exit_code
    return Store(path)


def rows(store: Store, where: str = "true") -> list[dict[str, Any]]:
    """Rows of ``ensembles`` by column."""
    found: list[dict[str, Any]] = store.answer(f"SELECT * FROM ensembles WHERE {where}").to_pylist()
    return found


def test_every_pair_has_a_row_of_every_method(store: Store) -> None:
    """Five pairs by four methods; those that diverged have no figures."""
    found = rows(store)
    assert 20 == len(found)
    figures = [name for name in found[0] if name.endswith(("_loss", "_error", "_disagreement"))]
    assert 18 == len(figures)
    for row in found:
        diverged = row["depth"] == 1
        assert diverged == any(row[name] is None for name in figures)
        learns = ENSEMBLE_METHODS[row["method"]].learns_line
        assert learns == (row["stop_reason"] is not None) == (row["checkpoint"] is not None)
        if learns:
            assert ("diverged" if diverged else "max_epochs") == row["stop_reason"]


def test_networks_as_they_are_have_their_own_figures(store: Store) -> None:
    """Method independent has the losses and errors that stand in ``networks``."""
    of = {row["network_id"]: row for row in store.answer("SELECT * FROM networks").to_pylist()}
    found = rows(store, "method = 'independent'")
    assert 5 == len(found)
    for row in found:
        for end, network in (("first", row["network_a"]), ("second", row["network_b"])):
            for split in ("train", "test"):
                for quantity in ("loss", "error"):
                    expected = of[network][f"{split}_{quantity}"]
                    assert expected == row[f"{split}_{end}_{quantity}"]


def test_a_permutation_changes_the_weight_average_alone(store: Store) -> None:
    """Of the same pair, ends and prediction average agree with those of method independent."""
    by_method = {
        method: {row["pair_id"]: row for row in rows(store, f"method = '{method}' AND depth = 2")}
        for method in ("independent", "functional_difference")
    }
    assert 4 == len(by_method["independent"])
    for pair, plain in by_method["independent"].items():
        permuted = by_method["functional_difference"][pair]
        for name in ("test_first_loss", "test_second_loss", "test_prediction_average_loss"):
            assert math.isclose(plain[name], permuted[name], rel_tol=1e-4)
        assert not math.isclose(
            plain["test_weight_average_loss"], permuted["test_weight_average_loss"], rel_tol=1e-3
        )


def test_the_stored_line_is_what_was_measured(store: Store) -> None:
    """The ends that lie in the store have the losses of their row."""
    from lmc_sweep.execution.bodies.inputs import inputs_of, labels_of, program_of
    from workers.evaluation import evaluate

    (item,) = items_of(
        store, "ensemble", [rows(store, "method = 'subspace' AND depth = 2")[0]["ensemble_id"]]
    )
    (row,) = rows(store, f"ensemble_id = '{item.id}'")
    line = {name: value[row["row"]] for name, value in load_file(store.path / row["checkpoint"]).items()}
    cell = item.cell  # type: ignore[union-attr]
    assert cell is not None
    for end, name in zip(ends_of(line), ("first", "second"), strict=True):
        stack = {key: value.unsqueeze(0) for key, value in end.items()}
        labels = labels_of(cell.data, "test", 0.0, "cpu")
        found = evaluate(program_of(cell), stack, inputs_of(cell, "test", "cpu"), labels)
        assert row[f"test_{name}_loss"] == float(found.losses[0])


def test_a_second_run_does_nothing_and_a_lost_row_comes_back(tmp_path: Path) -> None:
    """Everything is held; a row whose file was lost is computed again, with the same numbers."""
    path = tmp_path / "store"
    small = ("networks[0].training.learning_rate=0.05", "networks[1].seeds=2")
    assert 0 == run_ensembles(path, *small).exit_code
    before = {row["ensemble_id"]: row for row in rows(Store(path))}
    assert run_ensembles(path, *small).progress is None
    lost = sorted((path / "records" / "ensembles").iterdir())[0]
    lost.unlink()
    assert run_ensembles(path, *small).progress is not None
    after = {row["ensemble_id"]: row for row in rows(Store(path))}
    times = {"created_at", "measure_seconds", "align_seconds", "train_seconds", "checkpoint", "row"}
    assert before.keys() == after.keys()
    for key, row in before.items():
        assert {k: v for k, v in row.items() if k not in times} == {
            k: v for k, v in after[key].items() if k not in times
        }


def test_every_method_is_recomputed_bit_for_bit(store: Store) -> None:
    """From the row alone and the networks that it read, the ends of lines included."""
    for method in ENSEMBLE_METHODS:
        key = rows(store, f"method = '{method}' AND depth = 2")[0]["ensemble_id"]
        (item,) = items_of(store, "ensemble", [key])
        with scratch_store() as scratch:
            recompute(store, scratch, item, user_code=False)
            assert {EQUAL} == {one.verdict for one in compare(store, scratch, item)}, method


def test_the_store_verifies(store: Store) -> None:
    """Rows and files of lines are sound."""
    assert () == tuple(verify(store).findings)


def test_the_figure_shows_the_methods_that_are_asked_for(store: Store) -> None:
    """By name; one that no ensemble is of is refused with those that there are."""
    figure = draw("ensembles", store, None, {"methods": "subspace,independent"})
    assert ["independent", "subspace"] == [text.get_text() for text in figure.legends[0].get_texts()]
    with pytest.raises(
        SweepError, match=r"no ensemble is of method .identity.\. Here: independent, functional"
    ):
        draw("ensembles", store, None, {"methods": "identity"})


def test_the_report_has_a_row_for_every_cell_and_method(store: Store) -> None:
    """On both splits, of errors and losses; cells whose networks diverged are counted."""
    section = ensembles_section(make_scope(store, "runs/s", None, None))
    table, note = section.blocks
    assert 2 * 4 * 2 * 2 == len(table.rows)  # type: ignore[union-attr]
    assert "Left out: 1 pair" in note.text  # type: ignore[union-attr]


def test_splits_that_are_not_asked_for_are_not_measured(tmp_path: Path) -> None:
    """Their columns are null."""
    path = tmp_path / "store"
    alone = ("ensembles.splits=[test]", "ensembles.methods=[{method: independent}]", "networks[0].seeds=2")
    assert 0 == run_ensembles(path, *alone).exit_code
    for row in rows(Store(path), "depth = 2"):
        assert row["train_first_loss"] is None
        assert row["train_disagreement"] is None
        assert row["test_first_loss"] is not None
