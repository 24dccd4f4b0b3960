"""The commands that read a store: query, status, plan, export, spec, datasets.

The run that they read and two of the queries are processes of their own, by the real entry point.
"""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from in_process import lmc_sweep
from safetensors.torch import load_file

pytestmark = pytest.mark.slow  # the run is a process of its own

SWEEP = """
name: tiny
store: store
networks:
  - {dataset: digits, architecture: {name: mlp, width: [4, 8]}, training: {max_epochs: 2}, seeds: 4}
barriers:
  alignments: [{method: identity}, {method: weight_matching}]
  interpolation: {alphas: 3}
"""


def program(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The entry point in a process of its own."""
    command = Path(sys.executable).with_name("lmc-sweep")
    return subprocess.run(
        [str(command), *arguments], cwd=cwd, capture_output=True, text=True, timeout=180, check=False
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a sweep file and the store of its finished run."""
    path = tmp_path_factory.mktemp("cli")
    (path / "sweep.yaml").write_text(SWEEP)
    done = program("run", "sweep.yaml", "--inline", cwd=path)
    assert 0 == done.returncode, done.stderr
    assert "" == done.stdout
    assert "weight matching" in done.stderr
    return path


def test_query_writes_csv_to_standard_output(folder: Path) -> None:
    """A header and the rows, nothing else."""
    done = program(
        "query", "store", "SELECT width, seed FROM networks ORDER BY ALL", "--format", "csv", cwd=folder
    )
    rows = list(csv.reader(io.StringIO(done.stdout)))
    assert [["width", "seed"], *[[str(w), str(s)] for w in (4, 8) for s in range(4)]] == rows
    assert "" == done.stderr


def test_query_writes_json_and_parquet(folder: Path) -> None:
    """The same result in both forms, lists included."""
    sql = "SELECT barrier_id, alphas FROM barriers ORDER BY barrier_id LIMIT 2"
    told = json.loads(lmc_sweep("query", "store", sql, "--format", "json", cwd=folder).stdout)
    lmc_sweep("query", "store", sql, "--format", "parquet", "--output", "out.parquet", cwd=folder)
    assert told == pq.read_table(folder / "out.parquet").to_pylist()
    assert [0.0, 0.5, 1.0] == told[0]["alphas"]


def test_query_without_sql_lists_tables_and_columns(folder: Path) -> None:
    """Every table of the contract, with its columns."""
    listed = lmc_sweep("query", "store", cwd=folder).stdout
    assert all(word in listed for word in ("networks", "alignments", "failures", "loss_midpoint_barrier"))


@pytest.mark.parametrize(
    "sql",
    [
        "COPY networks TO 'stolen.csv'",
        "SELECT 1; SELECT 2",
        "CREATE TABLE t (x INT)",
        "ATTACH 'x.db'",
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT * FROM 'sweep.yaml'",
        "SELECT nonsense FROM networks",
    ],
)
def test_query_refuses_what_is_not_one_confined_select(folder: Path, sql: str) -> None:
    """Exit code 2, two lines at most, and nothing written."""
    before = sorted(path.name for path in folder.rglob("*"))
    done = lmc_sweep("query", "store", sql, cwd=folder)
    assert 2 == done.returncode
    assert 1 <= len(done.stderr.splitlines()) <= 2, done.stderr
    assert "" == done.stdout
    assert before == sorted(path.name for path in folder.rglob("*"))


def test_status_counts_without_a_driver(folder: Path) -> None:
    """Items by kind, from the store alone; the error of the last estimate is there."""
    (status,) = json.loads(lmc_sweep("status", "store", "--json", cwd=folder).stdout)
    assert ("tiny", "complete") == (status["sweep"], status["state"])
    counts = {kind: (k["done"], k["total"], k["failed"]) for kind, k in status["kinds"].items()}
    assert {"network": (8, 8, 0), "alignment": (16, 16, 0), "barrier": (32, 32, 0)} == counts
    assert isinstance(status["estimate_error"], float)


def test_status_loses_only_advice_with_the_progress_file(folder: Path) -> None:
    """Without progress.json the counts stay, the estimate goes."""
    (path,) = (folder / "store" / "sweeps" / "tiny" / "runs").glob("*/progress.json")
    kept = path.read_bytes()
    path.unlink()
    (status,) = json.loads(lmc_sweep("status", "store", "--json", cwd=folder).stdout)
    path.write_bytes(kept)
    assert ("complete", None) == (status["state"], status["estimate_error"])
    assert 32 == status["kinds"]["barrier"]["done"]


def test_plan_agrees_with_status(folder: Path) -> None:
    """What status calls done, plan does not do again; two more seeds are two networks per width."""
    plan = json.loads(lmc_sweep("plan", "sweep.yaml", "--json", cwd=folder).stdout)
    assert [(8, 0), (16, 0), (32, 0)] == [(k["done"], k["to_do"]) for k in plan["kinds"].values()]
    more = ["--set", "networks[0].seeds=6", "--set", "barriers.pairs=2"]
    plan = json.loads(lmc_sweep("plan", "sweep.yaml", "--json", *more, cwd=folder).stdout)
    assert [4, 0, 0] == [k["to_do"] for k in plan["kinds"].values()]
    assert {"not in the store": 4} == plan["kinds"]["network"]["reasons"]
    assert "the store's measurements" in plan["estimate_from"]


def test_export_writes_a_plain_state_dict(folder: Path) -> None:
    """The exported file loads into nn modules by name."""
    sql = "SELECT network_id FROM networks WHERE width = 8 LIMIT 1"
    (row,) = json.loads(lmc_sweep("query", "store", sql, "--format", "json", cwd=folder).stdout)
    done = lmc_sweep("export", "store", row["network_id"], "--output", "one.safetensors", cwd=folder)
    assert 0 == done.returncode, done.stderr
    shapes = {name: tuple(tensor.shape) for name, tensor in load_file(folder / "one.safetensors").items()}
    expected = {
        "layers.0.weight": (8, 64),
        "layers.0.bias": (8,),
        "layers.1.weight": (10, 8),
        "layers.1.bias": (10,),
    }
    assert expected == shapes
    assert 2 == lmc_sweep("export", "store", "no-such-network", cwd=folder).returncode


def test_spec_has_the_form_of_the_contract(folder: Path) -> None:
    """Groups with their sizes, axes with segments; inputs and outputs are not among them."""
    arguments = ["--architecture", "mlp", "--set", "architecture.width=16", "--set", "architecture.depth=2"]
    spec = json.loads(lmc_sweep("spec", *arguments, "--json", cwd=folder).stdout)
    assert {"layers.0": 16, "layers.1": 16} == spec["groups"]
    moving = {(axis["parameter"], axis["axis"]): axis["segments"][0]["group"] for axis in spec["axes"]}
    assert {
        ("layers.0.weight", 0): "layers.0",
        ("layers.0.bias", 0): "layers.0",
        ("layers.1.weight", 1): "layers.0",
        ("layers.1.weight", 0): "layers.1",
        ("layers.1.bias", 0): "layers.1",
        ("layers.2.weight", 1): "layers.1",
    } == {key: group for key, group in moving.items() if group is not None}
    assert 2 == lmc_sweep("spec", "--architecture", "mpl", cwd=folder).returncode


def test_datasets_lists_what_is_here(folder: Path) -> None:
    """digits ships with scikit-learn; unknown names are refused with the known ones."""
    listed = {
        entry["name"]: entry for entry in json.loads(lmc_sweep("datasets", "--json", cwd=folder).stdout)
    }
    known = {"digits", "mnist", "fashion_mnist", "cifar10", "cifar100", "svhn", "imagenet"}
    assert known == set(listed)
    assert listed["digits"]["present"]
    refused = lmc_sweep("datasets", "fetch", "mnits", cwd=folder)
    assert (2, True) == (refused.returncode, "mnist" in refused.stderr)


def test_a_torn_record_is_named_by_query(folder: Path) -> None:
    """Readers say what they leave out, on standard error."""
    torn = folder / "store" / "records" / "barriers" / "foreign.parquet"
    torn.write_text("not parquet")
    done = program("query", "store", "SELECT count(*) AS n FROM barriers", "--format", "csv", cwd=folder)
    torn.unlink()
    assert "foreign.parquet" in done.stderr
    assert "n\n32\n" == done.stdout
