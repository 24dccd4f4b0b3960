"""Verification finds every kind of damage, and repair makes a store that the next run completes."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import small_store
from typer.testing import CliRunner

from lmc_sweep.cli.app import app
from lmc_sweep.config import parse_sweep
from lmc_sweep.store import moving, repair
from lmc_sweep.store.findings import Finding, Verification
from lmc_sweep.store.local_files import LocalFiles
from lmc_sweep.store.store import Store
from lmc_sweep.store.verification import verify

KINDS = ("network", "alignment", "barrier")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that holds everything its sweep asks for."""
    return small_store.compute(tmp_path_factory.mktemp("whole") / "store").path


@pytest.fixture
def path(whole: Path, tmp_path: Path) -> Path:
    """A copy of it to damage."""
    shutil.copytree(whole, tmp_path / "store")
    return tmp_path / "store"


def flip(file: Path) -> None:
    """One bit in the middle."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def cut(file: Path) -> None:
    """The last bytes gone."""
    file.write_bytes(file.read_bytes()[:-3])


def clear(file: Path) -> None:
    """Nothing left in it."""
    file.write_bytes(b"")


def remove(file: Path) -> None:
    """No file."""
    file.unlink()


def errors(found: Verification) -> list[Finding]:
    """The findings that cost results."""
    return [finding for finding in found.findings if finding.is_error]


def ids(path: Path) -> dict[str, set[str]]:
    """What a store holds by kind."""
    return {kind: Store(path).ids(kind) for kind in KINDS}


def first(path: Path, pattern: str) -> Path:
    """The first file that a pattern names."""
    return min(path.glob(pattern))


def complete(path: Path) -> None:
    """Computes what is missing, as the next run does."""
    small_store.complete(Store(path), parse_sweep(small_store.SWEEP))


def test_a_whole_store_is_clean(path: Path) -> None:
    """Nothing is found in a store that was not damaged, and nothing is changed by looking."""
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    found = verify(Store(path))
    assert () == found.findings
    assert [(6, 6, 6), (12, 12, 12), (12, 12, 12)] == [
        (one.total, one.done, one.sound) for one in found.sweeps
    ]
    assert before == {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}


DAMAGED = [
    ("records/networks/*.parquet", flip),
    ("records/alignments/*.parquet", cut),
    ("records/barriers/*.parquet", clear),
    ("records/search_traces/*.parquet", flip),
    ("networks/*.safetensors", flip),
    ("networks/*.safetensors", cut),
    ("permutations/*.safetensors", clear),
    ("permutations/*.safetensors", flip),
]


@pytest.mark.parametrize(("pattern", "damage"), DAMAGED)
def test_damage_is_found_set_aside_and_computed_again(
    path: Path, pattern: str, damage: Callable[[Path], None]
) -> None:
    """Found before; after repair status tells what is sound; after the next run all is as it was."""
    everything = ids(path)
    file = first(path, pattern)
    damage(file)
    damaged = file.read_bytes()
    found = verify(Store(path))
    assert [str(file.relative_to(path))] == [finding.path for finding in errors(found)]
    sound = {kind: held - found.lost[kind] for kind, held in ids(path).items()}
    relative = str(file.relative_to(path))
    assert {relative: f"quarantine/{relative}"} == repair.repair(LocalFiles(path), found.findings)
    assert not file.exists()
    assert damaged == (path / "quarantine" / relative).read_bytes()
    assert sound == ids(path)
    after = verify(Store(path))
    assert all(count.done == count.sound for count in after.sweeps)
    complete(path)
    assert everything == ids(path)
    assert [] == errors(verify(Store(path)))
    assert {"quarantine"} == {finding.kind for finding in verify(Store(path)).findings} - {"duplicate"}


@pytest.mark.parametrize("pattern", ["networks/*.safetensors", "permutations/*.safetensors"])
def test_a_flipped_bit_of_tensors_is_what_listing_does_not_see(path: Path, pattern: str) -> None:
    """Ids that status counts as done are told to be lost, and the report says that they are counted."""
    flip(first(path, pattern))
    found = verify(Store(path))
    (finding,) = errors(found)
    assert "status and plan count them as done until" in finding.message
    assert sum(len(lost) for lost in found.lost.values()) > 0
    assert any(count.done > count.sound for count in found.sweeps)


def test_missing_tensors_cost_their_rows(path: Path) -> None:
    """A file of weights that is gone is an error that needs no move."""
    first(path, "networks/*.safetensors").unlink()
    found = verify(Store(path))
    (finding,) = errors(found)
    assert ("artifact", False) == (finding.kind, finding.is_movable)
    assert {} == repair.repair(LocalFiles(path), found.findings)
    complete(path)
    assert {"duplicate"} == {finding.kind for finding in verify(Store(path)).findings}


def test_repair_never_takes_the_place_of_what_was_set_aside(path: Path) -> None:
    """The same name damaged twice stands in quarantine twice."""
    relative = str(first(path, "networks/*.safetensors").relative_to(path))
    for number in range(2):
        (path / relative).write_bytes(b"bad %d" % number)
        repair.repair(LocalFiles(path), verify(Store(path)).findings)
        complete(path)
    kept = sorted((path / "quarantine" / "networks").iterdir())
    assert [b"bad 0", b"bad 1"] == [file.read_bytes() for file in kept]


def test_a_repair_that_was_cut_short_is_finished(path: Path) -> None:
    """A file that has its second name already only loses its first."""
    file = first(path, "records/barriers/*.parquet")
    cut(file)
    target = path / "quarantine" / file.relative_to(path)
    target.parent.mkdir(parents=True)
    target.hardlink_to(file)
    assert str(target.relative_to(path)) == repair.set_aside(LocalFiles(path), str(file.relative_to(path)))
    assert not file.exists()
    assert [target] == list(target.parent.iterdir())


def test_a_file_that_is_whole_by_now_is_left(path: Path) -> None:
    """A driver that wrote good tensors in the place of bad ones before the repair came loses nothing."""
    file = first(path, "networks/*.safetensors")
    content = file.read_bytes()
    flip(file)
    found = verify(Store(path))
    file.write_bytes(content)
    assert {} == repair.repair(LocalFiles(path), found.findings)
    assert content == file.read_bytes()


def test_what_was_made_good_while_it_was_moved_is_put_back(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Good tensors that a driver wrote between the check and the move are put back."""
    file = first(path, "networks/*.safetensors")
    content = file.read_bytes()
    flip(file)
    move = moving._move

    def replaced(source: Path, target: Path) -> Path | None:
        source.write_bytes(content)
        return move(source, target)

    monkeypatch.setattr(moving, "_move", replaced)
    assert repair.set_aside(LocalFiles(path), str(file.relative_to(path))) is None
    assert content == file.read_bytes()
    assert [] == list((path / "quarantine" / "networks").iterdir())


