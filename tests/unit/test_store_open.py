"""Opening and making stores, and what it costs to import them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from store_rows import row

from lmc_sweep.errors import StoreError
from lmc_sweep.store import environment
from lmc_sweep.store.store import Store


@pytest.mark.parametrize("uri", ["ftp://bucket/prefix", "hdfs://host/path"])
def test_other_storage_is_refused_by_its_scheme(uri: str) -> None:
    """A URI of another storage is refused, and its scheme is named."""
    for opening in (Store, Store.create):
        with pytest.raises(StoreError, match=uri.split("/", maxsplit=1)[0]):
            opening(uri)


def test_an_empty_path_is_refused() -> None:
    """The empty path does not mean the working directory."""
    with pytest.raises(StoreError, match="is empty"):
        Store.create("")


def test_a_file_uri_is_a_path(tmp_path: Path) -> None:
    """file:// names a local directory, percent signs decoded."""
    assert tmp_path / "a store" == Store.create(f"file://{tmp_path}/a%20store").path


def test_what_is_not_a_store_says_how_to_make_one(tmp_path: Path) -> None:
    """A missing or empty directory, a full one, a file, a foreign store.json: each says what would help."""
    with pytest.raises(StoreError, match=r"there is no store.*lmc-sweep run"):
        Store(tmp_path / "missing")
    with pytest.raises(StoreError, match=r"there is no store.*lmc-sweep run"):
        Store(tmp_path)
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(StoreError, match=r"no store\.json.* and not empty.*new directory"):
        Store(tmp_path)
    with pytest.raises(StoreError, match=r"is a file"):
        Store(tmp_path / "thesis.tex")
    (tmp_path / "store.json").write_text('{"name": "something else"}')
    with pytest.raises(StoreError, match="not the marker of a store"):
        Store(tmp_path)


def test_a_newer_store_is_refused(tmp_path: Path) -> None:
    """A store of a later schema version is not read as if it were of this one."""
    store = Store.create(tmp_path / "store")
    (store.path / "store.json").write_text(json.dumps({"format": "lmc_sweep store", "schema_version": 99}))
    with pytest.raises(StoreError, match="schema version 99"):
        Store(store.path)


def test_a_directory_with_other_files_does_not_become_a_store(tmp_path: Path) -> None:
    """Making a store never mixes its files with those of somebody else, and writes nothing there."""
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(StoreError, match=r"holds 'thesis\.tex'"):
        Store.create(tmp_path)
    assert ["thesis.tex"] == [path.name for path in tmp_path.iterdir()]


def test_making_a_store_again_opens_it(tmp_path: Path) -> None:
    """Store.create on a store keeps what is in it."""
    Store.create(tmp_path / "store").commit("barriers", [row("barriers", "a")])
    assert {"a"} == Store.create(tmp_path / "store").ids("barrier")


def test_a_relative_path_is_fixed_when_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store keeps its place when the working directory changes."""
    monkeypatch.chdir(tmp_path)
    store = Store.create("store")
    monkeypatch.chdir("/")
    store.commit("barriers", [row("barriers", "a")])
    assert {"a"} == Store(tmp_path / "store").ids("barrier")


def test_a_place_below_a_file_is_refused(tmp_path: Path) -> None:
    """A path that leads through a file is an error in one line."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file/store"):
        Store.create(tmp_path / "file" / "store")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_place_without_rights_is_refused(tmp_path: Path) -> None:
    """A directory that may not be written is an error that says so."""
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="may write"):
        Store.create(tmp_path / "store")


@pytest.mark.parametrize("name", ["../outside", "", ".", ".hidden", "a/b", "a b"])
def test_a_sweep_cannot_be_named_like_a_path(tmp_path: Path, name: str) -> None:
    """A sweep's name never leads out of its folder."""
    with pytest.raises(StoreError, match="sweep's name"):
        Store.create(tmp_path / "store").write_progress(name, "0" * 32, {})


def test_reading_records_needs_no_torch(tmp_path: Path) -> None:
    """ids, views, queries and commits import none of the heavy packages."""
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1] / "support")!r})
from store_rows import row
from lmc_sweep import Store
store = Store.create({str(tmp_path / "store")!r})
store.commit("barriers", [row("barriers", "a")])
store.record_sweep("s", "name: s", [("barrier", "a")])
store.ids("barrier"), store.fetch("barriers", ["a"], ["width"]), store.problems(), store.nondeterminism()
store.sql("SELECT * FROM barriers").fetchall(), store.failures().fetchall()
heavy = {{"torch", "torchvision", "ray", "matplotlib", "scipy", "safetensors", "pydantic"}}
sys.stdout.write(" ".join(sorted(heavy & set(sys.modules))))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "" == done.stdout


def test_an_environment_tells_what_but_not_who_or_where() -> None:
    """The description names versions and hardware, and neither host, user nor path."""
    described = environment.describe()
    assert {
        "lmc_sweep",
        "git",
        "python",
        "packages",
        "system",
        "cpu",
        "num_cores",
        "memory_bytes",
        "gpu",
    } == set(described)
    assert described["packages"]["pyarrow"]
    text = json.dumps(described)
    secrets = [os.uname().nodename, str(Path.home()), str(Path.cwd())]
    assert [] == [secret for secret in secrets if secret in text]
    assert environment.identify(described) == environment.identify(json.loads(text))
