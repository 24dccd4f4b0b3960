"""A store from a stranger can be looked at, checked and merged: it runs nothing and leads nowhere else."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import small_store
from typer.testing import CliRunner

from lmc_sweep.cli.app import app
from lmc_sweep.errors import StoreError
from lmc_sweep.planning.identity import canonical_json, identify
from lmc_sweep.planning.items import cell_identity
from lmc_sweep.planning.reconstruction import network_item
from lmc_sweep.store import layout, merging
from lmc_sweep.store.findings import Finding
from lmc_sweep.store.repair import set_aside
from lmc_sweep.store.store import Store
from lmc_sweep.store.verification import verify
from workers.specs import MLPSpec, ModuleSpec, NetworkSpec


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that holds everything its sweep asks for."""
    return small_store.compute(tmp_path_factory.mktemp("whole") / "store").path


@pytest.fixture
def store(whole: Path, tmp_path: Path) -> Store:
    """A copy of it, to which a stranger adds something."""
    return Store(shutil.copytree(whole, tmp_path / "store"))


def network_row(store: Store, **changes: Any) -> dict[str, Any]:
    """The columns of some network with an id of its own, and others changed."""
    query = "SELECT * FROM networks ORDER BY network_id LIMIT 1"
    told = dict(zip(store.networks().columns, store.sql(query).fetchall()[0], strict=True))
    return {**told, "network_id": "stranger", **changes}


def commit_anything(store: Store, table: str, rows: list[dict[str, Any]]) -> None:
    """A record that this program would refuse to write."""
    with mock.patch.object(layout, "inside", return_value=True):
        store.commit(table, rows)


def errors(store: Store) -> list[Finding]:
    """What verification finds that costs results."""
    return [finding for finding in verify(Store(store.path)).findings if finding.is_error]


def looked_at(store: Store, tmp_path: Path) -> None:
    """Every command that reads a store, none of which may fail by anything but an error in words."""
    runner = CliRunner()
    Store.create(tmp_path / "mine")
    for arguments in (
        ["status", str(store.path)],
        ["verify", str(store.path)],
        ["query", str(store.path), "SELECT * FROM networks"],
        ["repro", str(store.path), "stranger"],
        ["merge", str(tmp_path / "mine"), str(store.path)],
        ["export", str(store.path), "stranger", "--output", str(tmp_path / "out.safetensors")],
        ["verify", str(store.path), "--repair"],
    ):
        done = runner.invoke(app, arguments)
        assert done.exception is None or isinstance(done.exception, SystemExit | StoreError), arguments


OUTSIDE = [
    "../../../etc/passwd",
    "/etc/passwd",
    "networks/../../x",
    "networks/a\0b",
    "networks/" + "x" * 5000,
    "",
]


@pytest.mark.parametrize("path", OUTSIDE)
def test_paths_that_lead_out_of_the_store_are_never_followed(store: Store, tmp_path: Path, path: str) -> None:
    """A record that names such a file has no result, in any command."""
    commit_anything(store, "networks", [network_row(store, checkpoint=path)])
    assert "stranger" not in Store(store.path).ids("network")
    assert [("artifact", path)] == [(finding.kind, finding.path) for finding in errors(store)]
    mine = Store.create(tmp_path / "mine")
    merging.merge(mine, Store(store.path))
    assert "stranger" not in mine.ids("network")
    if path == OUTSIDE[0]:
        looked_at(store, tmp_path)


def test_repair_moves_nothing_that_is_not_in_the_store(store: Store, tmp_path: Path) -> None:
    """Paths that climb, and folders that are links, are refused."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("mine")
    (store.path / "networks" / "link").symlink_to(outside)
    for path in (
        "../outside/file",
        "networks/../../outside/file",
        "networks/link/file",
        "store.json",
        "/etc/passwd",
    ):
        with pytest.raises(StoreError):
            set_aside(store.files, path)
    assert "mine" == (outside / "file").read_text()


class Payload:
    """An object whose unpickling leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("kind", ["pickle", "deep header", "long header", "header of a list", "overlapping"])
def test_tensors_in_other_formats_are_read_by_nobody(store: Store, tmp_path: Path, kind: str) -> None:
    """Pickles and headers made to harm are told as damage, though their name is the hash of their content."""
    deep = b'{"a":' * 200_000
    overlapping = json.dumps(
        {name: {"dtype": "F32", "shape": [1, 2], "data_offsets": [0, 8]} for name in ("a", "b")}
    ).encode()
    content = {
        "pickle": pickle.dumps(Payload(tmp_path / "mark")),
        "deep header": len(deep).to_bytes(8, "little") + deep,
        "long header": (2**63).to_bytes(8, "little") + b"{}",
        "header of a list": (2).to_bytes(8, "little") + b"[]",
        "overlapping": len(overlapping).to_bytes(8, "little") + overlapping + bytes(8),
    }[kind]
    path = f"networks/{hashlib.sha256(content).hexdigest()}.safetensors"
    (store.path / path).write_bytes(content)
    store.commit("networks", [network_row(store, checkpoint=path, row=0)])
    assert [("artifact", path)] == [(finding.kind, finding.path) for finding in errors(store)]
    if kind in ("pickle", "deep header"):
        looked_at(store, tmp_path)
        assert "stranger" not in Store(tmp_path / "mine").ids("network")
    assert not (tmp_path / "mark").exists()


