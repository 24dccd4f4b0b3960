"""What code a process runs, in one line, so that a driver and its workers can be compared.

The numbers of a sweep must come from one code. A cluster's nodes are installed one by one, and one
that was forgotten would otherwise mix its numbers in, or fail in ways that tell nothing.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import platform
from collections.abc import Iterable
from pathlib import Path

PACKAGES = ("torch", "numpy", "scipy", "simanneal")
"""What the numbers are computed with, beside ourselves."""


@functools.cache
def fingerprint() -> str:
    """Versions of the program, Python and what computes, and a hash of the code that computes.

    Read from metadata and source files, once per process and within milliseconds: nothing is imported.
    Code that only draws, prints or plans is left out, so that it may be changed while a sweep runs.
    """
    import lmc_sweep
    import workers

    versions = [f"lmc_sweep {lmc_sweep.__version__}", f"Python {platform.python_version()}"]
    versions += [f"{name} {version(name)}" for name in PACKAGES]
    folders = [Path(workers.__file__ or "").parent, Path(__file__).with_name("bodies")]
    return ", ".join([*versions, f"source {source_hash(folders)}"])


def difference(ours: str, theirs: str) -> str:
    """What two fingerprints do not agree in, for people: each differing part as "here, there"."""
    pairs = zip(ours.split(", "), theirs.split(", "), strict=False)
    differing = [f"{here} against {there}" for here, there in pairs if here != there]
    return "; ".join(differing) or f"{ours} against {theirs}"


def version(package: str) -> str:
    """Version of an installed package; "absent" where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def source_hash(folders: Iterable[Path]) -> str:
    """12 hex digits of the SHA-256 of all Python files below the folders, with their names."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            content = path.read_bytes()
            digest.update(f"{path.relative_to(folder).as_posix()} {len(content)}\n".encode())
            digest.update(content)
    return digest.hexdigest()[:12]
