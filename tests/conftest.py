"""Shared by all tests: shapes are checked, torch is held to one thread, Ray is private and ends with us."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent / "support"))  # modules that several tests share

# Before torch is imported anywhere: two suites on two cores must not fight over threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import pytest
from hypothesis import HealthCheck, settings
from jaxtyping import install_import_hook

if TYPE_CHECKING:
    from s3_proxy import Proxy
    from s3_server import S3Server

install_import_hook("workers", "beartype.beartype")

settings.register_profile(
    "suite", deadline=None, max_examples=25, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")


@pytest.hookimpl(tryfirst=True)  # before a choice by marks is made
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what lies in ``tests/unit``, a lane of its own (``lanes.py``)."""
    folder = Path(__file__).parent / "unit"
    for item in items:
        if folder in item.path.parents:
            item.add_marker(pytest.mark.unit)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kept data set tensors go to a folder of the test run, never to the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def s3_process() -> Iterator[S3Server]:
    """An S3 server for the whole run, which nobody's environment names yet."""
    from s3_server import serving

    with serving() as server:
        yield server


@pytest.fixture
def s3(s3_process: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The S3 server that the environment names, for this test and the processes that it starts."""
    from s3_server import OTHER_VARIABLES

    for name in OTHER_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in s3_process.environment().items():
        monkeypatch.setenv(name, value)
    return s3_process


@pytest.fixture
def s3_store_uri(s3: S3Server) -> str:
    """A URI at which there is no store yet, on a server that the environment names."""
    from s3_server import fresh_uri

    return fresh_uri()


@pytest.fixture
def s3_proxy(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """What stands before the server and does to requests as it is told; the environment names it."""
    from s3_proxy import standing_before

    with standing_before(s3.port) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        yield proxy


MEASURED_COLUMNS = {
    "networks": "network_id, epochs_trained, stop_reason, train_loss, train_error, test_loss, test_error",
    "alignments": "alignment_id, networks, objective_start, objective_end, num_evaluations, outcome",
    "barriers": "barrier_id, losses, errors, loss_barrier, error_barrier, endpoint_disagreement",
}


@pytest.fixture
def measured_tables() -> Callable[[Path], dict[str, list[tuple[Any, ...]]]]:
    """A function from a store's path to all that was measured: ids and numbers, without times and places."""
    from lmc_sweep.store.store import Store

    def read(path: Path) -> dict[str, list[tuple[Any, ...]]]:
        store = Store(path)
        return {
            table: store.sql(f"SELECT {columns} FROM {table} ORDER BY 1").fetchall()
            for table, columns in MEASURED_COLUMNS.items()
        }

    return read
