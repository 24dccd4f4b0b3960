"""The scripts of docker/ start real Ray nodes, with tokens, on this machine."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest
from ray_machines import HANGS_SECONDS, RAY_TEST_SECONDS, wait_until
from started_nodes import free_port

from lmc_sweep import Store

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(RAY_TEST_SECONDS)]

DOCKER = Path(__file__).parents[2] / "docker"
NODE = str(DOCKER / "node.sh")
BIN = Path(sys.executable).parent
ATTEMPTS = 4
SWEEP = """
name: slurm
store: store
networks:
  - dataset: digits
    architecture: {name: mlp, width: [4, 8]}
    training: {max_epochs: 5}
    seeds: 2
barriers:
  alignments: [{method: identity}]
  interpolation: {alphas: 3}
"""
SRUN = """#!/usr/bin/env bash
while [[ ${1:-} == --* ]]; do case $1 in --overlap) shift ;; *) shift 2 ;; esac; done
exec "$@"
"""
SCONTROL = "#!/usr/bin/env bash\nprintf 'machine1\\nmachine2\\n'\n"
HELD = """
import pathlib, sys, time
import ray

ray.init(address=sys.argv[1], log_to_driver=False, logging_level="error")

@ray.remote(num_cpus=1, max_retries=0)
def work(folder):
    (folder / "begun").touch()
    while not (folder / "may-end").exists():
        time.sleep(0.05)
    return "ended"

print(ray.get(work.remote(pathlib.Path.cwd())), flush=True)
"""


def environment(**more: str) -> dict[str, str]:
    """Variables of a node: the tools of this environment, and a token of its own."""
    path = os.pathsep.join((str(BIN), os.environ["PATH"]))
    known = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return known | {"PATH": path, "RAY_USAGE_STATS_ENABLED": "0"} | more


@contextmanager
def started(command: list[str], folder: Path, variables: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A process in the background; it and all below it are over at the end."""
    log = (folder / f"{Path(command[0]).name}_{command[-1]}.log").open("w")
    with (
        log,
        subprocess.Popen(command, cwd=folder, env=variables, stdout=log, stderr=log, text=True) as process,
    ):
        try:
            yield process
        finally:
            below = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
            for one in below:
                if one.is_running():
                    one.kill()
            process.kill()


@pytest.fixture
def short(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a name short enough for sockets."""
    folder = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def head(folder: Path, temporary: Path) -> Iterator[dict[str, str]]:
    """Variables of the other nodes of a cluster, whose head is up; tried again where a port was taken or the
    machine too slow for Ray."""
    told = folder / "node.sh_head.log"
    for _ in range(ATTEMPTS):
        port = str(free_port())
        variables = environment(
            RAY_AUTH_MODE="token",
            RAY_AUTH_TOKEN=secrets.token_hex(32),
            RAY_PORT=port,
            RAY_HEAD=f"127.0.0.1:{port}",
            RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S=str(HANGS_SECONDS),
        )
        options = f"--include-dashboard false --temp-dir {temporary} --ray-client-server-port {free_port()}"
        with started([NODE, "head"], folder, variables | {"RAY_NODE_OPTIONS": options}) as process:
            wait_until(
                lambda process=process: "runtime started" in told.read_text() or process.poll() is not None,
                told.read_text,
            )
            if process.poll() is None:
                yield variables
                return
    raise AssertionError(told.read_text()[-3000:])


def worker(folder: Path, variables: dict[str, str]) -> AbstractContextManager[subprocess.Popen[str]]:
    """A node with one CPU."""
    return started([NODE, "worker"], folder, variables | {"RAY_NODE_OPTIONS": "--num-cpus 1"})


def test_a_worker_that_is_asked_to_stop_lets_its_task_end(tmp_path: Path, short: Path) -> None:
    """After SIGTERM the task that runs ends with its result, then the node leaves the cluster and ends."""
    (tmp_path / "held.py").write_text(HELD)
    log = tmp_path / "node.sh_worker.log"
    with head(tmp_path, short) as variables, worker(tmp_path, variables) as leaving, ExitStack() as running:
        driver = subprocess.Popen(
            [sys.executable, "held.py", variables["RAY_HEAD"]],
            cwd=tmp_path,
            env=variables,
            stdout=subprocess.PIPE,
            text=True,
        )
        running.callback(driver.kill)
        begun = tmp_path / "begun"
        wait_until(lambda: begun.exists() or driver.poll() is not None, log.read_text)
        leaving.send_signal(signal.SIGTERM)
        time.sleep(1)
        assert leaving.poll() is None  # it waits for its task
        (tmp_path / "may-end").touch()
        told, _ = driver.communicate(timeout=HANGS_SECONDS)
        assert "ended\n" == told
        leaving.wait(timeout=HANGS_SECONDS)


def test_a_run_waits_for_workers_that_come_later(tmp_path: Path, short: Path) -> None:
    """On a head alone, a run with `num_pending` starts; once a worker has joined it ends with its results.

    So does the job of docker/kubernetes, whose workers come when batches wait. A batch that Ray loses on the
    way, which was seen, is missed after its deadline and made again.
    """
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    with head(tmp_path, short) as variables, ExitStack() as running:
        run = [str(BIN / "lmc-sweep"), "run", "sweep.yaml", "--address", variables["RAY_HEAD"]]
        run += ["--set", "execution.min_deadline_seconds=120", "--set", "execution.num_pending=4"]
        process = running.enter_context(started(run, tmp_path, variables))
        log = tmp_path / f"lmc-sweep_{run[-1]}.log"
        wait_until(lambda: "to do" in log.read_text() or process.poll() is not None, log.read_text)
        running.enter_context(worker(tmp_path, variables))
        wait_until(lambda: process.poll() is not None, log.read_text)
        assert 0 == process.returncode, log.read_text()[-3000:]
    assert (4, 8) == tuple(len(table.df()) for table in tables(tmp_path / "store"))


def unused_job() -> int:
    """The number of a Slurm job whose port, which the script makes of it, nobody has or is given."""
    return 100_000 + (free_port() - 20_000 - 100_000) % 20_000


def test_a_sweep_runs_in_a_slurm_allocation(tmp_path: Path) -> None:
    """With stand-ins for Slurm's commands, the script ends with its results and leaves no process."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    job = str(unused_job())
    variables = environment(SLURM_JOB_ID=job, SLURM_JOB_NODELIST="machine[1-2]", SLURM_CPUS_ON_NODE="1")
    variables["PATH"] = os.pathsep.join((str(tools), variables["PATH"]))
    script = [str(DOCKER / "slurm" / "sweep.sbatch"), "sweep.yaml"]
    log = tmp_path / "sweep.sbatch_sweep.yaml.log"
    with started(script, tmp_path, variables) as process:
        wait_until(lambda: process.poll() is not None, log.read_text)
        assert 0 == process.returncode, log.read_text()[-3000:]
    assert (4, 8) == tuple(len(table.df()) for table in tables(tmp_path / "store"))
    wait_until(
        lambda: not any(f"ray_{job}" in " ".join(command(one)) for one in psutil.process_iter()),
        lambda: "processes of Ray are left",
    )


def tables(store: Path) -> tuple[object, object]:
    """The networks and the barriers of a store."""
    opened = Store(str(store))
    return opened.networks(), opened.barriers()


def command(process: psutil.Process) -> list[str]:
    """The command line of a process, empty where it is over."""
    try:
        found: list[str] = process.cmdline()
    except psutil.Error:
        return []
    return found
