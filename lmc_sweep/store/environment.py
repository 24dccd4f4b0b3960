"""What computed a result: code, packages, hardware. Nothing that tells who or where.

No host name, user name, path or environment variable enters the description, so that a store can be
published as it is.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

_PACKAGES = (
    "torch",
    "torchvision",
    "ray",
    "numpy",
    "scipy",
    "simanneal",
    "scikit-learn",
    "pyarrow",
    "duckdb",
    "safetensors",
)


def describe() -> dict[str, Any]:
    """The environment of this process, as plain JSON values; memory in bytes."""
    return dict(_describe(_gpu()))


def identify(environment: dict[str, Any]) -> str:
    """16 hex digits of the SHA-256 of the description."""
    text = json.dumps(environment, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@functools.cache
def _describe(gpu: str | None) -> dict[str, Any]:
    """The description, made once per process (and again when a GPU comes into use)."""
    return {
        "lmc_sweep": _version("lmc-sweep"),
        "git": _git(),
        "python": platform.python_version(),
        "packages": {name: version for name in _PACKAGES if (version := _version(name)) is not None},
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu_model(),
        "num_cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "gpu": gpu,
    }


def _version(package: str) -> str | None:
    """Version of an installed package, read from its metadata: importing it could take seconds."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git() -> dict[str, Any] | None:
    """Commit of the checkout that the package runs from, and whether its code differs; None outside one."""
    package = Path(__file__).parents[1]
    if not (package.parent / ".git").exists():  # a parent further up belongs to somebody else
        return None
    commit = _run_git(package.parent, "rev-parse", "HEAD")
    changes = _run_git(package.parent, "status", "--porcelain", "--", "lmc_sweep", "workers")
    return None if commit is None else {"commit": commit, "changed": bool(changes)}


def _run_git(checkout: Path, *arguments: str) -> str | None:
    """What git prints; None where it cannot answer."""
    try:
        command = ["git", "--no-optional-locks", "-C", str(checkout), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _cpu_model() -> str:
    """Name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _gpu() -> str | None:
    """Name of the GPU where this process already uses torch and has one; never a reason to import torch."""
    torch = sys.modules.get("torch")
    cuda = getattr(torch, "cuda", None)
    if cuda is None or not cuda.is_initialized():
        return None
    return str(cuda.get_device_name())
