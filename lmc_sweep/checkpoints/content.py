"""The identity of a checkpoint: the hash of its tensors, whatever file they lie in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lmc_sweep.checkpoints.finding import require
from lmc_sweep.checkpoints.reading import read
from lmc_sweep.errors import SweepError

_CHUNK_BYTES = 1 << 22

_TORCH_NAMES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}
"""Types as a safetensors header writes them; any other stands for itself."""


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of the names, types, shapes and values of a checkpoint's tensors.

    The same state dict has the same hash as ``.safetensors`` and as ``.pt``, whatever the order of its
    tensors or the metadata of the file. A ``.safetensors`` file is hashed without importing torch.

    Raises:
        SweepError: As ``read``.
    """
    require(path)
    digest = hashlib.sha256()
    entries = _of_safetensors(path) if path.suffix.lower() == ".safetensors" else _of_torch_file(path)
    for name, dtype, shape, chunks in entries:
        digest.update(json.dumps([name, dtype, shape]).encode() + b"\n")
        for chunk in chunks:
            digest.update(chunk)
    return digest.hexdigest()


def _of_safetensors(path: Path) -> Iterator[tuple[str, str, list[int], Iterator[bytes]]]:
    """Name, type, shape and bytes of every tensor, by name."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np"):  # refuses a torn or inconsistent file
            pass
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header: dict[str, Any] = json.loads(file.read(length))
            header.pop("__metadata__", None)
            for name in sorted(header):
                start, end = header[name]["data_offsets"]
                dtype = _TORCH_NAMES.get(header[name]["dtype"], header[name]["dtype"])
                yield name, dtype, header[name]["shape"], _chunks(file, 8 + length + start, end - start)
    except (SafetensorError, OSError) as error:
        told = " ".join(str(error).split())
        raise SweepError(
            f"{path}: is not a whole safetensors file ({told}). Save or copy it again"
        ) from error


def _chunks(file: Any, start: int, length: int) -> Iterator[bytes]:
    """So many bytes of a file, piece by piece."""
    file.seek(start)
    while length > 0:
        chunk = file.read(min(length, _CHUNK_BYTES))
        if not chunk:
            raise OSError("it became shorter while it was read")
        length -= len(chunk)
        yield chunk


def _of_torch_file(path: Path) -> Iterator[tuple[str, str, list[int], Iterator[Any]]]:
    """Name, type, shape and bytes of every tensor, by name."""
    import torch

    params = read(path).params
    for name in sorted(params):
        flat = params[name].contiguous().reshape(-1)
        raw = flat.view(torch.uint8).numpy().data if flat.numel() else b""
        yield name, str(flat.dtype).removeprefix("torch."), list(params[name].shape), iter([raw])
