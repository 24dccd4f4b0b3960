"""A sweep that asks about random networks alone, from end to end: no networks, no alignments, no barriers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lmc_sweep.cli.app import app
from lmc_sweep.config import parse_sweep
from lmc_sweep.execution import task
from lmc_sweep.execution.bodies import BODIES
from lmc_sweep.execution.run import run
from lmc_sweep.store.store import Store

SWEEP = """
name: theorem
store: unused
initialization:
  input_dims: [1, 2]
  widths: [8, 16, 32]
  seeds: 3
  num_inputs: 20
  num_draws: 4
"""
NUM_ITEMS = 2 * 3 * 3 * 3
MEASURED = (
    "initialization_id, deviations, deviation_mean, deviation_quantile, matching_distance, num_unmatched"
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that holds everything the sweep asks for."""
    folder = tmp_path_factory.mktemp("whole")
    assert 0 == run(parse_sweep(SWEEP), store=str(folder / "store"), inline=True).exit_code
    return folder / "store"


@pytest.fixture
def path(whole: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(whole, tmp_path / "store"))


@pytest.fixture
def sweep_file(tmp_path: Path) -> str:
    """The sweep as a file."""
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    return str(tmp_path / "sweep.yaml")


def told(*arguments: str | Path, code: int = 0) -> str:
    """What a command says, its exit code checked."""
    done = CliRunner().invoke(app, [str(one) for one in arguments])
    assert code == done.exit_code, done.output
    return done.output


def numbers(path: Path) -> list[Any]:
    """Ids and figures of all measurements."""
    rows: list[Any] = Store(path).sql(f"SELECT {MEASURED} FROM initialization ORDER BY 1").fetchall()
    return rows


