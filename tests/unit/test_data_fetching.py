"""Fetching data sets, with a stand-in for the network."""

from __future__ import annotations

import hashlib
import tarfile
import threading
import urllib.error
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from lmc_sweep import data
from lmc_sweep.data import fetching, locations
from lmc_sweep.errors import SweepError


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root of the test's own."""
    monkeypatch.setenv("LMC_SWEEP_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def downloads(monkeypatch: pytest.MonkeyPatch, outcome: Exception | None) -> None:
    """Lets a download write one file, then fail with ``outcome`` or complete."""

    def download(name: str, staging: Path, location: Path) -> Path:
        raw = staging / "raw"
        raw.mkdir()
        for file, size in locations.source_files(name).items():
            with (raw / file.name).open("wb") as opened:
                opened.truncate(size)
            if outcome is not None:
                raise outcome
        return raw

    monkeypatch.setattr(fetching, "_download", download)


def test_fetched_data_set_is_present(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was fetched is present, and nothing else is left in the root."""
    downloads(monkeypatch, None)
    assert root / "FashionMNIST" / "raw" == data.fetch("fashion_mnist")
    assert data.present("fashion_mnist")
    assert ["FashionMNIST"] == [path.name for path in root.iterdir()]


def test_present_data_set_is_not_fetched_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fetching what is there touches nothing."""
    downloads(monkeypatch, None)
    data.fetch("mnist")
    downloads(monkeypatch, AssertionError("a download was begun"))
    assert root / "MNIST" / "raw" == data.fetch("mnist")


@pytest.mark.fault
@pytest.mark.parametrize(
    "error",
    [
        urllib.error.URLError("Name or service not known"),
        RuntimeError(
            "Error downloading a.gz:\nTried mirror, got:\n<urlopen error Name or service not known>\n"
        ),
        ConnectionResetError("Name or service not known"),
    ],
)
def test_failed_download_is_told_and_leaves_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """A failed download is told on one line with its cause and remedy; half a download is no data set."""
    downloads(monkeypatch, error)
    with pytest.raises(SweepError) as caught:
        data.fetch("mnist")
    message = str(caught.value)
    assert "could not be downloaded: " in message
    assert "Name or service not known" in message
    assert "\n" not in message
    assert [] == list((root / "MNIST" / "raw").iterdir())
    assert ["MNIST"] == [path.name for path in root.iterdir()]


@pytest.mark.fault
def test_root_that_is_a_file(root: Path) -> None:
    """Fetching under a root that cannot hold folders is refused with the variable to set."""
    root.write_text("")
    with pytest.raises(SweepError, match=r"cannot be written.*Set LMC_SWEEP_DATA"):
        data.fetch("mnist")


@pytest.mark.slow
def test_archives_that_lie_there_are_used(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Archives already in place are handed to torchvision, which then downloads none of them."""
    import torchvision.datasets

    seen: list[Any] = []

    class Offline:
        resources: ClassVar = [("a.gz", "0" * 32)]

        def __init__(self, staging: Path, download: bool) -> None:
            seen.append((download, sorted(path.name for path in (staging / "MNIST" / "raw").iterdir())))
            raise RuntimeError("offline")

    monkeypatch.setattr(torchvision.datasets, "MNIST", Offline)
    (root / "MNIST" / "raw").mkdir(parents=True)
    (root / "MNIST" / "raw" / "a.gz").write_bytes(b"archive")
    with pytest.raises(SweepError, match=r"a\.gz came corrupt: 7 bytes whose MD5 is not 0000"):
        data.fetch("mnist")
    assert [(True, ["a.gz"])] == seen


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder, served on this machine, from which torchvision's downloads of CIFAR and SVHN come."""
    import torchvision.datasets

    folder = tmp_path / "served"
    folder.mkdir()
    handler = partial(QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        origin = f"http://127.0.0.1:{server.server_port}"
        for made in (torchvision.datasets.CIFAR10, torchvision.datasets.CIFAR100):
            monkeypatch.setattr(made, "url", f"{origin}/{made.filename}")
        lists = {
            split: [f"{origin}/{entry[1]}", *entry[1:]]
            for split, entry in torchvision.datasets.SVHN.split_list.items()
        }
        monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", lists)
        yield folder
        server.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *args: Any) -> None:
        """Nothing."""


@pytest.mark.slow
@pytest.mark.fault
@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("cifar10", "cifar-10-python.tar.gz"),
        ("cifar100", "cifar-100-python.tar.gz"),
        ("svhn", "train_32x32.mat"),
    ],
)
def test_corrupt_download_is_named(root: Path, served: Path, name: str, file: str) -> None:
    """A download whose digest is wrong is told with its file, is not unpacked, and leaves nothing."""
    (served / file).write_bytes(b"half an archive")
    with pytest.raises(SweepError, match=rf"{file} came corrupt: 15 bytes whose MD5 is not [0-9a-f]{{32}}"):
        data.fetch(name)
    assert not data.present(name)
    assert [] == [path for path in root.rglob("*") if path.is_file()]


@pytest.mark.slow
def test_cifar_is_unpacked(root: Path, served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive whose digest is right is unpacked in a folder of its own, and its files moved into place."""
    import torchvision.datasets

    names = [*locations._SIZES["cifar10"]]
    archive = served / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as opened:
        for file in names:
            (tmp_path / file).write_bytes(file.encode())
            opened.add(tmp_path / file, f"cifar-10-batches-py/{file}")
    md5 = {file: hashlib.md5(file.encode(), usedforsecurity=False).hexdigest() for file in names}
    made = torchvision.datasets.CIFAR10
    monkeypatch.setattr(made, "train_list", [[file, md5[file]] for file in names if "data" in file])
    monkeypatch.setattr(made, "test_list", [["test_batch", md5["test_batch"]]])
    monkeypatch.setattr(made, "tgz_md5", hashlib.md5(archive.read_bytes(), usedforsecurity=False).hexdigest())
    monkeypatch.setattr(locations, "_SIZES", {"cifar10": {file: len(file) for file in names}})
    monkeypatch.setattr(made, "__init__", lambda self, root, download: unpack(self, root))

    def unpack(self: Any, root: Path) -> None:  # the download of torchvision, without reading what came
        self.root = root
        made.download(self)

    assert root / "cifar-10-batches-py" == data.fetch("cifar10")
    assert sorted(names) == sorted(path.name for path in (root / "cifar-10-batches-py").iterdir())
    assert ["cifar-10-batches-py"] == [path.name for path in root.iterdir()]


def test_imagenet_is_never_fetched(root: Path) -> None:
    """imagenet is refused with where to get it and how to lay it out, and nothing is written."""
    with pytest.raises(SweepError, match=r"never fetched.*image-net\.org.*imagenet/train/CLASS/\*\.JPEG"):
        data.fetch("imagenet")
    assert not root.exists()


def test_data_set_of_the_users_own_is_not_fetched() -> None:
    """What the user's function makes cannot be fetched."""
    with pytest.raises(SweepError, match="nothing to fetch"):
        data.fetch("package.module:function")


def test_digits_need_no_fetching() -> None:
    """Fetching digits names the folder where scikit-learn ships it."""
    assert (data.fetch("digits") / "digits.csv.gz").is_file()
