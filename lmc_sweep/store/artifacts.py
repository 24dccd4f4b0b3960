"""Files of tensors, named by the hash of what is in them.

A late or doubled attempt writes the same bytes under the same name or another name altogether, so it
can never change the weights under another's record. The bytes follow the safetensors format. They are
written here rather than by the library because the order of the library's metadata varies between
processes, and because a stack may fill half of the memory: this writer hashes and writes the tensors
where they lie, without a second copy.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmc_sweep.errors import DamageError, StoreError
from lmc_sweep.store import layout
from lmc_sweep.store.files import Bytes, Files
from lmc_sweep.store.publish import publish
from lmc_sweep.store.terms import Terms, patiently

if TYPE_CHECKING:
    from torch import Tensor

_DTYPES = {
    "torch.float64": "F64",
    "torch.float32": "F32",
    "torch.float16": "F16",
    "torch.bfloat16": "BF16",
    "torch.int64": "I64",
    "torch.int32": "I32",
    "torch.int16": "I16",
    "torch.int8": "I8",
    "torch.uint8": "U8",
    "torch.bool": "BOOL",
}
_MAX_HEADER_BYTES = 100_000_000  # the limit that the format itself sets
_HASH_CHUNK_BYTES = 1 << 22
UNREADABLE = "cannot be read"
"""How a reason begins that may be over by the next look: the system would not read the file."""


def write_tensors(
    folder: str,
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str],
    terms: Terms,
) -> str:
    """Path, relative to the store, of the published file. A whole file of that content is left as it is."""
    if folder not in layout.ARTIFACT_FOLDERS:
        raise StoreError(f"tensors belong into one of {list(layout.ARTIFACT_FOLDERS)}, not into {folder!r}")
    content = Serialized(tensors, metadata)
    digest = hashlib.sha256()
    for chunk in content:
        digest.update(chunk)
    relative = layout.artifact_path(folder, digest.hexdigest())
    path, files = terms.root / relative, terms.files
    state = patiently(lambda: files.state(relative), path, terms)
    if state == "whole":
        patiently(lambda: files.settle(relative), path, terms)  # its writer may have died before that
    else:
        publish(path, content, replace=state == "damaged", terms=terms)
    return relative


@dataclass(frozen=True)
class Serialized:
    """A file of tensors as pieces of bytes, made anew whenever it is iterated."""

    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str]

    def __iter__(self) -> Iterator[Bytes]:
        return serialize(self.tensors, self.metadata)


def serialize(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Iterator[Bytes]:
    """The bytes of a safetensors file, piece by piece, the same for the same content in any process."""
    names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))  # aligned without gaps
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    offset = 0
    for name in names:
        tensor = tensors[name]
        if str(tensor.dtype) not in _DTYPES:
            raise StoreError(f"{name}: tensors of {tensor.dtype} are not stored. Known: {sorted(_DTYPES)}")
        end = offset + tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": _DTYPES[str(tensor.dtype)],
            "shape": list(tensor.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little")
    yield text
    for name in names:
        yield _raw(tensors[name])


def _raw(tensor: Tensor) -> Bytes:
    """The bytes of a tensor in row order, without a copy where it lies so on the CPU."""
    import torch

    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data if flat.numel() else b""


def content_problem(path: Path) -> str | None:
    """Why the file is not what its name promises, by reading all of it; None when it is."""
    if layout.artifact_digest(path.name) is None:
        return "its name is not a content hash"
    try:
        return _hash_problem(path)
    except OSError as error:
        return f"{UNREADABLE}: {error.strerror}"


def _hash_problem(path: Path) -> str | None:
    """Whether the content has another hash than the name says."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_HASH_CHUNK_BYTES):
            digest.update(chunk)
    if digest.hexdigest() == layout.artifact_digest(path.name):
        return None
    return "its content does not have the hash in its name"


def require_whole(files: Files, relative: str) -> None:
    """Raises DamageError unless the content of a file is what its name promises.

    All of it is hashed, once per process and state of the file: a flipped bit in weights would else reach
    every figure that follows from them. That takes about 0.7 ms per MB. Of a copy that is altered the
    original is what counts.
    """
    path, told_path = files.root / relative, files.told(relative)
    if not layout.inside(relative):
        raise StoreError(_no_file(files, relative))
    files.bring([relative])
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise StoreError(_no_file(files, relative))
    try:
        problem = _problem_of(path, _stamp(path))
        if problem is not None and files.renew([relative]):
            problem = _problem_of(path, _stamp(path))
    except OSError as error:
        if files.exists(f"{layout.QUARANTINE}/{relative}"):
            told = (
                f"{told_path}: was altered and set aside. Run the sweep again: it computes anew what it held."
            )
            raise DamageError(told, relative) from error
        raise StoreError(
            f"{told_path}: cannot be read: {error.strerror}. If it is gone, run the sweep again: "
            "what it held is computed anew."
        ) from error
    if problem is not None:
        raise DamageError(
            f"{told_path}: {problem}. A run of the sweep sets it aside, as "
            f"`lmc-sweep verify {files.uri} --repair` does, and the next one computes anew what it held.",
            relative,
        )


def _no_file(files: Files, relative: str) -> str:
    """The refusal of a path that cannot be an artifact's."""
    return f"{files.uri}: a record says that {relative!r} was read: that is no file of this store"


def _stamp(path: Path) -> tuple[int, int, int]:
    """By what a file is known to be in the same state as before."""
    status = path.stat()
    return (status.st_ino, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=65536)
def _problem_of(path: Path, _stamp: tuple[int, int, int]) -> str | None:
    """What speaks against a file in the state that the stamp tells; OSError, which is not kept, passes on."""
    if layout.artifact_digest(path.name) is None:
        return size_problem(path)  # a name of somebody else's making promises nothing
    return _hash_problem(path)


def size_problem(path: Path) -> str | None:
    """Why the file cannot be whole, by its header and size alone; None when nothing speaks against it."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(size - 8, _MAX_HEADER_BYTES):
                return "truncated: its header is not whole"
            header = json.loads(file.read(length))
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        expected = 8 + length + max(ends, default=0)
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"{UNREADABLE}: {error.strerror}"
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return "its header is not that of a safetensors file"
    if size != expected:
        return f"truncated or altered: {size} bytes where its header says {expected}"
    return None