def test_alignments_of_weights_that_are_gone_for_good_are_computed_again(path: Path) -> None:
    """Where networks have other weights by now, alignments that read the old ones are set aside."""
    store = Store(path)
    old = first(path, "networks/*.safetensors")
    relative = str(old.relative_to(path))
    rows = store.sql(f"SELECT * FROM networks WHERE checkpoint = '{relative}'").fetchall()
    columns = store.networks().columns
    tensors = store.load_rows([(relative, k) for k in range(len(rows))])
    elsewhere = store.write_tensors("networks", {name: tensor + 1 for name, tensor in tensors.items()})
    told = [dict(zip(columns, row, strict=True)) for row in rows]
    for row in told:
        row |= {"checkpoint": elsewhere}
        del row["created_at"]
    store.commit("networks", told)
    assert {"duplicate"} == {finding.kind for finding in verify(Store(path)).findings}
    old.unlink()
    found = verify(Store(path))
    assert {("input", "records/alignments")} == {
        (finding.kind, str(Path(finding.path).parent)) for finding in errors(found)
    }
    repair.repair(LocalFiles(path), found.findings)
    complete(path)
    assert [] == errors(verify(Store(path)))


def test_only_the_rows_at_fault_are_lost_of_a_record(path: Path) -> None:
    """Of a record in which one row names what is not there, all other rows stand in a new one."""
    store = Store(path)
    columns = store.networks().columns
    rows = [dict(zip(columns, row, strict=True)) for row in store.networks().fetchall()]
    wrong = {**rows[0], "network_id": "wrong", "row": 99}
    for file in (path / "records" / "networks").iterdir():
        file.unlink()
    record = store.commit("networks", [wrong, *rows])
    found = verify(Store(path))
    assert [("row", record)] == [(finding.kind, finding.path) for finding in errors(found)]
    assert {record: f"quarantine/{record}"} == repair.repair(LocalFiles(path), found.findings)
    assert rows == [dict(zip(columns, row, strict=True)) for row in Store(path).networks().fetchall()]
    assert [] == errors(verify(Store(path)))


def test_what_no_result_needs_is_told_and_costs_nothing(path: Path) -> None:
    """Orphans, unfinished and foreign files are listed with their sizes, and the store is clean."""
    digest = hashlib.sha256(b"").hexdigest()
    for name in (
        f"networks/{digest}.safetensors",
        "networks/.x.tmp",
        "records/barriers/.y.tmp",
        "records/notes.txt",
        "records/barriers/notes.txt",
        "notes.txt",
    ):
        (path / name).write_text("12345")
    found = verify(Store(path))
    assert found.is_clean
    assert {
        "orphan": [f"networks/{digest}.safetensors"],
        "temporary": ["networks/.x.tmp", "records/barriers/.y.tmp"],
        "foreign": ["notes.txt", "records/barriers/notes.txt", "records/notes.txt"],
    } == {
        kind: [finding.path for finding in found.findings if finding.kind == kind]
        for kind in ("orphan", "temporary", "foreign")
    }
    assert {} == repair.repair(LocalFiles(path), found.findings)


