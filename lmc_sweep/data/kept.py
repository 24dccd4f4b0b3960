"""The tensors of a data set as one safetensors file in the user's cache directory.

A file is named by what it was read from, so that a changed source is read anew; it is published in one
step, and carries the checksum of every tensor, so that a torn or altered one is told from a whole one
and built again. Nothing here ever writes under ``LMC_SWEEP_DATA``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
import uuid
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lmc_sweep.data.locations import user_cache

if TYPE_CHECKING:
    from torch import Tensor

    from workers.specs import DataSpec

_FORMAT = 1  # raise it when what is kept changes, so that no old file is taken for a new one
_ABANDONED_SECONDS = 3600.0


def source_key(name: str, files: Sequence[Path]) -> str:
    """Hash of the names, sizes and modification times of the files that a data set is read from."""
    stats = [(file, file.stat()) for file in files]
    facts = [_FORMAT, name, [[str(file.resolve()), stat.st_size, stat.st_mtime_ns] for file, stat in stats]]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def path(name: str, key: str) -> Path:
    """Where the tensors of that state of the source are kept."""
    return user_cache() / "tensors" / f"{name}-{key}.safetensors"


def variant_path(whole: Path, data: DataSpec) -> Path:
    """Where a part of a data set, or the data set at another size, is kept: beside the whole."""
    parts = [
        f"{word}{value}"
        for word, value in (
            ("size", data.input_size),
            ("train", data.num_train),
            ("test", data.num_test),
            ("seed", data.subset_seed),
        )
        if value is not None
    ]
    return whole.with_name(f"{whole.stem}-{'-'.join(parts)}{whole.suffix}")


def kept_or_made(
    file: Path,
    make: Callable[[], dict[str, Tensor]],
    mismatch: Callable[[dict[str, Tensor]], str | None],
) -> dict[str, Tensor]:
    """The tensors kept in a file; made and kept if it holds none, or others than it should.

    What was made is read back where it could be kept, so that the private copy can go and processes
    share the pages of the file.
    """
    tensors = read(file)
    if tensors is not None and mismatch(tensors) is None:
        return tensors
    made = make()
    write(file, made)
    return read(file) or made


def read(file: str | Path) -> dict[str, Tensor] | None:
    """The tensors, mapped from the file; None where it is missing, torn or altered."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118  no mapping
    except (OSError, SafetensorError, RuntimeError, ValueError):
        return None
    if any(metadata.get(name) != _checksum(tensor) for name, tensor in tensors.items()):
        return None
    return tensors


def write(file: str | Path, tensors: dict[str, Tensor]) -> bool:
    """Whether the tensors could be published at that path: a full or read-only disk is no error."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    target = Path(file)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(target)
        save_file(tensors, temporary, metadata={name: _checksum(tensor) for name, tensor in tensors.items()})
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.replace(target)
    except (OSError, SafetensorError):
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        return False
    return True


def _remove_abandoned(target: Path) -> None:
    """Removes what processes that were killed while writing have left; one still writing is younger."""
    for left in target.parent.glob(f".{target.name}.*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _ABANDONED_SECONDS:
                left.unlink()


def _checksum(tensor: Tensor) -> str:
    """CRC-32 of the bytes, a check against tearing and decay that costs tens of milliseconds for MNIST."""
    return f"{zlib.crc32(tensor.contiguous().numpy().data):08x}"
