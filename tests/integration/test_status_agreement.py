"""What status, plan and the store say of one store is the same, however it was treated."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from store_rows import row

from lmc_sweep.analysis.progress import sweep_status
from lmc_sweep.config import parse_sweep
from lmc_sweep.execution.release import release
from lmc_sweep.execution.run import run
from lmc_sweep.planning.items import KINDS
from lmc_sweep.planning.plan import make_plan
from lmc_sweep.store.store import Store
from lmc_sweep.store.verification import verify

pytestmark = pytest.mark.slow  # the first takes a run

SWEEP = """
name: small
store: {store}
networks:
  - {{dataset: digits, architecture: {{name: mlp, width: [3, 4]}}, training: {{max_epochs: 1}}, seeds: 4}}
barriers:
  alignments: [{{method: identity}}, {{method: weight_matching}}]
  interpolation: {{alphas: 3}}
execution: {{max_stack_bytes: 1.0e+5}}
"""


def cut_short(path: Path) -> None:
    """Takes the end of a file away."""
    path.write_bytes(path.read_bytes()[:-20])


def first(store: Store, pattern: str) -> Path:
    """The first file of that kind."""
    return min(store.path.glob(pattern))


def fail(store: Store, table: str, column: str, cause: str) -> None:
    """Makes a result go, and records that its item failed."""
    record = first(store, f"records/{table}/*.parquet")
    ((ids,),) = store.sql(f"SELECT list({column}) FROM '{record}'").fetchall()
    kind = {"networks": "network", "barriers": "barrier"}[table]
    record.unlink()
    values = {"kind": kind, "item_ids": ids, "cause": cause, "sweep": "small", "error_type": "ValueError"}
    store.commit("failures", [{**values, "message": "bad", "traceback": "", "attempts": 1}])


TREATMENTS: dict[str, Callable[[Store], object]] = {
    "as it was left": lambda store: None,
    "a record gone": lambda store: first(store, "records/barriers/*.parquet").unlink(),
    "a record torn": lambda store: cut_short(first(store, "records/alignments/*.parquet")),
    "weights torn": lambda store: cut_short(first(store, "networks/*.safetensors")),
    "weights gone": lambda store: first(store, "networks/*.safetensors").unlink(),
    "rows twice": lambda store: store.commit(
        "barriers", [row("barriers", key) for key in sorted(store.ids("barrier"))[:5]]
    ),
    "results of others": lambda store: store.commit("barriers", [row("barriers", "z")]),
    "networks held back": lambda store: fail(store, "networks", "network_id", "user_error"),
    "barriers held back": lambda store: fail(store, "barriers", "barrier_id", "user_error"),
    "barriers that failed": lambda store: fail(store, "barriers", "barrier_id", "deadline"),
    "a plan twice": lambda store: store.commit(
        "sweep_items",
        [
            dict(zip(("sweep", "kind", "item_id", "plan_id"), found, strict=True))
            for found in store.sql("SELECT sweep, kind, item_id, plan_id FROM sweep_items").fetchall()
        ],
    ),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of a finished run, in many batches."""
    path = tmp_path_factory.mktemp("agreement") / "store"
    assert 0 == run(parse_sweep(SWEEP.format(store=path)), inline=True).exit_code
    return path


@pytest.mark.parametrize("treatment", TREATMENTS)
def test_status_plan_and_verify_agree(finished: Path, tmp_path: Path, treatment: str) -> None:
    """Items asked, done, failed and held back are the same for all, and a run does exactly the rest."""
    shutil.copytree(finished, tmp_path / "store")
    store = Store(tmp_path / "store")
    TREATMENTS[treatment](store)
    sweep = parse_sweep(SWEEP.format(store=store.path))
    plan, status = make_plan(sweep, Store(store.path), 1), sweep_status(store, "small")
    assert not any(plan.items[kind] for kind in KINDS if kind not in status.kinds)
    for kind, told in status.kinds.items():
        assert (told.total, told.done) == (len(plan.items[kind]), len(plan.done[kind]))
        assert told.held == len(plan.held_back[kind])
        reasons = plan.reasons[kind]
        assert told.failed == reasons["failed before"] + len(plan.held_back[kind])
        assert told.total - told.done == sum(reasons.values())
    assert status.is_complete == plan.complete
    verified = {count.kind: count for count in verify(Store(store.path)).sweeps}
    assert {kind for kind in KINDS if plan.items[kind]} == set(verified)
    for kind, found in verified.items():
        expected = (status.kinds[kind].total, status.kinds[kind].done, status.kinds[kind].done)
        assert expected == (found.total, found.done, found.sound)
    release(store)
    assert 0 == run(sweep, inline=True).exit_code
    assert sweep_status(Store(store.path), "small").is_complete
