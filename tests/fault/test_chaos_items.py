"""Items that fail: always, twice, or by hanging; and a cluster whose messages get lost."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chaos_processes import finish, in_peace, left_behind, said
from chaos_store import Watcher, written
from ray_machines import RAY_TEST_SECONDS

from lmc_sweep.store.store import Store

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.fault, pytest.mark.timeout(RAY_TEST_SECONDS)]

MODULE = Path(__file__).parents[1] / "support" / "chaos_module.py"
MOODS = """
name: moods
store: store
networks:
  - dataset: digits
    architecture: {name: "chaos_moods:build", mood: [good, always, twice, hangs]}
    training: {max_epochs: 3, batch_size: 48}
    seeds: 2
barriers:
  alignments: [{method: identity}, {method: weight_matching}]
  interpolation: {alphas: 3}
execution: {min_deadline_seconds: 12, retries: 6}
"""
MESSAGES = """
name: messages
store: store
networks:
  - dataset: digits
    architecture: {name: mlp, width: [4, 16]}
    training: {max_epochs: 10}
    seeds: 4
barriers:
  alignments: [{method: identity}, {method: weight_matching}]
  interpolation: {alphas: 5}
execution: {retries: 20, max_stack_bytes: 2e6, min_deadline_seconds: 120}
"""
LOST_MESSAGES = json.dumps(
    {"*": {"num_failures": -1, "req_failure_prob": 10, "resp_failure_prob": 10, "in_flight_failure_prob": 5}}
)
"""Of a hundred calls of Ray's parts to each other: 10 lost, 10 with lost replies, 5 repeated in flight."""
Tables = Callable[[Path], dict[str, list[tuple[Any, ...]]]]


@pytest.fixture
def moods(tmp_path: Path) -> Path:
    """A folder with the sweep, its module, and no tries yet."""
    folder = tmp_path / "moods"
    (folder / "tries").mkdir(parents=True)
    shutil.copy(MODULE, folder / "chaos_moods.py")
    (folder / "sweep.yaml").write_text(MOODS)
    return folder


def _mend(folder: Path) -> None:
    for mood in ("always", "twice", "hangs"):
        (folder / "tries" / f"{mood}-mended").touch()


def test_one_bad_item_costs_itself_alone(moods: Path, tmp_path: Path, measured_tables: Tables) -> None:
    """What raises is given up with its cause, what kills its worker twice or hangs is there; all else too.

    The hanging training ignores interruption, so that its process has to be ended; it costs one deadline.
    Once the code is mended and the failure released, the same command completes the sweep.
    """
    peace = tmp_path / "peace"
    shutil.copytree(moods, peace)
    _mend(peace)
    undisturbed = measured_tables(in_peace(peace, MOODS))

    watcher = Watcher(moods / "store")
    assert 1 == finish(moods, "run", "sweep.yaml"), said(moods)[-2000:]
    store = Store(moods / "store")
    failures = store.sql("SELECT kind, len(item_ids), cause, error_type FROM failures").fetchall()
    assert {("network", "user_error", "ArithmeticError")} == {
        (kind, why, how) for kind, _, why, how in failures
    }
    assert 2 == sum(count for _, count, _, _ in failures)
    found = measured_tables(moods / "store")
    assert {name: 3 * len(rows) // 4 for name, rows in undisturbed.items()} == {
        name: len(rows) for name, rows in found.items()
    }
    for name, rows in found.items():
        assert all(row in undisturbed[name] for row in rows)
    causes = dict(store.sql("SELECT cause, count(*) FROM attempts GROUP BY cause").fetchall())
    assert 2 <= causes["worker_died"]
    assert 1 <= causes["deadline"]
    assert 2 == len(list((moods / "tries").glob("twice-try-*")))

    _mend(moods)
    assert 0 == finish(moods, "retry", "store"), said(moods)[-2000:]
    assert 0 == finish(moods, "run", "sweep.yaml", "--inline"), said(moods)[-2000:]
    watcher.end()
    assert [] == watcher.complaints
    assert undisturbed == measured_tables(moods / "store")
    assert [] == left_behind(moods)


@pytest.fixture
def ray_folder() -> Iterator[Path]:
    """A folder for Ray's files with a path that is short enough for its sockets."""
    folder = Path(tempfile.mkdtemp(prefix="lmc", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def test_lost_messages_cost_attempts_and_nothing_else(
    tmp_path: Path, ray_folder: Path, measured_tables: Tables
) -> None:
    """A whole run while Ray loses a quarter of its own calls or their replies: all is there, once."""
    (tmp_path / "sweep.yaml").write_text(MESSAGES)
    peace = in_peace(tmp_path / "peace", MESSAGES)
    environment = {"RAY_testing_rpc_failure": LOST_MESSAGES, "RAY_TMPDIR": str(ray_folder)}
    watcher = Watcher(tmp_path / "store")
    codes = []
    for _ in range(5):  # a cluster may fail to start under such conditions; the same command again
        codes.append(finish(tmp_path, "run", "sweep.yaml", environment=environment))
        if codes[-1] == 0:
            break
    watcher.end()
    assert 0 == codes[-1], (codes, said(tmp_path)[-2000:])
    injected = _injected(ray_folder)
    sys.stdout.write(f"{injected.most_common()} codes {codes}\n")
    assert injected["PushTask"] + injected["RequestWorkerLease"] > 0
    assert injected.total() > 20
    assert [] == watcher.complaints
    assert measured_tables(peace) == measured_tables(tmp_path / "store")
    assert [] == Store(tmp_path / "store").nondeterminism()
    assert set(written(tmp_path / "store")) == {
        row[0] for rows in measured_tables(peace).values() for row in rows
    }
    assert [] == left_behind(tmp_path)


def _injected(folder: Path) -> Counter[str]:
    """How many failures Ray says that it injected, by the method that was called."""
    found = Counter[str]()
    for directory, _, names in os.walk(folder):
        for name in names:
            path = Path(directory) / name
            if path.is_file() and not path.is_symlink():
                text = path.read_text(errors="replace") if path.stat().st_size < 2**26 else ""
                found.update(re.findall(r"Inject RPC .*\.(\w+)", text))
    return found
