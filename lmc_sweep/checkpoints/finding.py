"""Which files a pattern of a sweep file names."""

from __future__ import annotations

import glob
from pathlib import Path

from lmc_sweep.errors import SweepError

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")
"""Kinds of files that checkpoints are read from."""


def find(pattern: str, folder: Path | None = None) -> tuple[Path, ...]:
    """The files that match ``nets/*.safetensors``, sorted by name; ``**`` goes into folders below.

    Args:
        pattern: A path with wildcards, or of a single file.
        folder: Where a relative pattern begins; the working directory if None.

    Raises:
        SweepError: If there is none, or one of them is no checkpoint by its suffix.
    """
    root = Path.cwd() if folder is None else folder
    absolute = str(root / Path(pattern).expanduser())
    names = glob.glob(absolute, recursive=True)  # noqa: PTH207  Path.glob takes no absolute pattern
    found = sorted(path for name in names if (path := Path(name)).is_file())
    if not found:
        raise SweepError(f"{pattern}: no file in {root} matches. Name at least one checkpoint")
    for path in found:
        require(path)
    return tuple(found)


def require(path: Path) -> None:
    """Raises a SweepError unless there is a file of a kind that can be read; opens nothing."""
    if not path.is_file():
        what = "is a directory" if path.is_dir() else "there is no such file"
        raise SweepError(f"{path}: {what}. Name a checkpoint: {', '.join('*' + s for s in SUFFIXES)}")
    if path.suffix.lower() not in SUFFIXES:
        raise SweepError(
            f"{path}: checkpoints end in {', '.join(SUFFIXES)}, not in {path.suffix or 'nothing'}. "
            "Save the state dict as .safetensors"
        )
