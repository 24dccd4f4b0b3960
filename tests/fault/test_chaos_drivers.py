"""Drivers that are killed at random moments, or work on one store at once."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from chaos_processes import busy_workers, finish, in_peace, left_behind, said, start, title
from chaos_store import KEYS, Watcher, record_files, written
from held_run import hold
from ray_machines import HANGS_SECONDS, RAY_TEST_SECONDS, wait_until

from lmc_sweep.store.store import Store

pytestmark = [pytest.mark.slow, pytest.mark.fault, pytest.mark.timeout(RAY_TEST_SECONDS)]

SWEEP = """
name: {name}
store: store
networks:
  - dataset: digits
    architecture: {{name: mlp, width: {widths}, depth: [1, 2]}}
    training: {{max_epochs: 20}}
    seeds: 4
barriers:
  alignments:
    - {{method: identity}}
    - {{method: weight_matching}}
    - {{method: simulated_annealing, steps: 500}}
  interpolation: {{alphas: 5}}
execution: {{max_stack_bytes: 2e6}}
"""
FIRST = SWEEP.format(name="first", widths=[4, 8, 16])
OVERLAPPING = SWEEP.format(name="second", widths=[8, 16, 24])
SEED = int(os.environ.get("CHAOS_SEED", time.time_ns() % 2**32))
SUPPORT = Path(__file__).parents[1] / "support"
FORKS, HELD_RUN = SUPPORT / "chaos_forks.py", SUPPORT / "held_run.py"
NUM_INLINE_KILLS, NUM_RAY_KILLS = 18, 2
ITEMS_IN_FLIGHT = 64
"""More than two workers, a batch each, and what waits behind them can hold of this sweep."""
Tables = Callable[[Path], dict[str, list[tuple[Any, ...]]]]


@pytest.fixture(scope="module")
def undisturbed_first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first sweep alone, left in peace."""
    return in_peace(tmp_path_factory.mktemp("peace"), FIRST)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, undisturbed_first: Path) -> Path:
    """Both sweeps, one after another."""
    folder = tmp_path_factory.mktemp("peace")
    shutil.copytree(undisturbed_first, folder / "store")
    return in_peace(folder, OVERLAPPING)


def _repeated(folder: Path) -> int:
    """Rows that the files hold beyond one of each id."""
    return sum(count - 1 for count in written(folder / "store").values())


@pytest.mark.ray
def test_twenty_killed_drivers_lose_and_recompute_nothing(
    tmp_path: Path, undisturbed_first: Path, measured_tables: Tables
) -> None:
    """kill -9 of twenty drivers of one sweep; no published batch is computed a second time.

    A driver that works in its own process leaves nothing in flight, so no id may be in the files twice.
    Ray's workers may publish what they had in hand after their driver's death: that much may be.
    """
    sys.stdout.write(f"CHAOS_SEED={SEED}\n")
    chance = random.Random(SEED)
    (tmp_path / "sweep.yaml").write_text(FIRST)
    watcher = Watcher(tmp_path / "store")
    num_first = chance.randrange(NUM_INLINE_KILLS)
    num_at_work = _kill_inline(tmp_path, num_first, chance)
    assert 0 == _repeated(tmp_path)
    for num_killed in range(1, NUM_RAY_KILLS + 1):
        _kill_on_ray(tmp_path, chance)
        assert _repeated(tmp_path) <= num_killed * ITEMS_IN_FLIGHT
    on_ray = _repeated(tmp_path)
    num_at_work += _kill_inline(tmp_path, NUM_INLINE_KILLS - num_first, chance)
    assert NUM_INLINE_KILLS == num_at_work
    assert 0 == finish(tmp_path, "run", "sweep.yaml", "--inline"), said(tmp_path)[-1000:]
    assert on_ray == _repeated(tmp_path)
    watcher.end()
    assert [] == watcher.complaints
    assert measured_tables(undisturbed_first) == measured_tables(tmp_path / "store")
    assert [] == Store(tmp_path / "store").nondeterminism()
    assert [] == left_behind(tmp_path)


def _kill_inline(folder: Path, number: int, chance: random.Random) -> int:
    """kill -9 of that many drivers that work in their own process; how many had not come to the end."""
    arguments = [str(folder / "sweep.yaml"), str(folder / "store"), str(number), str(chance.randrange(2**31))]
    done = subprocess.run(
        [sys.executable, str(FORKS), *arguments], capture_output=True, text=True, timeout=HANGS_SECONDS
    )
    assert 0 == done.returncode, done.stderr[-2000:]
    deaths = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    assert number == len(deaths)
    assert all(before <= after for before, after, _ in deaths)
    return sum(killed for _, _, killed in deaths)