def test_there_is_a_row_for_every_item(whole: Path) -> None:
    """With its figures; other tables stay empty."""
    store = Store(whole)
    (row,) = store.sql("""
        SELECT count(*), count(DISTINCT initialization_id), count(DISTINCT cell_id), min(len(deviations)),
            count(*) FILTER (matching = 'grid' AND cells_per_axis >= 1 AND proof_bound > deviation_max)
        FROM initialization""").fetchall()
    assert (NUM_ITEMS, NUM_ITEMS, NUM_ITEMS // 3, 11, NUM_ITEMS // 3) == row
    assert not any(store.ids(kind) for kind in ("network", "alignment", "barrier"))


def test_the_same_command_does_nothing(path: Path, sweep_file: str) -> None:
    """Nothing is computed, and nothing written but the note that it was asked."""
    before = {file: file.stat().st_mtime_ns for file in (path / "records" / "initialization").iterdir()}
    said = told("run", sweep_file, "--store", path, "--inline")
    assert f"Everything is there: {NUM_ITEMS} initializations." in said
    assert before == {
        file: file.stat().st_mtime_ns for file in (path / "records" / "initialization").iterdir()
    }


def test_more_seeds_leave_results_as_they_are(path: Path, sweep_file: str) -> None:
    """Ids and numbers of the first three seeds are the same beside two more."""
    before = numbers(path)
    said = told("run", sweep_file, "--store", path, "--inline", "--set", "initialization.seeds=5")
    assert "Finished after" in said
    after = numbers(path)
    assert NUM_ITEMS * 5 // 3 == len(after)
    assert set(map(repr, before)) < set(map(repr, after))


def test_numbers_do_not_depend_on_batches(whole: Path, tmp_path: Path) -> None:
    """One seed after another gives what all at once gave, bit for bit."""
    for seed in range(3):
        sweep = parse_sweep(SWEEP, overrides=[f"initialization.seeds=[{seed}]"])
        assert 0 == run(sweep, store=str(tmp_path / "store"), inline=True).exit_code
    assert numbers(whole) == numbers(tmp_path / "store")


def test_a_run_that_is_killed_carries_on(
    tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What had finished when the process died stays; the same command computes the rest alone."""

    class Killed(BaseException):
        """Nobody catches it."""

    execute, calls = task.execute, []

    def dying(given: task.Task) -> task.Receipt:
        calls.append(len(given.items))
        if len(calls) == 4:
            raise Killed
        return execute(given)

    store = tmp_path / "store"
    monkeypatch.setattr("lmc_sweep.execution.executor.execute", dying)
    with pytest.raises(Killed):
        run(parse_sweep(SWEEP), store=str(store), inline=True)
    published = {file.name for file in (store / "records" / "initialization").iterdir()}
    assert 3 == len(published)
    monkeypatch.setattr("lmc_sweep.execution.executor.execute", execute)
    assert 0 == run(parse_sweep(SWEEP), store=str(store), inline=True).exit_code
    assert published < {file.name for file in (store / "records" / "initialization").iterdir()}
    assert numbers(whole) == numbers(store)


def test_a_plan_tells_of_what_is_asked_alone(tmp_path: Path, sweep_file: str) -> None:
    """Neither networks nor epochs are told of; JSON has the kind with its counts."""
    said = told("plan", sweep_file, "--store", tmp_path / "none")
    assert f"{NUM_ITEMS} not in the store" in said
    assert f"In all {NUM_ITEMS} initializations." in said
    assert not [word for word in ("network", "barrier", "max_epochs", "gpu") if word in said.lower()]
    planned = json.loads(told("plan", sweep_file, "--store", tmp_path / "none", "--json"))
    assert NUM_ITEMS == planned["kinds"]["initialization"]["to_do"]


def test_status_and_summary_tell_of_what_is_asked_alone(path: Path, sweep_file: str) -> None:
    """The run ends with slopes beside the bound's; status counts the one kind."""
    said = told("status", path)
    assert f"{NUM_ITEMS}/{NUM_ITEMS}" in said
    assert "networks" not in said
    said = told("run", sweep_file, "--store", path, "--inline")
    (line,) = [line for line in said.splitlines() if "2 inputs, hungarian" in line]
    assert line.endswith("-0.125")


def test_figures_and_reports_are_made(path: Path, tmp_path: Path) -> None:
    """The figure shows something; the report has the section, and none on barriers."""
    told("plot", path, "initialization", "--output", tmp_path / "figure.svg")
    assert (tmp_path / "figure.svg").stat().st_size > 10_000
    told("report", path, "--output", tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert 'id="random-networks"' in page
    assert not [
        name for name in ("density", "comparison", "cells", "barriers") if f'<section id="{name}"' in page
    ]


def test_results_are_verified_and_reproduced(path: Path) -> None:
    """All are sound; any one is computed again bit for bit, drawn or by its id."""
    said = told("verify", path, "--sample", "2")
    assert "All results are sound." in said
    assert "2 initializations drawn" in said
    assert "2 reproduced bit for bit" in said
    ((key,),) = Store(path).sql("SELECT initialization_id FROM initialization LIMIT 1").fetchall()
    assert "reproduced bit for bit" in told("repro", path, key)


def test_stores_are_compacted_and_merged(path: Path, whole: Path, tmp_path: Path) -> None:
    """Rows stay the same in one file; another store brings in what is missing alone."""
    told("compact", path, "--grace", "0")
    assert 1 == len(list((path / "records" / "initialization").glob("*.parquet")))
    assert numbers(whole) == numbers(path)
    sweep = parse_sweep(SWEEP, overrides=["initialization.seeds=[0, 9]", "name=other"])
    assert 0 == run(sweep, store=str(tmp_path / "other"), inline=True).exit_code
    merged = json.loads(told("merge", path, tmp_path / "other", "--json"))
    assert (NUM_ITEMS // 3, NUM_ITEMS // 3) == (
        merged["copied"]["initialization"],
        merged["held"]["initialization"],
    )


def test_failures_are_told_and_released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Items that raise are listed with their kind, held back until released, and computed then."""

    def broken(*_: object) -> None:
        raise ValueError("no luck")

    store = tmp_path / "failing"
    sweep = parse_sweep(SWEEP, overrides=["initialization.widths=8", "initialization.seeds=1"])
    with monkeypatch.context() as patched:
        patched.setitem(BODIES, "initialization", broken)
        assert 1 == run(sweep, store=str(store), inline=True).exit_code
    said = told("status", store)
    assert "6 initializations" in said
    assert "no luck" in said
    assert 1 == run(sweep, store=str(store), inline=True).exit_code
    assert "Released 6 initializations of sweep theorem" in told("retry", store)
    assert 0 == run(sweep, store=str(store), inline=True).exit_code
    assert "complete" in told("status", store)
