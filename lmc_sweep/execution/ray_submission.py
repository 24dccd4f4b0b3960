"""A sweep as a Ray job: the cluster runs ``lmc-sweep run`` on its head, whether or not anybody stays
connected.

A job is named by sweep and store, with a number behind, since Ray keeps the names of jobs that are over.
While one runs, the same submission finds it and starts nothing: two drivers would be right, and do much of
the work twice. The sweep travels as text in a variable of the job, so that nothing has to lie on the head
node.
"""

from __future__ import annotations

import hashlib
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmc_sweep.config.sweep import Sweep
from lmc_sweep.errors import SweepError
from lmc_sweep.execution.ray_connect import token_refused, use_token
from lmc_sweep.store import layout

TEXT = "LMC_SWEEP_TEXT"
"""The variable that holds the sweep file."""
LONGEST_TEXT = 100_000
"""Characters; systems allow a variable of 131,072 bytes."""
PATIENCE_SECONDS = 20.0
"""How long a cluster that has just started may take no jobs yet."""
LOST_SECONDS = 60.0
"""How long a job server that does not answer is asked again by who follows a job."""
LOOK_SECONDS = 1.0
SECONDS_PER_MEGABYTE = 5.0
"""Longer pauses for longer logs, which are fetched as a whole."""
NOT_FOUND = 127
"""How a shell says that there is no such command."""


@dataclass(frozen=True)
class Job:
    """A job that the cluster has, and whether this submission made it."""

    id: str
    is_new: bool


@dataclass(frozen=True)
class Ended:
    """How a job ended: the exit code of its command, and what Ray says beside."""

    exit_code: int
    message: str = ""


def connect(address: str) -> Any:
    """A client of the cluster's job server.

    Args:
        address: ``auto`` (RAY_API_SERVER_ADDRESS, or the cluster on this machine), a URL, or HOST:PORT.

    Raises:
        SweepError: If nothing answers there, it wants a token, or Ray's job client is not installed.
    """
    use_token()
    try:
        from ray.job_submission import JobSubmissionClient
    except ImportError as error:
        raise _absent() from error
    where = address if "://" in address or address == "auto" else f"http://{address}"
    if not where.startswith(("http://", "https://", "auto")):
        raise SweepError(
            f"--address {address}: expected auto, http://HOST:PORT or HOST:PORT of the dashboard"
        )
    with _refusals(address):
        return JobSubmissionClient(None if where == "auto" else where)


def submit(
    client: Any, sweep: Sweep, store: str, working_dir: Path | None, arguments: tuple[str, ...]
) -> Job:
    """The job that runs the sweep: a new one, or the one that does so already.

    Args:
        client: From ``connect``.
        sweep: Checked already.
        store: Where its results go, from the head node's point of view.
        working_dir: A folder to send along, in which the job and its workers run.
        arguments: More for ``lmc-sweep run``.

    Raises:
        SweepError: If another text of the sweep runs now, or the cluster refuses the job.
    """
    if len(sweep.text) > LONGEST_TEXT:
        raise SweepError(
            f"{sweep.name}: the sweep file has {len(sweep.text)} characters, more than {LONGEST_TEXT}"
        )
    store = store if layout.is_remote(store) else str(layout.local_path(store))
    base = job_name(sweep.name, store)
    digest = hashlib.sha256(sweep.text.encode()).hexdigest()
    with _refusals(client.get_address()):
        known = [one for one in client.list_jobs() if (one.submission_id or "").startswith(f"{base}-")]
        for one in known:
            if not one.status.is_terminal():
                return _attached(one.submission_id, one.metadata or {}, digest)
        job_id = f"{base}-{len(known) + 1}"
        environment: dict[str, Any] = {"env_vars": {TEXT: sweep.text}}
        if working_dir is not None:
            environment["working_dir"] = str(working_dir)
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                client.submit_job(
                    entrypoint=entry_point(store, arguments),
                    submission_id=job_id,
                    runtime_env=environment,
                    metadata={"sweep": sweep.name, "store": store, "sweep_sha256": digest},
                )
                return Job(job_id, is_new=True)
            except RuntimeError as error:
                if "already exists" in str(error):  # another submission was quicker
                    return _attached(job_id, client.get_job_info(job_id).metadata or {}, digest)
                if "try again later" not in str(error) or time.monotonic() > end:
                    raise
            time.sleep(LOOK_SECONDS)


