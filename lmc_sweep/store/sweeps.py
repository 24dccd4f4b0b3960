"""What was asked (``sweep.yaml``), and what its runs say of themselves and are asked: advice.

Every run of a sweep has a folder of its own, ``runs/<run_id>``: ``progress.json`` is its heartbeat,
``started/<key>.json`` a sign for each batch that a worker has begun and not ended, and ``cancel`` the wish
that it stop in order. Runs on several machines so never write one file. All of it may be deleted.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any

from lmc_sweep.errors import StoreError
from lmc_sweep.store import layout
from lmc_sweep.store.files import Files
from lmc_sweep.store.publish import publish_text
from lmc_sweep.store.terms import Terms

SILENT_SECONDS = 3600.0
"""A run that has said nothing for so long is over, whatever its last words were."""
_LARGEST_TIME = 1e15  # seconds; a damaged file may say more than a float can hold
_KEY = re.compile(r"[A-Za-z0-9-]+")


def plan_id(items: Iterable[tuple[str, str]]) -> str:
    """16 hex digits of the SHA-256 of the sorted items."""
    return hashlib.sha256(json.dumps(sorted(items)).encode()).hexdigest()[:16]


def write_text(name: str, text: str, terms: Terms) -> None:
    """Publishes ``sweep.yaml``, unless it says the same already."""
    publish_text(f"{layout.sweep_folder(name)}/sweep.yaml", text.encode(), terms)


def names(files: Files) -> list[str]:
    """The sweeps that were recorded, sorted; folders that cannot be a sweep's are somebody else's."""
    found = (path.split("/")[1] for path in files.glob(f"{layout.SWEEPS}/*/sweep.yaml"))
    return sorted(name for name in found if layout.is_sweep_name(name))


def write_progress(files: Files, name: str, run_id: str, progress: Mapping[str, Any]) -> None:
    """Replaces a run's advice."""
    _replace(files, layout.run_folder(name, run_id) + "/progress.json", progress)


def read_runs(files: Files, name: str) -> list[dict[str, Any]]:
    """The advice of every run of a sweep that left any, with its ``run_id``; the newest last."""
    found = []
    for path in files.glob(f"{layout.sweep_folder(name)}/runs/*/progress.json"):
        run_id = path.split("/")[-2]
        told = _read(files, path) if layout.is_run_id(run_id) else None
        if told is not None:
            found.append({**told, "run_id": run_id})
    return sorted(found, key=_age)


def prune_runs(files: Files, name: str, keep: int) -> None:
    """Removes the folders of runs that are over, but for the newest so many.

    A run that says that it goes on, or has not said anything yet, is taken for alive for an hour: it may
    be on a machine whose clock is another.
    """
    runs = read_runs(files, name)
    over = [told for told in runs if told.get("state") in ("stopped", "finished") or _is_silent(told)]
    for told in over[: max(len(runs) - keep, 0)]:
        files.remove_folder(layout.run_folder(name, told["run_id"]))


def _is_silent(told: Mapping[str, Any]) -> bool:
    return abs(time.time() - _age(told)) > SILENT_SECONDS


def request_cancel(files: Files, name: str, run_id: str) -> None:
    """Asks one run to stop in order."""
    _replace(files, layout.run_folder(name, run_id) + "/cancel", {"asked_at": time.time()})


def cancel_requested(files: Files, name: str, run_id: str) -> bool:
    """Whether a run was asked to stop."""
    return files.exists(layout.run_folder(name, run_id) + "/cancel")


def write_started(files: Files, name: str, run_id: str, key: str, sign: Mapping[str, Any]) -> None:
    """Says that a worker has begun an attempt at a batch."""
    _replace(files, _sign(name, run_id, key), sign)


def remove_started(files: Files, name: str, run_id: str, key: str) -> None:
    """Takes the sign of an attempt away; one that is not there is no error."""
    with contextlib.suppress(OSError):
        files.remove(_sign(name, run_id, key))


def read_started(files: Files, name: str, run_id: str) -> dict[str, dict[str, Any]]:
    """The signs of a run's attempts that have begun and not ended, by key."""
    paths = files.glob(layout.run_folder(name, run_id) + "/started/*.json")
    signs = {path.rpartition("/")[2].removesuffix(".json"): _read(files, path) for path in paths}
    return {key: sign for key, sign in signs.items() if sign is not None}


def _sign(name: str, run_id: str, key: str) -> str:
    """Where the sign of an attempt stands; a key is the batch's id, a dash, and the attempt's number."""
    if not _KEY.fullmatch(key):
        raise StoreError(f"the key of an attempt consists of letters, digits and '-'; {key!r} does not")
    return f"{layout.run_folder(name, run_id)}/started/{key}.json"


def _age(told: Mapping[str, Any]) -> float:
    """When a run last said anything."""
    updated = told.get("updated_at")
    return float(updated) if isinstance(updated, int | float) and abs(updated) < _LARGEST_TIME else 0.0


def _replace(files: Files, path: str, content: Mapping[str, Any]) -> None:
    """Writes a small file of advice, unless the store is gone."""
    files.write_advice(path, json.dumps(content, separators=(",", ":")).encode())


def _read(files: Files, path: str) -> dict[str, Any] | None:
    """What a file of advice says; None when there is none that can be read."""
    try:
        told = json.loads(files.read_advice(path) or b"")
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) else None
