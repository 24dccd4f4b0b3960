"""Fetching data sets, with a stand-in for the network."""

from __future__ import annotations

import urllib.error
from pathlib import Path
from typing import Any

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

    def make(staging: Path, download: bool) -> None:
        seen.append((download, sorted(path.name for path in (staging / "MNIST" / "raw").iterdir())))
        raise RuntimeError("offline")

    monkeypatch.setattr(torchvision.datasets, "MNIST", make)
    (root / "MNIST" / "raw").mkdir(parents=True)
    (root / "MNIST" / "raw" / "a.gz").write_bytes(b"archive")
    with pytest.raises(SweepError, match="offline"):
        data.fetch("mnist")
    assert [(True, ["a.gz"])] == seen


def test_digits_need_no_fetching() -> None:
    """Fetching digits names the folder where scikit-learn ships it."""
    assert (data.fetch("digits") / "digits.csv.gz").is_file()
