"""Every command on a store that is on object storage, and the same numbers as on a disk."""

from __future__ import annotations

import copy
import json
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_objects import Bucket, Buckets, use_fake_objects

from lmc_sweep.cli import main
from lmc_sweep.execution import task
from lmc_sweep.execution.run import run
from lmc_sweep.store.store import Store

pytestmark = pytest.mark.slow  # the first takes two runs

URI = "s3://bucket/small"
SWEEP = """
name: small
store: nowhere
networks:
  - {dataset: digits, architecture: {name: mlp, width: [3, 4]}, training: {max_epochs: 1}, seeds: 2}
barriers:
  alignments: [{method: identity}, {method: weight_matching}]
  interpolation: {alphas: 3}
"""
Command = Callable[..., int]
Tables = Callable[[Path | str], dict[str, list[tuple[Any, ...]]]]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Bucket]]:
    """A sweep file, and a bucket after its run."""
    folder = tmp_path_factory.mktemp("swept")
    (folder / "small.yaml").write_text(SWEEP)
    with pytest.MonkeyPatch.context() as patched:
        buckets = use_fake_objects(patched, folder / "cache")
        assert 0 == run(folder / "small.yaml", store=URI, inline=True).exit_code
        yield folder / "small.yaml", buckets[URI]


@pytest.fixture
def buckets(swept: tuple[Path, Bucket], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Buckets:
    """Object storage with a bucket like that, and a machine without copies."""
    found = use_fake_objects(monkeypatch, tmp_path / "cache")
    task._opened.cache_clear()  # a worker's own store is that of another test
    found[URI].content |= copy.copy(swept[1].content)
    found[URI].stamps |= copy.copy(swept[1].stamps)
    return found


@pytest.fixture
def command(buckets: Buckets, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs a command in this process; its exit code."""

    def called(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["lmc-sweep", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    return called


def flip(bucket: Bucket, path: str) -> None:
    """Changes the last byte of an object."""
    content = bucket.content[path]
    bucket.content[path] = content[:-1] + bytes([content[-1] ^ 1])


def test_the_numbers_are_those_on_a_disk(
    swept: tuple[Path, Bucket], buckets: Buckets, tmp_path: Path, measured_tables: Tables
) -> None:
    """The same sweep on a disk has the same ids and numbers, bit for bit."""
    run(swept[0], store=str(tmp_path / "local"), inline=True)
    assert measured_tables(tmp_path / "local") == measured_tables(URI)


def test_status_plan_and_run_find_everything_there(
    command: Command, swept: tuple[Path, Bucket], buckets: Buckets, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second run computes nothing, and writes no record."""
    before = {path for path in buckets[URI].content if path.startswith("records/")}
    assert 0 == command("status", URI, "--json")
    (told,) = json.loads(capsys.readouterr().out)
    assert {"done": 4, "total": 4} == {key: told["kinds"]["network"][key] for key in ("done", "total")}
    assert 0 == command("plan", str(swept[0]), "--store", URI, "--json")
    assert 0 == command("run", str(swept[0]), "--store", URI, "--inline")
    assert "Everything is there" in capsys.readouterr().err
    assert before == {path for path in buckets[URI].content if path.startswith("records/")}


def test_a_plan_for_a_store_that_is_not_there_writes_nothing(
    command: Command, swept: tuple[Path, Bucket], buckets: Buckets, tmp_path: Path
) -> None:
    """plan on an empty prefix says what would run, and leaves bucket and cache as they are."""
    assert 0 == command("plan", str(swept[0]), "--store", "s3://bucket/new")
    assert {} == buckets["s3://bucket/new"].content
    assert not (tmp_path / "cache").exists()


def test_compact_leaves_the_numbers_and_few_objects(
    command: Command, buckets: Buckets, measured_tables: Tables
) -> None:
    """Afterwards each table is one object, and shows what it did."""
    before = measured_tables(URI)
    assert 0 == command("compact", URI, "--grace", "0")
    assert before == measured_tables(URI)
    assert 1 == sum(path.startswith("records/networks/") for path in buckets[URI].content)


def test_damage_is_found_set_aside_and_computed_again(
    command: Command,
    swept: tuple[Path, Bucket],
    buckets: Buckets,
    measured_tables: Tables,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """verify finds altered objects whatever copies there are; a run after --repair puts them back."""
    before, bucket = measured_tables(URI), buckets[URI]
    Store(URI).load_networks(sorted(Store(URI).ids("network"))[:1])  # copies that are good
    assert 0 == command("verify", URI)
    weights = min(path for path in bucket.content if path.startswith("networks/"))
    record = min(path for path in bucket.content if path.startswith("records/barriers/"))
    flip(bucket, weights)
    flip(bucket, record)
    assert 1 == command("verify", URI)
    capsys.readouterr()
    assert 1 == command("verify", URI, "--repair")
    assert {f"quarantine/{weights}", f"quarantine/{record}"} <= bucket.content.keys()
    assert not {weights, record} & bucket.content.keys()
    told = capsys.readouterr().err.replace("\n", " ")
    assert f"--store {URI}" in told
    again = shlex.split(told[told.index("lmc-sweep run") :])[1:5]
    assert f"{URI}/sweeps/small/sweep.yaml" == again[1]
    assert 0 == command(*again, "--inline")
    assert 0 == command("verify", URI)
    assert before == measured_tables(URI)


def test_stores_merge_from_and_to_a_disk(
    command: Command, buckets: Buckets, tmp_path: Path, measured_tables: Tables
) -> None:
    """A store on object storage is brought into one on a disk, and that into a new one elsewhere."""
    disk, other = tmp_path / "disk", "s3://other/store"
    Store.create(disk)
    Store.create(other)
    assert 0 == command("merge", str(disk), URI)
    assert 0 == command("merge", other, str(disk))
    assert 0 == command("verify", other)
    assert measured_tables(URI) == measured_tables(disk) == measured_tables(other)
    assert 2 == command("merge", URI, f"{URI}/")


def test_results_are_reproduced_exported_drawn_and_queried(
    command: Command, buckets: Buckets, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """repro, verify --sample, export, plot, report and query read what is brought for them."""
    (barrier,) = Store(URI).sql("SELECT min(barrier_id) FROM barriers").fetchall()[0]
    (network,) = Store(URI).sql("SELECT min(network_id) FROM networks").fetchall()[0]
    assert 0 == command("repro", URI, barrier)
    assert 0 == command("verify", URI, "--sample", "1", "--seed", "1")
    assert 0 == command("export", URI, network, "--output", str(tmp_path / "n.safetensors"))
    assert 0 == command("plot", URI, "worlds", "--output", str(tmp_path / "w.png"))
    assert 0 == command("report", URI, "--output", str(tmp_path / "r.html"))
    assert "max_epochs: 1" in (tmp_path / "r.html").read_text()
    capsys.readouterr()
    assert 0 == command("query", URI, "SELECT count(*) AS n FROM networks", "--format", "json")
    assert [{"n": 4}] == json.loads(capsys.readouterr().out)


def test_failures_are_released_and_runs_asked_to_stop(
    command: Command, buckets: Buckets, capsys: pytest.CaptureFixture[str]
) -> None:
    """retry releases what failed in the user's own code; cancel leaves its wish where the run looks."""
    store, run_id = Store(URI), "0" * 32
    store.record_sweep("small", SWEEP, [("network", "x")])
    failure = {"sweep": "small", "kind": "network", "item_ids": ["x"], "cause": "user_error", "attempts": 1}
    store.commit("failures", [{**failure, "error_type": "ValueError", "message": "m", "traceback": ""}])
    assert 0 == command("retry", URI)
    told = capsys.readouterr().err
    assert "Released 1 network" in told
    assert f"--store {URI}" in told.replace("\n", " ")
    store.write_progress("small", run_id, {"state": "running", "updated_at": 1.0, "beat": 1})
    assert 0 == command("cancel", URI)
    assert store.cancel_requested("small", run_id)
