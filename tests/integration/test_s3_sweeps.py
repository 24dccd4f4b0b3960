"""Sweeps with a store on S3: the same ids and numbers as on disk, from any machine, by one driver or two."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from s3_proxy import Fault, Proxy, some
from s3_server import S3Server, fresh_uri

from lmc_sweep.config import parse_sweep
from lmc_sweep.execution.run import run
from lmc_sweep.store.store import Store

SWEEP = """
name: tiny
store: store
networks:
  - dataset: digits
    architecture: {name: mlp, width: [4, 16], depth: 1}
    training: {max_epochs: 3}
    seeds: 4
barriers:
  alignments:
    - {method: random}
    - {method: weight_matching}
    - {method: simulated_annealing, steps: 30}
  interpolation: {alphas: 5}
"""
Tables = Callable[[Path], dict[str, list[tuple[Any, ...]]]]


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same sweep in a directory."""
    path = tmp_path_factory.mktemp("disk") / "store"
    assert 0 == run(parse_sweep(SWEEP), store=str(path), inline=True).exit_code
    return path


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """From the call on this process is on a machine of this name, with copies of its own."""

    def become(name: str) -> None:
        monkeypatch.setenv("LMC_SWEEP_CACHE", str(tmp_path / name))

    become("first")
    return become


def test_a_sweep_on_s3_equals_one_on_disk(
    s3_store_uri: str, on_disk: Path, machine: Callable[[str], None], measured_tables: Tables
) -> None:
    """Inline on S3 every id and number is that of a directory; again, and from another machine, nothing is
    left to do; weights and permutations load there too."""
    assert 0 == run(parse_sweep(SWEEP), store=s3_store_uri, inline=True).exit_code
    machine("second")
    assert measured_tables(on_disk) == measured_tables(s3_store_uri)
    assert run(parse_sweep(SWEEP), store=s3_store_uri, inline=True).progress is None
    local, remote = Store(on_disk), Store(s3_store_uri)
    some_network = sorted(local.ids("network"))[0]
    ours, theirs = remote.load_network(some_network), local.load_network(some_network)
    assert theirs.keys() == ours.keys()
    assert all((theirs[name] == ours[name]).all() for name in theirs)


@pytest.mark.slow
@pytest.mark.fault
def test_two_drivers_on_one_failing_s3(
    s3_proxy: Proxy,
    tmp_path: Path,
    on_disk: Path,
    machine: Callable[[str], None],
    measured_tables: Tables,
) -> None:
    """Two drivers on two machines that work on one store at once, where every tenth request fails, both end
    well, and every id is there once with the numbers of an undisturbed run."""
    uri = fresh_uri()
    s3_proxy.rule = some(0.1, Fault("refuse"), Fault("reset"), Fault("lose", seconds=0.05), seed=5)
    drivers = [_driver(tmp_path, uri, name) for name in ("one", "two")]
    assert [0, 0] == [driver.wait(900) for driver in drivers], _said(tmp_path)
    s3_proxy.rule = lambda request: Fault()
    assert measured_tables(on_disk) == measured_tables(uri)
    assert [] == Store(uri).problems()


@pytest.mark.slow
@pytest.mark.fault
def test_a_killed_driver_is_carried_on_from_another_machine(
    s3_proxy: Proxy,
    tmp_path: Path,
    on_disk: Path,
    machine: Callable[[str], None],
    measured_tables: Tables,
) -> None:
    """A driver that dies by kill -9 in the middle of its writes leaves a store from which another machine
    carries on; what had been committed is not computed again."""
    uri = fresh_uri()
    driver = _driver(tmp_path, uri, "one")
    num_records = [0]

    def rule(request: Any) -> Fault:
        if request.method == "PUT" and "/records/barriers/" in request.path:
            num_records[0] += 1
            if num_records[0] == 2:
                driver.send_signal(signal.SIGKILL)
                return Fault("lose")
        return Fault()

    s3_proxy.rule = rule
    assert -signal.SIGKILL == driver.wait(900), _said(tmp_path)
    s3_proxy.rule = lambda request: Fault()
    computed = "SELECT network_id, created_at FROM networks UNION SELECT barrier_id, created_at FROM barriers"
    before = set(Store(uri).sql(computed).fetchall())
    assert before
    assert 0 == _driver(tmp_path, uri, "two").wait(240), _said(tmp_path)
    assert measured_tables(on_disk) == measured_tables(uri)
    assert before < set(Store(uri).sql(computed).fetchall())


@pytest.mark.slow
@pytest.mark.ray
def test_a_sweep_on_ray_with_a_store_on_s3(
    s3: S3Server, tmp_path: Path, on_disk: Path, machine: Callable[[str], None], measured_tables: Tables
) -> None:
    """Workers of a private Ray cluster commit to S3 themselves; ids and numbers are those of a directory."""
    uri = fresh_uri()
    assert 0 == _driver(tmp_path, uri, "one", "--address", "local").wait(280), _said(tmp_path)
    assert measured_tables(on_disk) == measured_tables(uri)


def _driver(folder: Path, uri: str, name: str, *options: str) -> subprocess.Popen[bytes]:
    """``lmc-sweep run`` in a process of its own, as if on a machine of its own."""
    own = folder / name
    own.mkdir()
    (own / "sweep.yaml").write_text(SWEEP)
    program = str(Path(sys.executable).with_name("lmc-sweep"))
    with (own / "said").open("wb") as said:
        return subprocess.Popen(
            [program, "run", "sweep.yaml", "--store", uri, *(options or ("--inline",))],
            cwd=own,
            env={**os.environ, "LMC_SWEEP_CACHE": str(own / "cache")},
            stdout=said,
            stderr=said,
        )


def _said(folder: Path) -> str:
    """What the drivers told, for the message of a test that fails."""
    return "\n".join(path.read_text()[-2000:] for path in sorted(folder.glob("*/said")))
