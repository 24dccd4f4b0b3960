"""Tasks on Ray: a private local cluster, or one that is already running.

Decisions that come from what Ray does:

- ``address="local"`` always means a cluster of our own. Plain ``ray.init()`` attaches to any that it finds.
- A local cluster gets a random token in the environment of this process and its children, so that nobody
  else on the machine can run code in it and no token file is left in the home directory. The environment
  is put back at the end.
- Ray's own retries are off: the driver retries, and knows why.
- GPU tasks keep their process (``max_calls=0``; Ray would start a new one for each). Since a process may
  then see several devices in its life, Ray is told to leave the device variables alone, and each task is
  told its device.
- Started by ``uv run``, Ray would rebuild the environment on every worker; that hook is switched off.
"""

from __future__ import annotations

import math
import os
import secrets
import socket
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lmc_sweep.config.sweep import Execution, Kind
from lmc_sweep.errors import SweepError
from lmc_sweep.execution.executor import Attempt, Completion, Lost
from lmc_sweep.execution.task import Receipt, Task, execute, failure_of

OBJECT_STORE_BYTES = 80 * 2**20  # receipts are small; Ray accepts no less than 75 MiB
CONNECT_SECONDS = 5.0
CAPACITY_SECONDS = 2.0
_KINDS: tuple[Kind, ...] = ("network", "alignment", "barrier")
_OWN_TOKEN = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")
_ALL_DEVICES = "RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"


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
        self._environment = {name: os.environ.get(name) for name in _OWN_TOKEN}
        try:
            self._ray = _connect(address, uses_gpus=any(execution.resources(kind)[1] for kind in _KINDS))
        except BaseException:
            self._restore_environment()
            raise
        self._remote = self._ray.remote(max_retries=0, max_calls=0)(execute_on_ray)
        self._tasks: dict[Any, tuple[str, Task]] = {}
        self._nodes: tuple[float, list[tuple[float, float]]] = (-math.inf, [])
        where = "a private cluster on this machine" if address == "local" else f"the cluster at {address}"
        cpus, gpus = self._total()
        self.description = f"Ray on {where}, {cpus:g} CPUs, {gpus:g} GPUs"
        for kind in _KINDS:
            if self.num_slots(kind) == 0:
                wanted = "{:g} CPUs and {:g} GPUs".format(*execution.resources(kind))
                self.close()
                raise SweepError(
                    f"execution: a task of kind {kind} asks for {wanted}, and no node of {where} has them "
                    f"({cpus:g} and {gpus:g} in all). Lower execution.num_cpus or execution.num_gpus."
                )

    def num_slots(self, kind: str) -> int:
        """Tasks of a kind that fit into the nodes that are alive."""
        cpus, gpus = self._execution.resources(kind)  # type: ignore[arg-type]
        return sum(
            int(min(of_node[0] / cpus, of_node[1] / gpus if gpus else math.inf) + 1e-9)
            for of_node in self._capacity()
        )

    def has_room(self, kind: str, running: Mapping[str, int]) -> bool:
        """Until what the kind needs is taken, and one task more, so that nothing idles between two."""
        cpus, gpus = self._execution.resources(kind)  # type: ignore[arg-type]
        taken_cpus = taken_gpus = 0.0
        for other, count in running.items():
            other_cpus, other_gpus = self._execution.resources(other)  # type: ignore[arg-type]
            taken_cpus += count * other_cpus
            taken_gpus += count * other_gpus
        total_cpus, total_gpus = self._total()
        return taken_cpus < total_cpus + cpus and (not gpus or taken_gpus < total_gpus + gpus)

    def submit(self, key: str, task: Task, attempt: Attempt) -> None:
        """Hands a task to Ray."""
        cpus, gpus = self._execution.resources(task.kind)  # type: ignore[arg-type]
        name = f"{task.kind} x{len(task.items)} {key[:8]}"
        reference = self._remote.options(num_cpus=cpus, num_gpus=gpus, name=name).remote(task)
        self._tasks[reference] = (key, task)

    def cancel(self, key: str, *, force: bool) -> None:
        """Raises KeyboardInterrupt in the task, or ends its process."""
        for reference, (of_task, _) in self._tasks.items():
            if of_task == key:
                self._ray.cancel(reference, force=force, recursive=False)

    def forget(self, key: str) -> None:
        """Drops the task's reference."""
        self._tasks = {reference: entry for reference, entry in self._tasks.items() if entry[0] != key}

    def is_started(self, key: str) -> bool:
        """Not known yet: Ray does not say."""
        return False

    def wait(self, timeout: float) -> list[Completion]:
        """Tasks that have ended; waits up to ``timeout`` seconds for the first."""
        if not self._tasks:
            return []
        ready, _ = self._ray.wait(list(self._tasks), num_returns=1, timeout=timeout)
        if ready:
            ready, _ = self._ray.wait(list(self._tasks), num_returns=len(self._tasks), timeout=0)
        return [self._completion(reference) for reference in ready]

    def close(self) -> None:
        """Leaves the cluster; a private one ends, with its workers."""
        self._tasks.clear()
        self._ray.shutdown()
        self._restore_environment()

    def _restore_environment(self) -> None:
        """Takes a private cluster's token out of this process."""
        for name, value in self._environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    def _completion(self, reference: Any) -> Completion:
        """What became of a task: its receipt, an error on the worker, or how Ray lost it."""
        key, task = self._tasks.pop(reference)
        try:
            return Completion(key, self._ray.get(reference))
        except self._ray.exceptions.RayTaskError as error:
            return Completion(key, Receipt((), (failure_of(task, error),)))
        except self._ray.exceptions.RayError as error:
            return Completion(key, Lost(self._cause(error), type(error).__name__, str(error).strip()[:1000]))

    def _cause(self, error: Exception) -> str:
        """The class of what Ray says of a task that it lost."""
        known = self._ray.exceptions
        if isinstance(error, known.OutOfMemoryError):
            return "host_memory"
        if isinstance(error, known.TaskCancelledError):
            return "cancelled"
        return "node_lost" if isinstance(error, known.NodeDiedError) else "worker_died"

    def _total(self) -> tuple[float, float]:
        """CPUs and GPUs of all nodes."""
        nodes = self._capacity()
        return sum(cpus for cpus, _ in nodes), sum(gpus for _, gpus in nodes)

    def _capacity(self) -> list[tuple[float, float]]:
        """CPUs and GPUs of each node that is alive, asked for again every few seconds."""
        asked, nodes = self._nodes
        if time.monotonic() - asked > CAPACITY_SECONDS:
            alive = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
            nodes = [(found.get("CPU", 0.0), found.get("GPU", 0.0)) for found in alive]
            self._nodes = (time.monotonic(), nodes)
        return nodes


