"""Entries of ``networks`` that bring networks of the user's own: ``{checkpoints, module, dataset}``."""

from __future__ import annotations

from lmc_sweep.config import architectures, user_code
from lmc_sweep.config.grid import Located
from lmc_sweep.config.refusals import Refusal, shown
from lmc_sweep.config.sweep import Cell, CheckpointFile
from lmc_sweep.errors import SweepError
from workers.specs import ArchitectureSpec, DataSpec


def cell(point: Located, data: DataSpec, noise: float, origin: str) -> Cell:
    """The cell of all files that a pattern names, in the order of their names: seeds 0, 1, 2 ..."""
    asked = point.value["checkpoints"]
    pattern, path = asked.plain(), asked.path
    if not isinstance(pattern, str) or not pattern:
        raise Refusal(path, f"should be a pattern of files, as in 'nets/*.safetensors', not {shown(pattern)}")
    if "module" in point.value:
        architecture: ArchitectureSpec = architectures.module(point.value["module"])
    else:
        architecture = architectures.read(point, data)
    user_code.search_working_directory()
    files = _files(pattern, path)
    return Cell(
        data=data,
        label_noise=noise,
        architecture=architecture,
        training=None,
        seeds=tuple(range(len(files))),
        origin=origin,
        checkpoints=files,
        pattern=pattern,
    )


def _files(pattern: str, path: str) -> tuple[CheckpointFile, ...]:
    """The files with the hashes of their weights; refuses two of the same content."""
    from lmc_sweep import checkpoints

    try:
        files = [CheckpointFile(str(file), checkpoints.sha256(file)) for file in checkpoints.find(pattern)]
    except SweepError as error:
        raise Refusal(path, str(error)) from error
    seen: dict[str, str] = {}
    for file in files:
        if file.sha256 in seen:
            raise Refusal(path, f"{seen[file.sha256]} and {file.path} hold the same weights. Remove one")
        seen[file.sha256] = file.path
    return tuple(files)
