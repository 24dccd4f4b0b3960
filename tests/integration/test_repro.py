"""Any stored result, computed a second time by the command, and what failed, run again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import small_store
from store_rows import row
from typer.testing import CliRunner

from lmc_sweep.cli.app import app
from lmc_sweep.errors import StoreError
from lmc_sweep.store.store import Store

MODULES = Path(__file__).parents[1] / "support"
USER = """
name: own
store: unused
networks:
  - dataset: digits
    num_train: 100
    num_test: 50
    architecture: {name: "own_nets:small", width: 3}
    training: {max_epochs: 1}
    seeds: 2
barriers:
  worlds: [real]
  alignments: [{method: random}]
  interpolation: {alphas: 3, splits: [test]}
"""
OWN_NETS = """
from pathlib import Path
from torch import nn

Path(__file__).with_name("imported").touch()


def small(width: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that holds everything its sweep asks for."""
    return small_store.compute(tmp_path_factory.mktemp("whole") / "store").path


@pytest.fixture
def store(whole: Path, tmp_path: Path) -> Store:
    """A copy of it."""
    return Store(shutil.copytree(whole, tmp_path / "store"))


def repro(store: Store, *arguments: str, code: int = 0) -> dict[str, Any]:
    """What the command prints as JSON, its exit code checked."""
    done = CliRunner().invoke(app, ["repro", str(store.path), *arguments, "--json"])
    assert code == done.exit_code, done.output
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize(
    "query",
    [
        "SELECT network_id FROM networks WHERE width = 3",
        "SELECT network_id FROM networks WHERE width = 5",
        "SELECT alignment_id FROM alignments WHERE method = 'random' AND world = 'real'",
        "SELECT alignment_id FROM alignments WHERE method = 'weight_matching' AND world = 'model'",
        "SELECT alignment_id FROM alignments WHERE method = 'weight_matching' AND world = 'planted'",
        "SELECT barrier_id FROM barriers WHERE world = 'real'",
        "SELECT barrier_id FROM barriers WHERE world = 'planted'",
    ],
)
def test_every_kind_of_result_is_reproduced_bit_for_bit(store: Store, query: str) -> None:
    """By the first characters of its id; nothing is written to the store."""
    before = {file: file.stat().st_mtime_ns for file in store.path.rglob("*")}
    ((key,), *_) = store.sql(query).fetchall()
    told = repro(store, key[:12])
    assert (key, "reproduced bit for bit") == (told["id"], told["verdict"])
    assert all(column["difference"] == 0 for column in told["columns"])
    assert before == {file: file.stat().st_mtime_ns for file in store.path.rglob("*")}


def test_weights_that_differ_are_found(store: Store) -> None:
    """A row that points to other weights does not reproduce, and the largest difference is told."""
    rows = store.sql("SELECT * FROM networks WHERE width = 3 ORDER BY row").fetchall()
    told = dict(zip(store.networks().columns, rows[0], strict=True))
    weights = store.load_rows([(told["checkpoint"], told["row"])])
    other = store.write_tensors("networks", {name: tensor + 0.25 for name, tensor in weights.items()})
    store.commit(
        "networks",
        [{**told, "checkpoint": other, "row": 0, "created_at": told["created_at"].replace(year=2020)}],
    )
    found = repro(Store(store.path), told["network_id"], code=1)
    (column,) = [one for one in found["columns"] if one["verdict"] != "reproduced bit for bit"]
    assert ("differs", "weights", 0.25) == (
        found["verdict"],
        column["column"],
        pytest.approx(column["difference"]),
    )


def test_environments_are_set_side_by_side(store: Store) -> None:
    """Fields of the row's environment that differ from this machine's are marked."""
    from lmc_sweep.store import environment

    (key,) = store.sql("SELECT min(barrier_id) FROM barriers").fetchall()[0]
    described = environment.describe() | {"cpu": "another"}
    text = json.dumps(described)
    (store.path / "environments" / f"{environment.identify(described)}.json").write_text(text)
    row = dict(
        zip(
            store.barriers().columns,
            store.sql(f"SELECT * FROM barriers WHERE barrier_id = '{key}'").fetchall()[0],
            strict=True,
        )
    )
    row |= {
        "environment_id": environment.identify(described),
        "created_at": row["created_at"].replace(year=2020),
    }
    store.commit("barriers", [row])
    told = repro(Store(store.path), key)
    assert ["cpu"] == [entry["field"] for entry in told["environment"] if not entry["same"]]


@pytest.mark.parametrize(
    ("prefix", "words"), [("", "at least 4"), ("zzzz", "begins with"), ("abc", "at least 4")]
)
def test_ids_that_are_none_are_refused(store: Store, prefix: str, words: str) -> None:
    """Too few characters, or those of no id, are refused in words."""
    done = CliRunner().invoke(app, ["repro", str(store.path), prefix])
    assert isinstance(done.exception, StoreError)
    assert words in str(done.exception)


def test_a_failed_item_is_run_again_from_the_sweep_file(store: Store) -> None:
    """It succeeds where what made it fail is gone, and shows its traceback where it is not."""
    (key,) = store.sql("SELECT min(barrier_id) FROM barriers").fetchall()[0]
    (alignment,) = store.sql(f"SELECT alignment_id FROM barriers WHERE barrier_id = '{key}'").fetchall()[0]
    for file in (store.path / "records" / "barriers").iterdir():
        file.unlink()
    failure = row("failures", "f", kind="barrier", item_ids=[key], sweep="small")
    store.commit("failures", [failure])
    assert "succeeds" == repro(Store(store.path), key)["verdict"]
    (path,) = store.sql(f"SELECT permutations FROM alignments WHERE alignment_id = '{alignment}'").fetchall()[
        0
    ]
    lacking = {
        "member1.layers.0": store.load_permutations([{"permutations": path, "row": 0}])["member1.layers.0"]
        * 0
    }
    other = store.write_tensors("permutations", lacking, {})
    columns = store.alignments().columns
    (values,) = store.sql(f"SELECT * FROM alignments WHERE alignment_id = '{alignment}'").fetchall()
    told = dict(zip(columns, values, strict=True))
    store.commit(
        "alignments",
        [{**told, "permutations": other, "row": 0, "created_at": told["created_at"].replace(year=2020)}],
    )
    failed = repro(Store(store.path), key, code=1)
    assert "failed" == failed["verdict"]
    assert "Traceback" in failed["traceback"]


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store of networks of a module in the working directory."""
    import sys

    (tmp_path / "own_nets.py").write_text(OWN_NETS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "own_nets", raising=False)
    made = small_store.compute(tmp_path / "store", USER)
    monkeypatch.delitem(sys.modules, "own_nets", raising=False)
    (tmp_path / "imported").unlink()
    return made


def test_modules_that_a_store_names_run_only_where_allowed(own: Store, tmp_path: Path) -> None:
    """Without --user-code the module is named and not imported, in repro, in samples, of failures too."""
    (network,) = own.sql("SELECT min(network_id) FROM networks").fetchall()[0]
    done = CliRunner().invoke(app, ["repro", str(own.path), network])
    assert isinstance(done.exception, StoreError)
    assert "own_nets:small" in str(done.exception)
    done = CliRunner().invoke(app, ["verify", str(own.path), "--sample", "1", "--json"])
    assert 0 == done.exit_code
    (sampled,) = json.loads(done.stdout)["sample"]["barriers"]
    assert "left out" == sampled["verdict"]
    own.commit("failures", [row("failures", "f", kind="network", item_ids=["missing"], sweep="own")])
    done = CliRunner().invoke(app, ["repro", str(own.path), "missing"])
    assert "own_nets:small" in str(done.exception)
    assert not (tmp_path / "imported").exists()
    assert "reproduced bit for bit" == repro(own, network, "--user-code")["verdict"]
    done = CliRunner().invoke(app, ["verify", str(own.path), "--sample", "1", "--user-code", "--json"])
    (sampled,) = json.loads(done.stdout)["sample"]["barriers"]
    assert "reproduced bit for bit" == sampled["verdict"]


def test_networks_from_files_are_evaluated_again_from_the_store(tmp_path: Path, store: Store) -> None:
    """A checkpoint's figures are reproduced though its file is gone."""
    from safetensors.torch import save_file

    (tmp_path / "nets").mkdir()
    keys = [key for (key,) in store.sql("SELECT network_id FROM networks WHERE width = 3 LIMIT 2").fetchall()]
    for number, key in enumerate(keys):
        save_file(
            {name: t.clone() for name, t in store.load_network(key).items()},
            tmp_path / "nets" / f"{number}.safetensors",
        )
    text = f"""
name: files
store: unused
networks:
  - {{checkpoints: "{tmp_path}/nets/*.safetensors", dataset: digits, architecture: {{name: mlp, width: 3}}}}
"""
    made = small_store.compute(tmp_path / "files", text)
    shutil.rmtree(tmp_path / "nets")
    (key,) = made.sql("SELECT min(network_id) FROM networks").fetchall()[0]
    assert "reproduced bit for bit" == repro(made, key)["verdict"]
