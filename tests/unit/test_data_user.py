"""Data sets of the user's own: what is accepted, what is refused, how they are named."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from lmc_sweep import data
from lmc_sweep.data import loading
from lmc_sweep.data.user import read_user
from lmc_sweep.errors import SweepError
from workers.datasets.definitions import define
from workers.specs import DataSpec

NAME = "shapes_of_mine:make"


def arrays() -> dict[str, Any]:
    """A small data set of color images, its labels in different integer types."""
    draws = np.random.default_rng(0)
    return {
        "train_images": draws.integers(0, 256, (20, 3, 6, 5), dtype=np.uint8),
        "train_labels": draws.integers(0, 4, 20).astype(np.int32),
        "test_images": torch.from_numpy(draws.integers(0, 256, (8, 3, 6, 5), dtype=np.uint8)),
        "test_labels": draws.integers(0, 4, 8).astype(np.uint8),
        "num_classes": 4,
    }


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Any], str]]:
    """A function that lets the user's function return something, and gives its name."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    loading._load.cache_clear()
    module = ModuleType("shapes_of_mine")
    monkeypatch.setitem(sys.modules, "shapes_of_mine", module)

    def returns(value: Any) -> str:
        module.make = lambda: value  # type: ignore[attr-defined]
        return NAME

    yield returns
    loading._load.cache_clear()


def test_description(mine: Callable[[Any], str]) -> None:
    """Shape, sizes, classes, and the mean and deviation of x / 255 over the training images."""
    made = arrays()
    described, tensors = read_user(mine(made))
    scaled = made["train_images"] / 255
    assert ((3, 6, 5), 4, 20, 8) == (
        described.shape,
        described.num_classes,
        described.num_train,
        described.num_test,
    )
    assert pytest.approx(scaled.mean(axis=(0, 2, 3)).tolist(), abs=1e-12) == list(described.mean)
    assert pytest.approx(scaled.std(axis=(0, 2, 3)).tolist(), abs=1e-12) == list(described.std)
    assert torch.int64 == tensors["train_labels"].dtype


def test_gray_images_get_a_channel(mine: Callable[[Any], str]) -> None:
    """Images (N, height, width) are of one channel; a constant channel has deviation 1."""
    gray = {**arrays(), "train_images": np.full((20, 6, 5), 51, np.uint8)}
    gray["test_images"] = gray["train_images"][:8]
    described, tensors = read_user(mine(gray))
    assert ((1, 6, 5), (0.2,), (1.0,)) == (described.shape, described.mean, described.std)
    assert (8, 1, 6, 5) == tuple(tensors["test_images"].shape)


def test_named_by_content(mine: Callable[[Any], str]) -> None:
    """The same content has the same name whatever holds it; one other byte has another."""
    first = read_user(mine(arrays()))[0].sha256
    as_tensors = {k: torch.as_tensor(v) if k != "num_classes" else v for k, v in arrays().items()}
    changed = arrays()
    changed["train_images"][0, 0, 0, 0] ^= 1
    assert first == read_user(mine(as_tensors))[0].sha256
    assert first != read_user(mine(changed))[0].sha256


def test_loaded_as_any_other(mine: Callable[[Any], str]) -> None:
    """It is loaded, cut and resized as the known data sets are, normalized by its own constants."""
    made = arrays()
    described = read_user(mine(made))[0]
    whole = data.load(DataSpec(dataset=NAME, user=described))
    part = data.load(DataSpec(dataset=NAME, user=described, num_train=5, input_size=8))
    assert made["train_images"].tolist() == whole.train_images[:].tolist()
    assert (5, 3, 8, 8) == tuple(part.train_images[:].shape)
    assert described.mean == part.definition.mean
    inputs = whole.inputs("train", lambda images: images)[0:20]
    assert pytest.approx(0.0, abs=1e-6) == float(inputs.mean())


@pytest.mark.parametrize("num_train", [None, 5])
def test_changed_since_it_was_planned(mine: Callable[[Any], str], num_train: int | None) -> None:
    """Other arrays than were planned are refused, whole or in part, whatever is kept of the old."""
    made = arrays()
    asked = DataSpec(dataset=NAME, user=read_user(mine(made))[0], num_train=num_train)
    data.load(asked)
    loading._load.cache_clear()
    made["test_labels"][0] = 3 - made["test_labels"][0]
    with pytest.raises(SweepError, match="has changed since it was planned"):
        data.load(asked)


def test_known_without_running_it(mine: Callable[[Any], str]) -> None:
    """What was planned defines the data set where the user's code is not at hand."""
    described = read_user(mine(arrays()))[0]
    assert (3, 8, 8) == define(DataSpec(dataset=NAME, user=described, input_size=8)).shape


REFUSED: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "no mapping": (lambda made: [made], "must return a mapping with train_images, .*, not list"),
    "missing": (lambda made: {"train_images": 0}, "lacks train_labels, test_images, test_labels"),
    "foreign": (lambda made: {**made, "valid_images": 0}, "holds valid_images, which mean nothing"),
    "floats": (
        lambda made: {**made, "train_images": made["train_images"] / 255},
        r"train_images must be bytes \(uint8, 0 to 255\), they are torch.float64",
    ),
    "flat": (
        lambda made: {**made, "train_images": made["train_images"].reshape(20, -1)},
        r"train_images must have shape .*, they have \(20, 90\)",
    ),
    "channels last": (
        lambda made: {**made, "train_images": made["train_images"].transpose(0, 2, 3, 1)},
        r"channels last.*permute\(0, 3, 1, 2\)",
    ),
    "other shapes": (
        lambda made: {**made, "test_images": made["test_images"][:, :, :5]},
        r"train_images has shape \(3, 6, 5\), one of test_images \(3, 5, 5\)",
    ),
    "other lengths": (
        lambda made: {**made, "test_labels": made["test_labels"][:7]},
        "test_images are 8, test_labels 7",
    ),
    "empty": (lambda made: {**made, "test_images": made["test_images"][:0]}, "test_images must have shape"),
    "float labels": (
        lambda made: {**made, "train_labels": made["train_labels"] * 1.0},
        r"train_labels must be integers \(N,\), they are torch.float64",
    ),
    "negative labels": (lambda made: {**made, "train_labels": made["train_labels"] - 9}, "counted from 0"),
    "too few classes": (lambda made: {**made, "num_classes": 3}, "num_classes is 3; labels run to 3"),
    "a list": (lambda made: {**made, "train_labels": [0] * 20}, "must be an array of NumPy or a tensor"),
    "text": (
        lambda made: {**made, "train_labels": np.array(["a"] * 20)},
        "train_labels of type <U1 are no numbers",
    ),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_refused(mine: Callable[[Any], str], fault: str) -> None:
    """Anything but what is described is refused with one line that names the data set and the array."""
    spoil, expected = REFUSED[fault]
    with pytest.raises(SweepError, match=expected) as caught:
        read_user(mine(spoil(arrays())))
    assert NAME in str(caught.value)
    assert "\n" not in str(caught.value)


def test_function_that_fails(mine: Callable[[Any], str]) -> None:
    """A function that is not there, or fails, is named with what it said."""
    mine(None)
    with pytest.raises(SweepError, match="shapes_of_mine has no function 'made'; it has make"):
        read_user("shapes_of_mine:made")

    def fails() -> None:
        raise FileNotFoundError("train.npy")

    sys.modules["shapes_of_mine"].make = fails  # type: ignore[attr-defined]
    with pytest.raises(SweepError, match=r"shapes_of_mine:make failed: FileNotFoundError: train\.npy"):
        read_user(NAME)