def _connect(address: str, uses_gpus: bool) -> Any:
    """The ray module, connected."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    options: dict[str, Any] = {"address": address, "logging_level": "error", "log_to_driver": False}
    if address == "local":
        os.environ.setdefault(_ALL_DEVICES, "1")
        os.environ.update(zip(_OWN_TOKEN, ("token", secrets.token_hex(32)), strict=True))
        options |= {
            "num_cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "include_dashboard": False,
            "object_store_memory": OBJECT_STORE_BYTES,
        }
    else:
        _require_address(address)
        if uses_gpus:
            options["runtime_env"] = {"env_vars": {_ALL_DEVICES: "1"}}
    try:
        import ray
    except ImportError as error:
        raise SweepError("Ray is not installed here. Use --inline, or install it: pip install ray") from error
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
    except (RuntimeError, ValueError, OSError, ray.exceptions.RayError) as error:
        told = " ".join(str(error).split())[:500]
        raise SweepError(f"--address {address}: Ray could not be started or joined: {told}") from error
    return ray


def _require_address(address: str) -> None:
    """Raises SweepError at once for no address, or where nothing listens; Ray would try for minutes."""
    host, _, port = address.rpartition(":")
    if address == "auto":
        return
    if not host or not port.isdigit() or int(port) > 65535:
        raise SweepError(f"--address {address}: expected local, auto or HOST:PORT")
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise SweepError(f"--address {address}: no Ray cluster answers there ({error})") from error