@pytest.mark.parametrize("damage", [flip, remove])
def test_environments_must_be_told(path: Path, damage: Callable[[Path], None]) -> None:
    """An environment that is altered or gone, and that rows name, is an error."""
    damage(first(path, "environments/*.json"))
    assert ["environment"] == [finding.kind for finding in errors(verify(Store(path)))]


@pytest.mark.parametrize("text", ["{", "a: !!python/object/apply:os.system [id]", "[" * 5000, "\0"])
def test_a_sweep_file_that_cannot_be_read_is_an_error(path: Path, text: str) -> None:
    """Torn YAML and YAML with tags of a programming language are told and never obeyed."""
    (path / "sweeps" / "small" / "sweep.yaml").write_text(text)
    assert ["sweep"] == [finding.kind for finding in errors(verify(Store(path)))]


def test_records_of_a_newer_program_stay_where_they_are(path: Path) -> None:
    """A higher schema version is told, and nothing is moved: it is no damage."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = first(path, "records/barriers/*.parquet")
    data = pq.read_table(file, partitioning=None)
    newer = data.replace_schema_metadata({**data.schema.metadata, b"lmc_sweep.schema_version": b"99"})
    sink = pa.BufferOutputStream()
    pq.write_table(newer, sink)
    content = sink.getvalue().to_pybytes()
    digest = hashlib.sha256(content).hexdigest()[:32]
    (file.parent / f"20260101T000000000000Z-{digest}-00000000.parquet").write_bytes(content)
    file.unlink()
    found = verify(Store(path))
    (finding,) = errors(found)
    assert ("record", False) == (finding.kind, finding.is_movable)
    assert "update the program" in finding.message


@pytest.fixture
def run_cli() -> CliRunner:
    """Runs commands in this process."""
    return CliRunner()


def test_the_command_repairs_and_says_how_to_go_on(path: Path, run_cli: CliRunner) -> None:
    """Exit codes 0, 1, 1; what is to be computed again is counted by kind, with the command."""
    assert 0 == run_cli.invoke(app, ["verify", str(path)]).exit_code
    flip(first(path, "permutations/*.safetensors"))
    assert 1 == run_cli.invoke(app, ["verify", str(path)]).exit_code
    done = run_cli.invoke(app, ["verify", str(path), "--repair", "--json"])
    assert 1 == done.exit_code
    told = json.loads(done.stdout)
    assert 1 == len(told["moved"])
    (entry,) = told["requeued"]
    missing = 12 - len(Store(path).ids("alignment"))
    assert {"network": 0, "alignment": missing, "barrier": 0} == entry["missing"]
    assert missing > 0
    assert f"lmc-sweep run {path}/sweeps/small/sweep.yaml --store {path}" == entry["command"]


def test_a_sample_is_reproduced_bit_for_bit(path: Path, run_cli: CliRunner) -> None:
    """Barriers measured again here are equal, the seed draws the same ones, another number is found."""
    done = run_cli.invoke(app, ["verify", str(path), "--sample", "3", "--seed", "1", "--json"])
    assert 0 == done.exit_code
    told = json.loads(done.stdout)["sample"]
    assert 1 == told["seed"]
    assert ["reproduced bit for bit"] * 3 == [one["verdict"] for one in told["barriers"]]
    again = run_cli.invoke(app, ["verify", str(path), "--sample", "3", "--seed", "1", "--json"])
    drawn = [one["barrier_id"] for one in told["barriers"]]
    assert drawn == [one["barrier_id"] for one in json.loads(again.stdout)["sample"]["barriers"]]
    altered(path, drawn[0])
    done = run_cli.invoke(app, ["verify", str(path), "--sample", "12", "--json"])
    assert 1 == done.exit_code
    verdicts = {one["barrier_id"]: one["verdict"] for one in json.loads(done.stdout)["sample"]["barriers"]}
    assert [drawn[0]] == [key for key, verdict in verdicts.items() if verdict == "differs"]


def altered(path: Path, barrier_id: str) -> None:
    """A row of that barrier with another loss, older than the one that was there."""
    from datetime import UTC, datetime

    store = Store(path)
    columns = store.barriers().columns
    (row,) = store.sql(f"SELECT * FROM barriers WHERE barrier_id = '{barrier_id}'").fetchall()
    told = dict(zip(columns, row, strict=True))
    told["losses"] = [loss + 1e-3 for loss in told["losses"]]
    store.commit("barriers", [{**told, "created_at": datetime(2020, 1, 1, tzinfo=UTC)}])
