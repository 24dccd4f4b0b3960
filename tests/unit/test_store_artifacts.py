"""Files of tensors follow the safetensors format, and say the same in every process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load
from torch import Tensor

from lmc_sweep.errors import StoreError
from lmc_sweep.store.artifacts import content_problem, serialize, size_problem
from lmc_sweep.store.store import Store

DTYPES = [
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint8,
    torch.bool,
]


def _bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """The whole file."""
    return b"".join(bytes(chunk) for chunk in serialize(tensors, metadata or {}))


@given(
    shapes=st.lists(st.lists(st.integers(0, 4), max_size=3), min_size=1, max_size=6),
    dtypes=st.lists(st.sampled_from(DTYPES), min_size=6, max_size=6),
)
def test_the_library_reads_what_is_written(shapes: list[list[int]], dtypes: list[torch.dtype]) -> None:
    """Any tensors, empty and scalar ones included, come back through the safetensors library bit for bit."""
    tensors = {
        f"layers.{k}": torch.arange(torch.Size(shape).numel()).reshape(shape).to(dtype)
        for k, (shape, dtype) in enumerate(zip(shapes, dtypes, strict=False))
    }
    read = load(_bytes(tensors))
    assert set(tensors) == set(read)
    for name, tensor in tensors.items():
        assert (tensor.dtype, tensor.shape) == (read[name].dtype, read[name].shape)
        assert torch.equal(tensor, read[name])


def test_views_are_written_as_what_they_show() -> None:
    """A transposed or strided tensor is stored by its values, and is itself left unchanged."""
    base = torch.arange(12.0).reshape(3, 4)
    tensors = {"turned": base.T, "strided": base[:, ::2], "negated": -base}
    read = load(_bytes(tensors))
    for name, tensor in tensors.items():
        assert torch.equal(tensor, read[name])
    assert torch.equal(torch.arange(12.0).reshape(3, 4), base)


def test_metadata_reaches_the_library(tmp_path: Path) -> None:
    """What was given as metadata is what the safetensors library reads."""
    store = Store.create(tmp_path / "store")
    metadata = {"spec": '{"groups": {"ü": 3}}', "format": "pt"}
    path = store.write_tensors("permutations", {"member1.h": torch.zeros(1, 3, dtype=torch.int64)}, metadata)
    with safe_open(store.path / path, framework="pt") as file:
        assert metadata == file.metadata()


def test_every_cut_is_seen_by_size_and_every_flip_by_content(tmp_path: Path) -> None:
    """A file that was cut anywhere fails the quick check, one with a flipped bit fails the full one."""
    store = Store.create(tmp_path / "store")
    path = store.path / store.write_tensors("networks", {"w": torch.randn(2, 5), "b": torch.randn(2)})
    whole = path.read_bytes()
    assert (None, None) == (size_problem(path), content_problem(path))
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert size_problem(path) is not None, length
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 16]) + whole[position + 1 :])
        assert content_problem(path) is not None, position


@pytest.mark.parametrize(
    "header", [b"[]", b'{"w": 1}', b'{"w": {"data_offsets": []}}', b"\xff", b"{}  nothing"]
)
def test_a_strange_header_is_a_problem_and_no_error(tmp_path: Path, header: bytes) -> None:
    """Whatever stands where the header belongs is answered with a reason."""
    path = tmp_path / "x.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"data")
    assert size_problem(path) is not None


def test_other_folders_and_types_are_refused(tmp_path: Path) -> None:
    """Tensors go into the two folders of artifacts alone, and only in types that the format knows."""
    store = Store.create(tmp_path / "store")
    with pytest.raises(StoreError, match="'records'"):
        store.write_tensors("records", {"w": torch.zeros(1)})
    with pytest.raises(StoreError, match=r"w: .*complex64"):
        store.write_tensors("networks", {"w": torch.zeros(1, dtype=torch.complex64)})
