"""A finished sweep, damaged: the same command computes what was lost, and the store is as it was."""

from __future__ import annotations

import multiprocessing
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from store_rows import ids_of, row

from lmc_sweep.config import parse_sweep
from lmc_sweep.errors import DamageError
from lmc_sweep.execution.run import RunResult, run
from lmc_sweep.execution.task import Receipt, Task, execute
from lmc_sweep.kinds import ALWAYS_SHOWN
from lmc_sweep.planning.plan import make_plan
from lmc_sweep.store.store import Store

pytestmark = pytest.mark.fault
SWEEP = """
name: small
store: {store}
networks:
  - dataset: digits
    architecture: {{name: mlp, width: [4, 8]}}
    training: {{max_epochs: 1}}
    seeds: 2
barriers:
  alignments: [{{method: identity}}, {{method: weight_matching}}]
  interpolation: {{alphas: 3, splits: [test]}}
"""
Tables = dict[str, list[tuple[Any, ...]]]


def _run(store: Path, *overrides: str) -> RunResult:
    """Runs the small sweep."""

    return run(parse_sweep(SWEEP.format(store=store), overrides=overrides), inline=True)


def _num_done(result: RunResult) -> dict[str, int]:
    """Items that a run had to compute, by kind."""
    return {kind: result.plan.num_to_do(kind) for kind in ALWAYS_SHOWN}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of the finished sweep."""
    path = tmp_path_factory.mktemp("finished") / "store"
    assert 0 == _run(path).exit_code
    return path


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) * 3 // 4] ^= 1
    path.write_bytes(content)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("damage", [_flip, _cut, Path.unlink], ids=["flipped", "cut", "gone"])
@pytest.mark.parametrize("table", ["networks", "alignments", "barriers"])
def test_exactly_the_damaged_records_are_computed_again(
    finished: Path,
    tmp_path: Path,
    measured_tables: Callable[[Path], Tables],
    table: str,
    damage: Callable[[Path], None],
) -> None:
    """Rows of one lost record file are computed again by the same command, and no others."""
    store = tmp_path / "store"
    shutil.copytree(finished, store)
    kind = table.removesuffix("s")
    victim = sorted((store / "records" / table).glob("*.parquet"))[0]
    whole = Store(store).ids(kind)
    damage(victim)
    lost = whole - Store(store).ids(kind)
    assert lost
    result = _run(store)
    assert 0 == result.exit_code
    assert {"network": 0, "alignment": 0, "barrier": 0} | {kind: len(lost)} == _num_done(result)
    assert measured_tables(finished) == measured_tables(store)
    assert [] == Store(store).nondeterminism()


@pytest.mark.parametrize("damage", [_cut, Path.unlink], ids=["cut", "gone"])
@pytest.mark.parametrize("folder", ["networks", "permutations"])
def test_lost_artifacts_are_computed_again(
    finished: Path,
    tmp_path: Path,
    measured_tables: Callable[[Path], Tables],
    folder: str,
    damage: Callable[[Path], None],
) -> None:
    """What lay in a lost file of tensors is computed again by the same command, to the same content."""
    store = tmp_path / "store"
    shutil.copytree(finished, store)
    kind = {"networks": "network", "permutations": "alignment"}[folder]
    victim = sorted((store / folder).iterdir())[0]
    content = victim.read_bytes()
    whole = Store(store).ids(kind)
    damage(victim)
    lost = whole - Store(store).ids(kind)
    result = _run(store)
    assert 0 == result.exit_code
    assert {"network": 0, "alignment": 0, "barrier": 0} | {kind: len(lost)} == _num_done(result)
    assert content == victim.read_bytes()
    assert measured_tables(finished) == measured_tables(store)


def test_altered_weights_never_enter_a_figure(
    finished: Path, tmp_path: Path, measured_tables: Callable[[Path], Tables]
) -> None:
    """A flipped bit in weights fails what reads them, and the next run computes them and that anew."""
    store = tmp_path / "store"
    shutil.copytree(finished, store)
    for record in (store / "records" / "barriers").iterdir():
        record.unlink()
    victim = sorted((store / "networks").iterdir())[0]
    content = victim.read_bytes()
    _flip(victim)
    first = _run(store)
    assert 1 == first.exit_code
    causes = store_causes(store)
    assert "damage" in causes
    assert (store / "quarantine" / "networks" / victim.name).exists()
    second = _run(store)
    assert 0 == second.exit_code
    assert content == victim.read_bytes()
    assert measured_tables(finished) == measured_tables(store)
    assert [] == Store(store).failures().fetchall()


def store_causes(store: Path) -> set[str]:
    """Classes of the errors of a store's open failures."""
    return {cause for (cause,) in Store(store).sql("SELECT cause FROM failures").fetchall()}


