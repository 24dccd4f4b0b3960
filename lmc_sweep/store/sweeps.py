"""What was asked (``sweep.yaml``), and how far along it says it is (``progress.json``, advice)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lmc_sweep.store import layout
from lmc_sweep.store.publish import publish, replace_unsynced


def plan_id(items: Iterable[tuple[str, str]]) -> str:
    """16 hex digits of the SHA-256 of the sorted items."""
    return hashlib.sha256(json.dumps(sorted(items)).encode()).hexdigest()[:16]


def write_text(root: Path, name: str, text: str) -> None:
    """Publishes ``sweep.yaml``, unless it says the same already."""
    path = root / layout.sweep_folder(name) / "sweep.yaml"
    content = text.encode()
    if not path.is_file() or path.read_bytes() != content:
        publish(path, [content], replace=True)


def names(root: Path) -> list[str]:
    """The sweeps that were recorded, sorted."""
    return sorted(path.parent.name for path in (root / layout.SWEEPS).glob("*/sweep.yaml"))


def write_progress(root: Path, name: str, progress: Mapping[str, Any]) -> None:
    """Replaces the sweep's advice."""
    content = json.dumps(progress, separators=(",", ":")).encode()
    replace_unsynced(root / layout.sweep_folder(name) / "progress.json", content)


def read_progress(root: Path, name: str) -> dict[str, Any] | None:
    """The sweep's advice; None when there is none that can be read."""
    try:
        progress = json.loads((root / layout.sweep_folder(name) / "progress.json").read_bytes())
    except (OSError, ValueError):
        return None
    return progress if isinstance(progress, dict) else None
