"""Data sets: where they are looked for, what is read, what is kept."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from sklearn.datasets import load_digits

from lmc_sweep import data
from lmc_sweep.data import kept, loading, locations
from lmc_sweep.errors import SweepError
from workers.datasets.definitions import DATASETS

REAL_ROOT = os.environ.get("LMC_SWEEP_DATA", "")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's cache directory and a data root of the test's own, and no data set loaded before."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LMC_SWEEP_DATA", str(tmp_path / "data"))
    loading._load.cache_clear()
    yield tmp_path / "cache"
    loading._load.cache_clear()


def kept_files(cache: Path) -> list[Path]:
    """Whatever lies in the folder of kept tensors."""
    return sorted((cache / "lmc_sweep" / "tensors").iterdir())


def lay_out(root: Path, name: str) -> None:
    """Files of the names and sizes of a data set, random but well-formed, as torchvision reads them."""
    definition = DATASETS[name]
    raw = root / locations._FOLDERS[name]
    raw.mkdir(parents=True)
    draws = torch.Generator().manual_seed(0)
    for prefix, num in (("train", definition.num_train), ("t10k", definition.num_test)):
        images = torch.randint(256, (num * definition.num_inputs,), generator=draws, dtype=torch.uint8)
        labels = torch.randint(10, (num,), generator=draws, dtype=torch.uint8)
        header = b"".join(size.to_bytes(4, "big") for size in (num, 28, 28))
        (raw / f"{prefix}-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03" + header + images.numpy().tobytes())
        (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(
            b"\0\0\x08\x01" + header[:4] + labels.numpy().tobytes()
        )


def test_digits_are_scikit_learns() -> None:
    """The digits are those of scikit-learn, and every index i with i % 5 == 4 is in the test set."""
    digits, source = data.load("digits"), load_digits()
    assert DATASETS["digits"] == digits.definition
    assert (1438, 1, 8, 8) == tuple(digits.train_images.shape)
    assert source.target[4::5].tolist() == digits.test_labels.tolist()
    assert torch.equal(torch.from_numpy(source.images[9]).to(torch.uint8), digits.test_images[1, 0])
    assert source.target[[0, 1, 2, 3, 5]].tolist() == digits.train_labels[:5].tolist()


def test_normalization_of_digits_is_theirs() -> None:
    """The mean and the standard deviation in the definition are those of all 1,797 images, to four digits."""
    digits = data.load("digits")
    images = torch.cat([digits.train_images, digits.test_images]).to(torch.float64) / 16
    definition = DATASETS["digits"]
    assert pytest.approx(definition.mean[0], abs=5e-5) == images.mean().item()
    assert pytest.approx(definition.std[0], abs=5e-5) == images.std(correction=0).item()


def test_loaded_once_per_process() -> None:
    """A process reads a data set once."""
    assert data.load("digits") is data.load("digits")


@pytest.mark.slow
def test_second_process_reads_the_kept_file() -> None:
    """Once kept, a data set is loaded without scikit-learn and torchvision, and is the same."""
    first = data.load("digits")
    program = (
        "import sys; from lmc_sweep import data; digits = data.load('digits'); "
        "print('sklearn' in sys.modules, 'torchvision' in sys.modules, int(digits.train_images.sum()))"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert f"False False {int(first.train_images.sum())}" == answer.stdout.strip()


def test_kept_tensors_are_mapped(cache: Path) -> None:
    """A kept file is mapped into memory, so that processes share its pages."""
    data.load("digits")
    assert str(kept_files(cache)[0]) in Path("/proc/self/maps").read_text()


@pytest.mark.fault
@pytest.mark.parametrize("damage", ["truncated", "emptied", "altered", "foreign"])
def test_damaged_kept_file_is_rebuilt(cache: Path, damage: str) -> None:
    """A kept file that is torn, altered by a byte, or something else entirely is built again."""
    before = data.load("digits").train_images.clone()
    (file,) = kept_files(cache)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    damaged = {"truncated": content[:-100], "emptied": b"", "altered": content, "foreign": b"PK\3\4" * 99}[
        damage
    ]
    file.unlink()  # the old file stays mapped by the first load
    file.write_bytes(damaged)
    loading._load.cache_clear()
    assert torch.equal(before, data.load("digits").train_images)
    assert damaged != file.read_bytes()


@pytest.mark.fault
def test_unwritable_cache_does_no_harm(cache: Path) -> None:
    """Where nothing can be kept, the source is read, and nothing is left behind."""
    cache.mkdir()
    (cache / "lmc_sweep").write_text("a file where a folder should be")
    assert (359,) == tuple(data.load("digits").test_labels.shape)
    assert ["lmc_sweep"] == [path.name for path in cache.iterdir()]


@pytest.mark.fault
def test_abandoned_temporaries_are_removed(cache: Path) -> None:
    """What a process killed while writing has left goes with the next write; what is being written stays."""
    data.load("digits")
    (file,) = kept_files(cache)
    old, young = (file.with_name(f".{file.name}.{name}") for name in ("old", "young"))
    old.write_bytes(b"half")
    young.write_bytes(b"half")
    os.utime(old, (0, 0))
    assert kept.write(file, {"x": torch.zeros(1)})
    assert [young, file] == kept_files(cache)


@pytest.mark.slow
def test_processes_may_build_it_at_once(cache: Path) -> None:
    """Processes that find nothing kept each build it; one whole file remains."""
    program = "from lmc_sweep import data; print(int(data.load('digits').train_labels.sum()))"
    started = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    answers = {process.communicate()[0].strip() for process in started}
    assert {str(int(data.load("digits").train_labels.sum()))} == answers
    assert len(kept_files(cache)) == 1


def test_changed_source_is_read_anew(tmp_path: Path) -> None:
    """Another size or time of modification of a source file names another kept file."""
    source = tmp_path / "source"
    source.write_bytes(b"12")
    os.utime(source, ns=(0, 0))
    first = kept.source_key("x", [source])
    assert first == kept.source_key("x", [source])
    os.utime(source, ns=(0, 1))
    second = kept.source_key("x", [source])
    source.write_bytes(b"123")
    os.utime(source, ns=(0, 1))
    assert len({first, second, kept.source_key("x", [source]), kept.source_key("y", [source])}) == 4


def test_torchvision_layout(cache: Path, tmp_path: Path) -> None:
    """Files laid out as torchvision has them are read, kept outside the data root, and left as they were."""
    lay_out(tmp_path / "data", "mnist")
    before = sorted((tmp_path / "data").rglob("*"))
    mnist = data.load("mnist")
    raw = (tmp_path / "data" / "MNIST" / "raw" / "t10k-images-idx3-ubyte").read_bytes()[16:]
    assert raw == mnist.test_images.numpy().tobytes()
    assert (60_000,) == tuple(mnist.train_labels.shape)
    assert before == sorted((tmp_path / "data").rglob("*"))
    assert ["mnist"] == [file.name.partition("-")[0] for file in kept_files(cache)]


def test_labels_out_of_range_are_refused(tmp_path: Path) -> None:
    """Files of the right size whose labels are no classes are refused with the remedy."""
    lay_out(tmp_path / "data", "mnist")
    labels = tmp_path / "data" / "MNIST" / "raw" / "train-labels-idx1-ubyte"
    labels.write_bytes(labels.read_bytes()[:-1] + b"\x0a")
    with pytest.raises(
        SweepError, match=r"train_labels run from 0 to 10, not from 0 to 9.*datasets fetch mnist"
    ):
        data.load("mnist")


def test_absent_data_set_names_its_remedy(tmp_path: Path) -> None:
    """A data set that is not there is told with the root searched and the command that fetches it."""
    assert not data.present("mnist")
    with pytest.raises(SweepError) as caught:
        data.load("mnist")
    message = str(caught.value)
    assert f"under {tmp_path / 'data'} (LMC_SWEEP_DATA)" in message
    assert "lacks MNIST/raw/train-images-idx3-ubyte" in message
    assert message.endswith("lmc-sweep datasets fetch mnist")


def test_torn_source_is_not_present(tmp_path: Path) -> None:
    """A source file of another size than it must have makes the data set absent, and is named."""
    raw = tmp_path / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for file, size in locations.source_files("mnist").items():
        with file.open("wb") as opened:
            opened.truncate(size)
    assert data.present("mnist")
    with (raw / "t10k-labels-idx1-ubyte").open("r+b") as opened:
        opened.truncate(5)
    with pytest.raises(
        SweepError, match="torn file: MNIST/raw/t10k-labels-idx1-ubyte holds 5 bytes, not 10008"
    ):
        data.require("mnist")


def test_root_without_the_variable(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """Without LMC_SWEEP_DATA the root is in the user's cache; a relative XDG_CACHE_HOME is ignored."""
    monkeypatch.delenv("LMC_SWEEP_DATA")
    assert cache / "lmc_sweep" / "data" == data.data_root()
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert Path.home() / ".cache" / "lmc_sweep" / "data" == data.data_root()