def test_every_flipped_bit_of_weights_is_found_when_they_are_read(tmp_path: Path) -> None:
    """Wherever a bit was flipped in a file of tensors, loading names the file and how it is mended."""
    store = Store.create(tmp_path / "store")
    path = store.write_tensors("networks", {"w": torch.arange(64.0).reshape(2, 32)})
    store.commit("networks", [row("networks", "n", checkpoint=path, row=1)])
    content = (store.path / path).read_bytes()
    for position in range(0, len(content), 7):
        flipped = bytearray(content)
        flipped[position] ^= 1 << (position % 8)
        (store.path / path).write_bytes(flipped)
        with pytest.raises((DamageError, KeyError)) as raised:
            Store(store.path).load_network("n")
        if isinstance(raised.value, DamageError):  # else its header is not whole, and listing told
            assert path == raised.value.path
            assert "verify" in str(raised.value)
    (store.path / path).write_bytes(content)
    assert torch.arange(32.0, 64.0).equal(Store(store.path).load_network("n")["w"])


def _tasks(store: Path) -> list[Task]:
    """A task per batch of the sweep's networks."""
    sweep = parse_sweep(SWEEP.format(store=store))
    plan = make_plan(sweep, Store.create(store), num_slots=1)
    batches = [batch for batch in plan.batches if batch.kind == "network"]
    return [Task(str(store), batch.kind, batch.items) for batch in batches]


def _execute_at_once(task: Task, gate: Any, answers: Any) -> None:
    gate.wait()
    answers.put(execute(task))


def test_a_batch_that_is_delivered_twice_is_there_once(
    finished: Path, tmp_path: Path, measured_tables: Callable[[Path], Tables]
) -> None:
    """The same task in two processes at once, and once more: each item once, with the same numbers."""
    store = tmp_path / "store"
    spawning = multiprocessing.get_context("spawn")
    tasks = _tasks(store)
    gate, answers = spawning.Barrier(2), spawning.Queue()
    workers = [spawning.Process(target=_execute_at_once, args=(tasks[0], gate, answers)) for _ in range(2)]
    for worker in workers:
        worker.start()
    receipts: list[Receipt] = [answers.get(timeout=600) for _ in workers]
    for worker in workers:
        worker.join()
    receipts += [execute(task) for task in (*tasks, *tasks)]
    assert [()] * len(receipts) == [receipt.failures for receipt in receipts]
    opened = Store(store)
    ids = ids_of(opened.networks(), "network_id")
    assert sorted(item.id for task in tasks for item in task.items) == ids
    assert [] == opened.nondeterminism()
    assert measured_tables(finished)["networks"] == measured_tables(store)["networks"]


def test_a_worker_blames_no_item_for_another_store(finished: Path, tmp_path: Path) -> None:
    """Where another store has taken the place of the driver's, a batch ends for that cause alone."""
    shutil.copytree(finished, tmp_path / "store")
    store = Store(tmp_path / "store")
    sweep = parse_sweep(SWEEP.format(store=store.path), overrides=["barriers.interpolation.alphas=5"])
    batch = make_plan(sweep, store, 1).batches[0]
    task = Task(store_uri=str(store.path), kind=batch.kind, items=batch.items, marker=store.terms.marker)
    store.path.rename(tmp_path / "away")
    Store.create(store.path)
    (failure,) = execute(task).failures
    assert ("store", True) == (failure.cause, "another store" in failure.message)
    shutil.rmtree(store.path)
    (tmp_path / "away").rename(store.path)
    assert sorted(item.id for item in batch.items) == sorted(execute(task).done)