def test_links_are_not_followed(store: Store, tmp_path: Path) -> None:
    """A file of tensors that is a link, and a folder that is one, give no results."""
    (checkpoint,) = store.sql("SELECT min(checkpoint) FROM networks").fetchall()[0]
    shutil.move(store.path / checkpoint, tmp_path / "elsewhere")
    (store.path / checkpoint).symlink_to(tmp_path / "elsewhere")
    assert [("artifact", checkpoint)] == [(finding.kind, finding.path) for finding in errors(store)]
    assert verify(Store(store.path)).lost["network"] == frozenset()
    shutil.move(store.path / "networks", tmp_path / "networks")
    (store.path / "networks").symlink_to(tmp_path / "networks")
    assert "folder" in {finding.kind for finding in errors(store)}
    Store.create(tmp_path / "mine")
    found = merging.merge(Store(tmp_path / "mine"), Store(store.path))
    assert 0 == found.copied["networks"]


def test_rows_beyond_their_file_are_set_aside(store: Store, tmp_path: Path) -> None:
    """A row that its file of weights does not have is an error; its record is set aside by repair."""
    record = store.commit("networks", [network_row(store, row=2**62)])
    assert [("row", record)] == [(finding.kind, finding.path) for finding in errors(store)]
    looked_at(store, tmp_path)
    assert not (store.path / record).exists()
    assert [] == errors(store)


@pytest.mark.parametrize("name", ["os:system", "subprocess:run", "marking:build"])
def test_modules_that_rows_name_are_not_imported(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Whatever a row names as its architecture and data set, no command imports or calls it."""
    (tmp_path / "marking.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w').close()")
    monkeypatch.chdir(tmp_path)
    known = network_item(network_row(store) | {"network_id": min(store.ids("network"))}).spec
    assert isinstance(known, NetworkSpec)
    arguments = (("command", f"touch {tmp_path / 'mark'}"),)
    spec = replace(
        known,
        architecture=ModuleSpec(name=name, arguments=arguments, source_sha256="00" * 32),
        dataset="digits",
    )
    key = identify("network", spec)
    row = network_row(store, network_id=key, cell_id=cell_identity(spec), spec_json=canonical_json(spec))
    store.commit("networks", [row | {"row": 0}])
    done = CliRunner().invoke(app, ["repro", str(store.path), key])
    assert isinstance(done.exception, StoreError)
    assert name in str(done.exception)
    looked_at(store, tmp_path)
    done = CliRunner().invoke(app, ["verify", str(store.path), "--sample", "2"])
    assert done.exception is None or isinstance(done.exception, SystemExit)
    assert not (tmp_path / "mark").exists()


def test_numbers_beyond_any_machine_are_refused_before_anything_is_built(store: Store) -> None:
    """A width of a billion with a valid id takes no memory: it is told how much it would take."""
    known = network_item(network_row(store) | {"network_id": min(store.ids("network"))}).spec
    assert isinstance(known, NetworkSpec)
    spec = replace(known, architecture=MLPSpec(width=10**12, depth=3))
    key = identify("network", spec)
    row = network_row(store, network_id=key, cell_id=cell_identity(spec), spec_json=canonical_json(spec))
    store.commit("networks", [row | {"row": 0}])
    done = CliRunner().invoke(app, ["repro", str(store.path), key])
    assert isinstance(done.exception, StoreError)
    assert "bytes of memory" in str(done.exception)


@pytest.mark.parametrize("path", ["../../../../etc/passwd", "/etc/passwd", 7, None])
def test_inputs_that_lead_out_of_the_store_are_not_read(store: Store, path: object) -> None:
    """An alignment that says it read a file elsewhere is not recomputed from there, nor are its barriers."""
    query = "SELECT * FROM alignments WHERE world = 'real' ORDER BY alignment_id LIMIT 1"
    told = dict(zip(store.alignments().columns, store.sql(query).fetchall()[0], strict=True))
    told["inputs_json"] = json.dumps({"networks": [[path, 0], [path, 0]]})
    told["created_at"] = told["created_at"].replace(year=2020)
    store.commit("alignments", [told])
    done = CliRunner().invoke(app, ["repro", str(store.path), told["alignment_id"]])
    assert isinstance(done.exception, StoreError)
    assert "no place in this store" in str(done.exception)


BOMB = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{x}: &{x} [{','.join([f'*{y}'] * 10)}]\n" for y, x in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.mkdir [mark]",
        "name: small\nnetworks: !!python/object/apply:os.mkdir [mark]",
        BOMB,
        "name: small\nstore: s\nnetworks: [{checkpoints: '/etc/*', dataset: digits, module: 'marking:x'}]",
    ],
)
def test_sweep_files_run_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """Tags, aliases without end, modules and files elsewhere: refused, though a failure asks for the file."""
    from store_rows import row

    (tmp_path / "marking.py").write_text("import os\nos.mkdir('mark')")
    monkeypatch.chdir(tmp_path)
    (store.path / "sweeps" / "small" / "sweep.yaml").write_text(text)
    store.commit("failures", [row("failures", "f", kind="network", item_ids=["stranger"], sweep="small")])
    done = CliRunner().invoke(app, ["repro", str(store.path), "stranger"])
    assert isinstance(done.exception, StoreError)
    looked_at(store, tmp_path)
    assert not (tmp_path / "mark").exists()