def test_known_data_sets() -> None:
    """Every data set the program knows is listed; digits is always present."""
    listed = {one.name: one.present for one in data.known()}
    assert {name: name == "digits" for name in DATASETS} == listed


def test_unknown_data_set() -> None:
    """An unknown data set is refused with the known ones."""
    with pytest.raises(SweepError, match=r"unknown data set 'emnist'. Known data sets: digits, mnist"):
        data.require("emnist")


def test_locating_imports_no_torch() -> None:
    """Asking where data sets are imports neither torch nor scikit-learn."""
    program = (
        "import sys; from lmc_sweep import data; data.known(); "
        "print(*(name in sys.modules for name in ('torch', 'torchvision', 'sklearn')))"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False False False"


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "first_test_labels"), [("mnist", [7, 2, 1, 0]), ("fashion_mnist", [9, 2, 1, 1])]
)
def test_real_data(monkeypatch: pytest.MonkeyPatch, name: str, first_test_labels: list[int]) -> None:
    """The real data sets have their first labels, and the mean and deviation of their definitions."""
    monkeypatch.setenv("LMC_SWEEP_DATA", REAL_ROOT)
    if not REAL_ROOT or not data.present(name):
        pytest.skip(f"{name} is not under LMC_SWEEP_DATA")
    loaded = data.load(name)
    assert first_test_labels == loaded.test_labels[:4].tolist()
    images = loaded.train_images.to(torch.float32) / 255
    assert pytest.approx(DATASETS[name].mean[0], abs=1e-4) == images.mean().item()
    assert pytest.approx(DATASETS[name].std[0], abs=1e-4) == images.std().item()
