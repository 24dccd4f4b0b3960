"""How Ray is started or joined, and what is said when that fails: addresses, tokens, ``uv run``.

Decisions that come from what Ray 2.60 does:

- ``address="local"`` always means a cluster of our own. Plain ``ray.init()`` attaches to any that it finds.
- A local cluster gets a random token in the environment of this process and its children, so that nobody
  else on the machine can run code in it and no token file is left in the home directory.
- ``ray start`` turns tokens on where it finds one, and ``ray.init(address=...)`` does not: so a token that is
  there is used. A cluster without tokens takes a client that has one.
- A client without the right token is refused at once, which ``ray.init`` takes for a cluster that is not
there
  yet: it tries for 20 s and then says nothing of tokens. So the head is asked first.
- Ray puts the working directory first on its workers' path, where a folder called ``lmc_sweep`` (a clone of
  the repository, say) hides an editable installation. So the place of our packages is on that path too.
- Started by ``uv run``, Ray would rebuild the environment on every worker; that hook is switched off.
"""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lmc_sweep.errors import SweepError

OBJECT_STORE_BYTES = 80 * 2**20  # receipts are small; Ray accepts no less than 75 MiB
CONNECT_SECONDS = 5.0
ASK_SECONDS = 10.0
"""Time for the head to say whether it takes the token."""
TOUCHED = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "PYTHONPATH")
"""Variables of this process that a connection changes, and that are put back at its end."""
TOKEN_REMEDY = (
    "Set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or the file ~/.ray/auth_token "
    "as on the "
    "head node"
)
_ALL_DEVICES = "RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"


def connect(address: str, uses_gpus: bool) -> Any:
    """The ray module, connected to a cluster that it started (``local``) or joined.

    Raises:
        SweepError: If the cluster is not there or refuses us.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    options: dict[str, Any] = {"address": address, "logging_level": "error", "log_to_driver": False}
    if address == "local":
        os.environ.setdefault(_ALL_DEVICES, "1")
        os.environ.update({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": _token()})
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), _place())))
        options |= {
            "num_cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "include_dashboard": False,
            "object_store_memory": OBJECT_STORE_BYTES,
        }
    else:
        require_address(address)
        use_token()
        _require_own_token(f"--address {address}")
        if uses_gpus:
            options["runtime_env"] = {"env_vars": {_ALL_DEVICES: "1"}}
    try:
        import ray
    except ImportError as error:
        raise SweepError("Ray is not installed here. Use --inline, or install it: pip install ray") from error
    if address != "local":
        options["address"] = _found(address)
        _require_token(address, options["address"])
    return _initialized(ray, address, options)


def use_token() -> None:
    """From now on this process uses the token that it has, as ``ray start`` would, unless told whether to."""
    if "RAY_AUTH_MODE" not in os.environ and has_token():
        os.environ["RAY_AUTH_MODE"] = "token"


def has_token() -> bool:
    """Whether a token is where Ray looks for one: two variables and a file."""
    if os.environ.get("RAY_AUTH_TOKEN"):
        return True
    path = os.environ.get("RAY_AUTH_TOKEN_PATH")
    with contextlib.suppress(OSError, RuntimeError):
        return bool((Path(path) if path else Path.home() / ".ray" / "auth_token").read_text().strip())
    return False


def _require_own_token(where: str) -> None:
    """Raises SweepError where a token is to be used and there is none: Ray would end the process silently."""
    if os.environ.get("RAY_AUTH_MODE", "").lower() == "token" and not has_token():
        raise SweepError(f"{where}: RAY_AUTH_MODE=token, and no token is set here. {TOKEN_REMEDY}.")


def token_refused(where: str) -> SweepError:
    """What is said where a cluster wants a token, or another one."""
    if os.environ.get("RAY_AUTH_MODE", "").lower() == "token" and has_token():
        return SweepError(f"{where}: the cluster refuses the token that is set here. {TOKEN_REMEDY}.")
    return SweepError(f"{where}: the cluster wants a token, and none is set here. {TOKEN_REMEDY}.")


def require_address(address: str) -> None:
    """Raises SweepError at once for no address, or where nothing listens; Ray would try for minutes."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdigit() or int(port) > 65535:
        hint = " A URL is that of a dashboard: lmc-sweep submit takes it." if "://" in address else ""
        raise SweepError(f"--address {address}: expected local, auto or HOST:PORT.{hint}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise SweepError(
            f"--address {address}: no Ray cluster answers there ({error.strerror or error}). Name the "
            "port of a head that runs (`ray start --head`: 6379), or leave out --address to start Ray here."
        ) from error


def _initialized(ray: Any, address: str, options: dict[str, Any]) -> Any:
    """The ray module after ``ray.init``, whose errors are told as ours."""
    try:
        ray.init(**options)
    except ConnectionError as error:
        raise _nobody(address) from error
    except ray.exceptions.AuthenticationError as error:
        raise token_refused(f"--address {address}") from error
    except (RuntimeError, ValueError, OSError, ray.exceptions.RayError) as error:
        told = " ".join(str(error).split())[:500]
        raise SweepError(f"--address {address}: Ray could not be started or joined: {told}") from error
    except Exception as error:
        if type(error) is not Exception:  # Ray has no class of its own for a node that is not up after 30 s
            raise
        raise SweepError(
            f"--address {address}: Ray did not come up within its 30 s: {error} This machine may have too "
            "much to do; run the same command again, or --inline without Ray."
        ) from error
    return ray


def _nobody(address: str) -> SweepError:
    return SweepError(
        f"--address {address}: no Ray cluster answers there. Start one with `ray start --head`, or leave "
        f"--address out to run on this machine."
    )


def _found(address: str) -> str:
    """HOST:PORT of the head; for ``auto`` that of RAY_ADDRESS, or of the cluster on this machine."""
    if address != "auto":
        return address
    from ray._private import services

    try:
        found = services.canonicalize_bootstrap_address("auto")
    except (ConnectionError, ValueError) as error:
        raise _nobody(address) from error
    if not found:
        raise _nobody(address)
    require_address(found)
    return str(found)


def _require_token(address: str, head: str) -> None:
    """Raises SweepError where the head refuses our token, or says nothing that Ray would say."""
    try:
        from ray._raylet import GcsClient  # type: ignore[attr-defined]
        from ray.exceptions import AuthenticationError, RayError
    except ImportError:  # a Ray without it says so later, and less clearly
        return
    told: list[Exception] = []
    answered = threading.Event()

    def ask() -> None:
        try:
            GcsClient(address=head)
        except Exception as error:
            told.append(error)
        answered.set()

    with _silent():
        threading.Thread(target=ask, name="ask the head", daemon=True).start()
        is_there = answered.wait(ASK_SECONDS)
    if told and isinstance(told[0], AuthenticationError):
        raise token_refused(f"--address {address}") from told[0]
    if not is_there or (told and isinstance(told[0], RayError)):
        raise SweepError(
            f"--address {address}: what listens at {head} does not answer as the head of a Ray "
            "cluster does. Name "
            "the port that `ray start --head` prints, 6379 by default."
        )


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Meanwhile nothing reaches standard error: what Ray logs there from C++ says less than our error."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _place() -> str:
    """The folder that holds our packages."""
    return str(Path(__file__).absolute().parents[2])


@functools.cache
def _token() -> str:
    """A secret of this process. Ray keeps the first that it sees, so a second cluster has the same."""
    return secrets.token_hex(32)