def job_name(sweep: str, store: str) -> str:
    """What all jobs for a sweep on a store are called, but for their number."""
    return f"lmc-sweep-{sweep}-{hashlib.sha256(store.encode()).hexdigest()[:8]}"


def entry_point(store: str, arguments: tuple[str, ...]) -> str:
    """The shell command of a job: the command that may be repeated at any time."""
    run = shlex.join(["lmc-sweep", "run", "-", "--address", "auto", "--store", store, *arguments])
    return f"printf '%s' \"${TEXT}\" | {run}"


def follow(client: Any, job_id: str, write: Callable[[str], None]) -> Ended:
    """Hands over what a job says until it is over, and returns how it ended.

    Raises:
        SweepError: If the job server stays silent; the job may go on.
    """
    shown, heard = 0, time.monotonic()
    while True:
        try:
            info = client.get_job_info(job_id)
            logs = client.get_job_logs(job_id)
        except (OSError, RuntimeError) as error:
            if time.monotonic() - heard > LOST_SECONDS:
                raise SweepError(
                    f"{client.get_address()}: has not answered for {LOST_SECONDS:.0f} s. The job "
                    f"{job_id} may go "
                    "on; the same command follows it again"
                ) from error
            time.sleep(LOOK_SECONDS)
            continue
        heard = time.monotonic()
        write(logs[shown:])
        shown = len(logs)
        if info.status.is_terminal():
            return _ended(info)
        time.sleep(max(LOOK_SECONDS, SECONDS_PER_MEGABYTE * shown / 1e6))


def _ended(info: Any) -> Ended:
    """The exit code of a job that is over, 130 where it was stopped, 3 where Ray lost it."""
    status = str(getattr(info.status, "value", info.status))
    code = info.driver_exit_code
    if status == "SUCCEEDED":
        return Ended(0)
    if status == "STOPPED":
        return Ended(130, "the job was stopped. The same command carries on")
    if code == NOT_FOUND:
        return Ended(
            3,
            "there is no lmc-sweep on the head node's PATH. Start Ray there from the environment where it is "
            "installed: `source .venv/bin/activate` before `ray start`",
        )
    if code is None or code < 0:
        told = " ".join((info.message or "").split())[:300]
        return Ended(3, f"the cluster lost the job: {told}. The same command carries on")
    return Ended(code)


def _attached(job_id: str, metadata: dict[str, str], digest: str) -> Job:
    """The job that runs already, if it runs the same text."""
    if metadata.get("sweep_sha256") != digest:
        raise SweepError(
            f"the job {job_id} runs another text of this sweep on this store. Wait for its end, or "
            "stop it in "
            "order with lmc-sweep cancel STORE, and submit again"
        )
    return Job(job_id, is_new=False)


def _absent() -> SweepError:
    return SweepError("Ray's job client is not installed here. Install it: pip install 'lmc-sweep[cluster]'")


@contextmanager
def _refusals(address: str) -> Iterator[None]:
    """Tells what goes wrong between us and the job server in one line, with the remedy."""
    import ray

    try:
        yield
    except SweepError:
        raise
    except ray.exceptions.AuthenticationError as error:
        raise token_refused(f"--address {address}") from error
    except ConnectionError as error:
        raise SweepError(
            f"--address {address}: no Ray dashboard answers there. Name that of the head node, such as "
            "http://HOST:8265 (`ray start --head --dashboard-host 0.0.0.0`, with ray[default] installed)"
        ) from error
    except (RuntimeError, ValueError, OSError) as error:
        if "ray[default]" in str(error):
            raise _absent() from error
        told = " ".join(str(error).split())[-400:]
        raise SweepError(f"--address {address}: the cluster does not take the job: {told}") from error
