"""Tasks on Ray: a private local cluster, or one that is already running.

Decisions that come from what Ray does:

- ``address="local"`` always means a cluster of our own. Plain ``ray.init()`` attaches to any that it finds.
- A local cluster gets a random token in the environment of this process and its children, so that nobody
  else on the machine can run code in it and no token file is left in the home directory.
- Ray's own retries are off: the driver retries, and knows why.
- GPU tasks keep their process (``max_calls=0``; Ray would start a new one for each). Since a process may
  then see several devices in its life, Ray is told to leave the device variables alone, and each task is
  told its device.
- Started by ``uv run``, Ray would rebuild the environment on every worker; that hook is switched off.
"""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import replace
from typing import Any

from lmc_sweep.config.sweep import Execution
from lmc_sweep.errors import SweepError
from lmc_sweep.execution.executor import Completion, Lost
from lmc_sweep.execution.task import Receipt, Task, execute

OBJECT_STORE_BYTES = 80 * 2**20  # receipts are small; Ray accepts no less than 75 MiB
CONNECT_SECONDS = 5.0


def execute_on_ray(task: Task) -> Receipt:
    """A task's body on a Ray worker, on the device that Ray assigned."""
    import ray

    gpus = ray.get_runtime_context().get_accelerator_ids().get("GPU", [])
    return execute(replace(task, device=f"cuda:{gpus[0]}" if gpus else "cpu"))


class RayExecutor:
    """Runs tasks on Ray."""

    def __init__(self, address: str, execution: Execution) -> None:
        """Starts (``local``) or joins (``auto``, ``HOST:PORT``) a cluster.

        Raises:
            SweepError: If the cluster is not there, refuses us, or lacks what a task asks for.
        """
        self._execution = execution
        self._ray = _connect(address)
        self._remote = self._ray.remote(max_retries=0, max_calls=0)(execute_on_ray)
        self._keys: dict[Any, str] = {}
        where = "a private cluster on this machine" if address == "local" else f"the cluster at {address}"
        total = self._ray.cluster_resources()
        self.description = f"Ray on {where}, {total.get('CPU', 0):g} CPUs, {total.get('GPU', 0):g} GPUs"
        for kind in ("network", "alignment", "barrier"):
            if self.num_slots(kind) == 0:
                cpus, gpus = execution.resources(kind)
                self.close()
                raise SweepError(
                    f"execution: a task of kind {kind} asks for {cpus:g} CPUs and {gpus:g} GPUs, and {where} "
                    f"has {total.get('CPU', 0):g} and {total.get('GPU', 0):g}. Lower execution.num_cpus or "
                    "execution.num_gpus."
                )

    def num_slots(self, kind: str) -> int:
        """Tasks of a kind that fit into the cluster as it is now."""
        total = self._ray.cluster_resources()
        cpus, gpus = self._execution.resources(kind)  # type: ignore[arg-type]
        by_cpu = total.get("CPU", 0.0) / cpus
        by_gpu = total.get("GPU", 0.0) / gpus if gpus else by_cpu
        return int(min(by_cpu, by_gpu) + 1e-9)

    def submit(self, key: str, task: Task, attempt: int) -> None:
        """Hands a task to Ray."""
        cpus, gpus = self._execution.resources(task.kind)  # type: ignore[arg-type]
        name = f"{task.kind} x{len(task.items)} {key[:8]}"
        self._keys[self._remote.options(num_cpus=cpus, num_gpus=gpus, name=name).remote(task)] = key

    def wait(self, timeout: float) -> list[Completion]:
        """Tasks that have ended; waits up to ``timeout`` seconds for the first."""
        if not self._keys:
            return []
        ready, _ = self._ray.wait(list(self._keys), num_returns=1, timeout=timeout)
        if ready:
            ready, _ = self._ray.wait(list(self._keys), num_returns=len(self._keys), timeout=0)
        return [Completion(self._keys.pop(reference), self._outcome(reference)) for reference in ready]

    def close(self) -> None:
        """Leaves the cluster; a private one ends, with its workers."""
        self._keys.clear()
        self._ray.shutdown()

    def _outcome(self, reference: Any) -> Receipt | Lost:
        """The receipt of a task that ended, or how Ray lost it."""
        try:
            receipt: Receipt = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            return Lost(type(error).__name__, str(error).strip()[:1000])
        return receipt


def _connect(address: str) -> Any:
    """The ray module, connected."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    os.environ.setdefault("RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES", "1")
    if address == "local":
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    elif ":" in address:
        _require_listener(address)
    try:
        import ray
    except ImportError as error:
        raise SweepError("Ray is not installed here. Use --inline, or install it: pip install ray") from error
    options: dict[str, Any] = {"address": address, "logging_level": "error", "log_to_driver": False}
    if address == "local":
        options |= {
            "num_cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "include_dashboard": False,
            "object_store_memory": OBJECT_STORE_BYTES,
        }
    try:
        ray.init(**options)
    except ConnectionError as error:
        raise SweepError(
            f"--address {address}: no Ray cluster answers there. Start one with `ray start --head`, or leave "
            f"--address out to run on this machine."
        ) from error
    except ray.exceptions.AuthenticationError as error:
        raise SweepError(
            f"--address {address}: the cluster wants a token. Set RAY_AUTH_MODE=token, and "
            "RAY_AUTH_TOKEN or the file ~/.ray/auth_token as on the head node."
        ) from error
    return ray


def _require_listener(address: str) -> None:
    """Raises SweepError at once where nothing listens; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not port.isdigit():
        raise SweepError(f"--address {address}: expected local, auto or HOST:PORT")
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise SweepError(f"--address {address}: no Ray cluster answers there ({error})") from error
