"""CIFAR and SVHN as torchvision lays them out: what is read, and what is refused before it is opened."""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision.datasets
from scipy.io import savemat

from lmc_sweep import data
from lmc_sweep.data import loading, locations
from lmc_sweep.errors import SweepError
from workers.datasets.definitions import DATASETS

REAL_ROOT = os.environ.get("LMC_SWEEP_DATA", "")


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's cache directory and a data root of the test's own, and no data set loaded before."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LMC_SWEEP_DATA", str(tmp_path / "data"))
    loading._load.cache_clear()
    yield tmp_path / "data"
    loading._load.cache_clear()


def md5(path: Path) -> str:
    """The digest that torchvision would list for a file."""
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def lay_out_cifar100(root: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray[Any, Any]]:
    """Random images in the format of CIFAR-100; their pixels and labels."""
    folder = root / "cifar-100-python"
    folder.mkdir(parents=True)
    draws, made = np.random.default_rng(0), {}
    for split, num in (("train", 50_000), ("test", 10_000)):
        made[f"{split}_images"] = draws.integers(0, 256, (num, 3 * 32 * 32), dtype=np.uint8)
        made[f"{split}_labels"] = draws.integers(0, 100, num)
        content = {"data": made[f"{split}_images"], "fine_labels": made[f"{split}_labels"].tolist()}
        (folder / split).write_bytes(pickle.dumps(content))
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": [str(k) for k in range(100)]}))
    known = torchvision.datasets.CIFAR100
    monkeypatch.setattr(known, "train_list", [["train", md5(folder / "train")]])
    monkeypatch.setattr(known, "test_list", [["test", md5(folder / "test")]])
    monkeypatch.setattr(known, "meta", {**known.meta, "md5": md5(folder / "meta")})
    monkeypatch.setitem(locations._SIZES, "cifar100", dict.fromkeys(("train", "test", "meta")))
    return made


