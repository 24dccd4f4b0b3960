"""``lmc-sweep compare`` by the real entry point, on stores that are finished, partial and empty."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from pathlib import Path

import pytest
from in_process import lmc_sweep

from lmc_sweep.store.store import Store
from tests.support.small_store import compute

pytestmark = pytest.mark.slow

SWEEP = """
name: worlds
store: unused
networks:
  - dataset: digits
    architecture: {name: mlp, width: [3, 5, 8], depth: 1}
    training: {max_epochs: 3}
    seeds: 8
barriers:
  worlds: [real, model]
  pairs: 4
  alignments: [{method: identity}, {method: weight_matching}]
  interpolation: {alphas: 3, splits: [train, test]}
"""


def compare(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """What the command answers with."""
    return lmc_sweep("compare", *arguments, cwd=cwd)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished store, one of the real world alone, and an empty one."""
    path = tmp_path_factory.mktemp("compare")
    compute(path / "store", SWEEP)
    compute(path / "real", SWEEP, ["barriers.worlds=[real]", "networks[0].architecture.width=[3]"])
    Store.create(path / "empty")
    return path


def test_json_holds_the_means_that_sql_finds(folder: Path) -> None:
    """One row over all cells and one per cell, for each method and split."""
    done = compare("store", "--format", "json", "--quantity", "error", "--at", "midpoint", cwd=folder)
    assert 0 == done.returncode, done.stderr
    rows = json.loads(done.stdout)
    means = dict(
        Store(folder / "store")
        .sql(
            "SELECT cell_id || world || split, avg(error_midpoint_barrier) FROM barriers "
            "WHERE method = 'identity' GROUP BY ALL"
        )
        .fetchall()
    )

    assert 2 * 2 * (1 + 3) == len(rows)
    of_cells = [row for row in rows if row["level"] == "cell" and "identity" in row["method_json"]]
    assert 6 == len(of_cells)
    for row in of_cells:
        for world in ("real", "model"):
            assert means[row["cell_id"] + world + row["split"]] == pytest.approx(row[f"{world}_mean"])
    matched = [row for row in rows if "weight_matching" in row["method_json"]]
    assert {"solved"} == {row["verdict"] for row in matched}
    assert {1.0} == {row["recovery_rate"] for row in matched}


def test_csv_and_json_are_one_table_and_a_seed_repeats_it(folder: Path) -> None:
    """Written into a file as to standard output."""
    done = compare("store", "--split", "test", "--seed", "3", "--format", "json", cwd=folder)
    written = compare(
        "store", "--split", "test", "--seed", "3", "--format", "csv", "--output", "found.csv", cwd=folder
    )
    assert (0, "") == (written.returncode, written.stdout)
    rows = json.loads(done.stdout)
    found = list(csv.DictReader(io.StringIO((folder / "found.csv").read_text())))

    assert [list(row) for row in rows] == [list(row) for row in found]
    assert [str(row["p_wasserstein"] or "") for row in rows] == [row["p_wasserstein"] for row in found]
    assert {"test"} == {row["split"] for row in found}


def test_the_table_tells_people_what_was_compared_and_what_solved(folder: Path) -> None:
    """Means, recovery, distances, correlations and cells, under titles."""
    done = compare("store", "--sweep", "worlds", "--split", "train", "--margin", "0.5", cwd=folder)

    assert 0 == done.returncode, done.stderr
    for title in ("Means over cells", "Recovery in our model", "Distances between", "Correlations", "Cells"):
        assert title in done.stdout
    assert "Barriers of the loss (nats), largest over all alphas; margin 0.5" == done.stdout.splitlines()[0]
    assert "digits mlp depth 1 width 5" in done.stdout
    assert "100.0%" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("empty",), "no barriers of worlds real and model"),
        (("real",), "no barriers of world model: a sweep file asks for both"),
        (("store", "--sweep", "other"), "Known sweeps: worlds"),
        (("store", "--split", "valid"), "Here: test, train"),
        (("store", "--margin", "-1"), "--margin -1: give a number above 0"),
    ],
)
def test_what_is_missing_is_told_in_a_line(folder: Path, arguments: tuple[str, ...], told: str) -> None:
    """Nothing on standard output, exit code 2, no traceback."""
    done = compare(*arguments, cwd=folder)

    assert (2, "") == (done.returncode, done.stdout)
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 2


def test_a_sweep_that_still_runs_says_what_is_not_measured(folder: Path) -> None:
    """A sweep of which the store holds a part is compared as far as it goes."""
    store = Store(folder / "store")
    known = store.ids("barrier")
    store.record_sweep("larger", SWEEP, [*(("barrier", name) for name in known), ("barrier", "f" * 32)])
    done = compare("store", "--sweep", "larger", "--format", "json", cwd=folder)

    assert 0 == done.returncode, done.stderr
    assert f"1 of the sweep's {len(known) + 1} barriers are not measured yet" in done.stderr
    assert 16 == len(json.loads(done.stdout))
