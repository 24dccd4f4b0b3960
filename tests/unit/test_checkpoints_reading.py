"""Checkpoints are read, hashed and found without running what they hold."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from lmc_sweep.checkpoints import find, read, sha256
from lmc_sweep.errors import SweepError


def state() -> dict[str, Tensor]:
    """Tensors of several types and shapes, one a scalar, one transposed."""
    return {
        "layer.weight": torch.arange(12.0).reshape(3, 4).T,
        "layer.bias": torch.tensor([0.5, -1.0, 2.0, 3.0]).to(torch.bfloat16),
        "norm.num_batches_tracked": torch.tensor(7),
        "empty": torch.zeros(0, 3),
    }


class Code:
    """What a pickle needs code for."""


def written(folder: Path, suffix: str) -> Path:
    """The state in a file of one kind."""
    path = folder / f"net{suffix}"
    if suffix == ".safetensors":
        save_file({name: tensor.contiguous() for name, tensor in state().items()}, path, {"by": "test"})
    else:
        torch.save(state(), path, _use_new_zipfile_serialization=suffix != ".bin")
    return path


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth", ".bin"])
def test_every_format_gives_the_same_tensors_and_hash(tmp_path: Path, suffix: str) -> None:
    """Archives, old pickles and safetensors: equal tensors of equal types, one content hash."""
    path = written(tmp_path, suffix)
    params = read(path).params
    assert {name: tensor.dtype for name, tensor in state().items()} == {k: v.dtype for k, v in params.items()}
    assert all(torch.equal(tensor, params[name]) for name, tensor in state().items())
    assert sha256(written(tmp_path, ".safetensors")) == sha256(path)


@pytest.mark.parametrize("change", ["value", "name", "shape", "dtype"])
def test_a_hash_follows_the_content(tmp_path: Path, change: str) -> None:
    """A value, a name, a shape or a type that differs gives another hash."""
    before = {"w": torch.arange(6.0)}
    after = {
        "value": {"w": torch.arange(6.0) + 1},
        "name": {"v": torch.arange(6.0)},
        "shape": {"w": torch.arange(6.0).reshape(2, 3)},
        "dtype": {"w": torch.arange(6.0).view(torch.int32)},
    }[change]
    save_file(before, tmp_path / "before.safetensors")
    save_file(after, tmp_path / "after.safetensors")
    assert sha256(tmp_path / "before.safetensors") != sha256(tmp_path / "after.safetensors")


def test_a_safetensors_file_is_hashed_without_torch(tmp_path: Path) -> None:
    """Planning a sweep of checkpoints does not pay for torch."""
    path = written(tmp_path, ".safetensors")
    program = f"""
import sys
from pathlib import Path
from lmc_sweep.checkpoints import find, sha256
print(*[sha256(path) for path in find({str(path)!r})], 'torch' in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert [sha256(path), "False"] == done.stdout.split()


@pytest.mark.parametrize("key", ["state_dict", "model", "model_state_dict"])
def test_a_nested_state_dict_is_found_and_noted(tmp_path: Path, key: str) -> None:
    """Training scripts' files: the state dict is taken, and what lies beside it is named."""
    torch.save({"epoch": 3, key: state()}, tmp_path / "net.pt")
    found = read(tmp_path / "net.pt")
    assert set(state()) == set(found.params)
    assert [(True, True)] == [(key in note, "epoch" in note) for note in found.notes]


def test_a_pickle_that_needs_code_is_refused_unread(tmp_path: Path) -> None:
    """One line that names the file, the code and the remedy."""
    torch.save({"w": torch.zeros(1), "other": Code()}, tmp_path / "net.pt")
    with pytest.raises(
        SweepError, match=r"net\.pt: is a pickle that needs code \(.*Code\).*state_dict"
    ) as caught:
        read(tmp_path / "net.pt")
    assert "\n" not in str(caught.value)


def test_a_torchscript_archive_is_refused(tmp_path: Path) -> None:
    """An archive of code is named as one."""
    path = tmp_path / "net.pt"
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), path)
    with pytest.raises(SweepError, match=r"net\.pt: is a TorchScript archive"):
        read(path)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_every_cut_is_refused_with_the_name_of_the_file(tmp_path: Path, suffix: str) -> None:
    """A torn file is one line, whatever was lost; hashing refuses it alike."""
    path = written(tmp_path, suffix)
    whole = path.read_bytes()
    for length in (0, 4, 20, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        for use in (read, sha256):
            with pytest.raises(SweepError) as caught:
                use(path)
            assert (True, 1) == (path.name in str(caught.value), len(str(caught.value).splitlines()))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (torch.zeros(3), "not a Tensor"),
        ({}, "an empty mapping"),
        ({"w": 3}, "'w' lies a int"),
        ({1: torch.zeros(1)}, "under 1 lies"),
        ({"w": torch.zeros(2, 2).to_sparse()}, "w is sparse"),
    ],
)
def test_what_is_no_state_dict_is_refused(tmp_path: Path, value: object, words: str) -> None:
    """Anything but dense tensors by name is refused with what it is."""
    torch.save(value, tmp_path / "net.pt")
    with pytest.raises(SweepError, match=rf"net\.pt: .*{words}"):
        read(tmp_path / "net.pt")


def test_find_sorts_and_refuses_none(tmp_path: Path) -> None:
    """Files in the order of their names; no match, another suffix, or a folder is refused."""
    for name in ("b.safetensors", "a.safetensors", "c.txt"):
        (tmp_path / name).write_bytes(b"")
    assert ["a.safetensors", "b.safetensors"] == [path.name for path in find("*.safetensors", tmp_path)]
    with pytest.raises(SweepError, match=r"\*\.pt: no file in .* matches"):
        find("*.pt", tmp_path)
    with pytest.raises(SweepError, match=r"c\.txt: checkpoints end in .*not in \.txt"):
        find("*", tmp_path)
    with pytest.raises(SweepError, match="is a directory"):
        read(tmp_path)
    with pytest.raises(SweepError, match="there is no such file"):
        read(tmp_path / "d.pt")