@pytest.mark.slow
def test_cifar100(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pixels of CIFAR-100 come with the channels before the rows, the labels are the fine ones."""
    made = lay_out_cifar100(root, monkeypatch)
    loaded = data.load("cifar100")
    assert DATASETS["cifar100"] == loaded.definition
    assert np.array_equal(made["train_images"].reshape(-1, 3, 32, 32), loaded.train_images[:].numpy())
    assert made["test_labels"].tolist() == loaded.test_labels.tolist()


@pytest.mark.slow
def test_svhn(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The images of SVHN have their axes in order, and the digit 0, whose label is 10 there, is class 0."""
    root.mkdir(parents=True)
    draws, made = np.random.default_rng(0), {}
    lists = dict(torchvision.datasets.SVHN.split_list)
    for split, num in (("train", 73_257), ("test", 26_032)):
        file = root / f"{split}_32x32.mat"
        pixels = np.zeros((32, 32, 3, num), np.uint8)
        pixels[:4] = draws.integers(0, 256, (4, 32, 3, num), dtype=np.uint8)
        made[split] = pixels, draws.integers(1, 11, (num, 1)).astype(np.uint8)
        savemat(file, {"X": pixels, "y": made[split][1]})
        lists[split] = [lists[split][0], file.name, md5(file)]
    monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", lists)
    monkeypatch.setitem(locations._SIZES, "svhn", {f"{s}_32x32.mat": None for s in ("train", "test")})
    loaded = data.load("svhn")
    assert made["train"][0][1, 2, :, 70_000].tolist() == loaded.train_images[70_000][:, 1, 2].tolist()
    assert (made["test"][1][:, 0] % 10).tolist() == loaded.test_labels.tolist()
    assert (26_032, 3, 32, 32) == tuple(loaded.test_images[:].shape)


class Opened:
    """What must not be unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, ("opened",))


@pytest.mark.fault
@pytest.mark.parametrize("name", ["cifar10", "cifar100", "svhn"])
def test_corrupt_file_is_named_and_not_opened(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A file of the right size with another digest is named, and no pickle in it is opened."""
    monkeypatch.chdir(tmp_path)
    files = list(locations.source_files(name))
    monkeypatch.setitem(locations._SIZES, name, dict.fromkeys(file.name for file in files))
    files[0].parent.mkdir(parents=True, exist_ok=True)
    for file in files:
        file.write_bytes(pickle.dumps(Opened()))
    with pytest.raises(SweepError, match=rf"{files[0].name} is corrupt: its MD5 is not .*fetch {name}"):
        data.load(name)
    assert not (tmp_path / "opened").exists()


@pytest.mark.data
@pytest.mark.slow
def test_real_cifar10(monkeypatch: pytest.MonkeyPatch) -> None:
    """CIFAR-10 has its first labels, and the mean and deviation of its definition, to four digits."""
    monkeypatch.setenv("LMC_SWEEP_DATA", REAL_ROOT)
    if not REAL_ROOT or not data.present("cifar10"):
        pytest.skip("cifar10 is not under LMC_SWEEP_DATA")
    loaded = data.load("cifar10")
    assert [6, 9, 9, 4, 1] == loaded.train_labels[:5].tolist()
    assert [3, 8, 8, 0, 6] == loaded.test_labels[:5].tolist()
    images = loaded.train_images[:].double().div_(255)
    assert pytest.approx(loaded.definition.mean, abs=1e-4) == images.mean(dim=(0, 2, 3)).tolist()
    assert pytest.approx(loaded.definition.std, abs=1e-4) == images.std(dim=(0, 2, 3)).tolist()


LOADS = """
import sys, time, torch
from lmc_sweep import data
begun = time.process_time()
loaded = data.load({name!r})
print(time.process_time() - begun, flush=True)
sys.stdin.readline()
"""


def mapped_bytes(process: int, part: str) -> dict[str, int]:
    """Of a process's mappings of files whose path has ``part``: resident, private and proportional bytes."""
    found = dict.fromkeys(("Rss", "Pss", "Private_Clean", "Private_Dirty"), 0)
    inside = False
    for line in Path(f"/proc/{process}/smaps").read_text().splitlines():
        key, _, value = line.partition(":")
        if "-" in line.split()[0] and not line.split()[0].endswith(":"):
            inside = part in line
        elif inside and key in found:
            found[key] += 1024 * int(value.split()[0])
    return found


@pytest.mark.slow
def test_processes_share_the_pages(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes hold the bytes of a data set once, and each has read them within a second."""
    if not Path("/proc/self/smaps").is_file():
        pytest.skip("the kernel does not tell which pages are shared")
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for file, size in locations.source_files("mnist").items():
        header = {"i": [3, 28, 28], "l": [1]}["i" if "images" in file.name else "l"]
        num = 60_000 if file.name.startswith("train") else 10_000
        sizes = b"".join(axis.to_bytes(4, "big") for axis in (num, *header[1:]))
        start = b"\0\0\x08" + bytes([header[0]]) + sizes
        assert size is not None
        file.write_bytes(start + bytes([3]) * (size - len(start)))
    data.load("mnist")
    loading._load.cache_clear()
    kept_bytes = 70_000 * 28 * 28
    started = [
        subprocess.Popen(
            [sys.executable, "-c", LOADS.format(name="mnist")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    try:
        seconds = [float(process.stdout.readline()) for process in started if process.stdout]
        held = [mapped_bytes(process.pid, "/tensors/mnist-") for process in started]
    finally:
        for process in started:
            process.communicate("\n")
    assert max(seconds) < 1.0
    for one in held:
        assert one["Rss"] > 0.75 * kept_bytes
        assert one["Private_Clean"] + one["Private_Dirty"] < 0.05 * kept_bytes
    assert sum(one["Pss"] for one in held) < 1.05 * kept_bytes