def _kill_on_ray(folder: Path, chance: random.Random) -> None:
    """kill -9 of a driver on Ray in the middle of its work, whose cluster goes down with it."""
    published = set(record_files(folder / "store"))
    hold(folder, "barrier")  # it does not come to its end, however late it is killed
    process = start(folder, "run", "sweep.yaml", program=(sys.executable, str(HELD_RUN)))
    wanted = len(published) + chance.randrange(1, 4)
    wait_until(
        lambda: (
            len(record_files(folder / "store")) >= wanted
            or any(map(is_held, busy_workers(folder)))
            or process.poll() is not None
        ),
        lambda: said(folder),
    )
    time.sleep(chance.uniform(0, 0.3))
    process.kill()
    assert -9 == process.wait(), said(folder)[-1000:]
    while busy_workers(folder):  # orphans end by themselves, with their batch or without
        time.sleep(0.1)
    assert published <= set(record_files(folder / "store"))


def is_held(worker: psutil.Process) -> bool:
    """Whether a worker is at a batch of barriers, and so waits."""
    return title(worker).startswith("ray::barrier")


@pytest.mark.parametrize(
    ("second", "how"),
    [(FIRST, "--inline"), (OVERLAPPING, "--inline")],
    ids=["same_sweep", "overlapping_sweeps"],
)
def test_two_drivers_at_once_double_nothing(
    tmp_path: Path, undisturbed: Path, measured_tables: Tables, second: str, how: str
) -> None:
    """Two drivers in processes of their own, on one store: both end with 0, every item is there once."""
    _two_at_once(tmp_path, second, how)
    expected = measured_tables(undisturbed)
    found = measured_tables(tmp_path / "store")
    if second == OVERLAPPING:
        assert expected == found
    for table, rows in found.items():
        ids = {row[0] for row in rows}
        assert [row for row in expected[table] if row[0] in ids] == rows
    items = {(kind, item) for _, kind, item in _sweep_items(tmp_path / "store")}
    assert len(items) == sum(len(rows) for rows in found.values())


@pytest.mark.ray
def test_two_drivers_on_ray_at_once_double_nothing(
    tmp_path: Path, undisturbed: Path, measured_tables: Tables
) -> None:
    """The same with a cluster each, on sweeps that share networks."""
    _two_at_once(tmp_path, OVERLAPPING, "")
    assert measured_tables(undisturbed) == measured_tables(tmp_path / "store")


def _two_at_once(folder: Path, second: str, how: str) -> None:
    """Runs both sweeps at once, with a reader beside them, and requires that both end well."""
    (folder / "first.yaml").write_text(FIRST)
    (folder / "second.yaml").write_text(second)
    watcher = Watcher(folder / "store")
    arguments = [how] if how else []
    drivers = [start(folder, "run", f"{name}.yaml", *arguments) for name in ("first", "second")]
    assert [0, 0] == [driver.wait(HANGS_SECONDS) for driver in drivers], said(folder)[-2000:]
    watcher.end()
    assert [] == watcher.complaints
    assert [] == Store(folder / "store").nondeterminism()
    assert [] == Store(folder / "store").failures().fetchall()
    assert [] == left_behind(folder)


def _sweep_items(store: Path) -> list[tuple[str, str, str]]:
    """What the sweeps ask for."""
    return Store(store).sql("SELECT sweep, kind, item_id FROM sweep_items").fetchall()  # type: ignore[no-any-return]


def test_deleted_advice_costs_nothing(
    tmp_path: Path, undisturbed_first: Path, measured_tables: Tables
) -> None:
    """Without what runs said of themselves, and with empty caches, the same command has nothing to do."""
    (tmp_path / "sweep.yaml").write_text(FIRST)
    shutil.copytree(undisturbed_first, tmp_path / "store")
    interrupted = tmp_path / "store" / "records" / "barriers"
    for path in sorted(interrupted.glob("*.parquet"))[::2]:
        path.unlink()
    missing = len(measured_tables(undisturbed_first)["barriers"]) - len(
        Store(tmp_path / "store").ids("barrier")
    )
    assert 0 < missing
    for runs in (tmp_path / "store" / "sweeps").glob("*/runs"):
        shutil.rmtree(runs)
    counts = Counter({table: len(Store(tmp_path / "store").relation(table).fetchall()) for table in KEYS})
    environment = {"XDG_CACHE_HOME": str(tmp_path / "empty")}
    assert 0 == finish(tmp_path, "run", "sweep.yaml", "--inline", environment=environment)
    assert measured_tables(undisturbed_first) == measured_tables(tmp_path / "store")
    assert missing == sum(written(tmp_path / "store").values()) - counts.total()
