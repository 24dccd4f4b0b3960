"""Parts of data sets, data sets at another size, and inputs made of bytes as they are taken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torchvision.transforms import v2

from lmc_sweep import data
from lmc_sweep.data import loading
from lmc_sweep.errors import SweepError
from workers.datasets.definitions import define
from workers.datasets.normalization import normalize
from workers.datasets.resizing import resized
from workers.datasets.subsets import subset_rows
from workers.specs import DataSpec


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's cache directory of the test's own, and no data set loaded before."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    loading._load.cache_clear()
    yield tmp_path
    loading._load.cache_clear()


def test_larger_subset_holds_the_smaller() -> None:
    """With one seed the larger subset holds the smaller; rows are ascending and without repetition."""
    small, large = (subset_rows("mnist", "train", 1000, num, 3).tolist() for num in (50, 400))
    assert set(small) < set(large)
    assert sorted(set(large)) == large
    assert (50, 400) == (len(small), len(large))


def test_subsets_differ_by_seed_split_and_data_set() -> None:
    """Each seed, split and data set draws its own subset."""
    drawn = [
        tuple(subset_rows(name, split, 1000, 100, seed).tolist())
        for name, split, seed in [("a", "train", 0), ("a", "train", 1), ("a", "test", 0), ("b", "train", 0)]
    ]
    assert 4 == len(set(drawn))


def test_subset_of_all_is_the_whole() -> None:
    """A subset of as many examples as there are is the data set as it is."""
    assert torch.equal(torch.arange(77), subset_rows("x", "train", 77, 77, 5))
    assert torch.equal(torch.arange(77), subset_rows("x", "train", 77, None, 5))


def test_subset_is_rows_of_the_whole() -> None:
    """Images and labels of a subset are rows of the whole data set, and the other split is untouched."""
    whole, part = data.load("digits"), data.load(DataSpec(dataset="digits", num_train=30, subset_seed=2))
    rows = subset_rows("digits", "train", 1438, 30, 2)
    assert torch.equal(whole.train_images[rows], part.train_images[:])
    assert torch.equal(whole.train_labels[rows], part.train_labels)
    assert torch.equal(whole.test_images[:], part.test_images[:])
    assert define(DataSpec(dataset="digits", num_train=30)) == part.definition


def test_label_noise_is_drawn_for_the_subset() -> None:
    """Of a subset's labels, the fraction is redrawn: at most that many differ, and some do."""
    part = data.load(DataSpec(dataset="digits", num_train=200))
    changed = int((part.labels("train", 0.25) != part.train_labels).sum())
    assert 0 < changed <= 50


@pytest.mark.parametrize(("asked", "split"), [({"num_train": 1439}, "train"), ({"num_test": 360}, "test")])
def test_more_than_there_is(asked: dict[str, int], split: str) -> None:
    """A subset larger than the data set is refused with both numbers."""
    (wanted,) = asked.values()
    with pytest.raises(
        SweepError, match=rf"num_{split} is {wanted}, digits has {wanted - 1} {split} examples"
    ):
        data.load(DataSpec(dataset="digits", **asked))


def test_resizing_is_torchvisions() -> None:
    """Resized bytes are those of torchvision's antialiased Resize of floats, rounded."""
    images = torch.randint(256, (9, 3, 28, 28), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    for size in (8, 32, 64):
        expected = v2.Resize((size, size), antialias=True)(images.float()).round().to(torch.uint8)
        assert torch.equal(expected, resized(images, size))


def test_resized_data_set_is_kept_and_mapped(cache: Path) -> None:
    """A data set at another size has a mapped file of its own and is the same when read back."""
    asked = DataSpec(dataset="digits", input_size=16)
    first = data.load(asked)
    assert (1438, 1, 16, 16) == tuple(first.train_images[:].shape)
    assert define(asked).shape == first.definition.shape
    (file,) = [path for path in (cache / "lmc_sweep" / "tensors").iterdir() if "size16" in path.name]
    assert str(file) in Path("/proc/self/maps").read_text()
    images = first.train_images[:].clone()
    loading._load.cache_clear()
    assert torch.equal(images, data.load(asked).train_images[:])


def test_one_object_per_spec() -> None:
    """A process reads the same examples once; a name stands for the data set whole and as it is."""
    asked = DataSpec(dataset="digits", num_train=20)
    assert data.load(asked) is data.load(DataSpec(dataset="digits", num_train=20))
    assert data.load("digits") is data.load(DataSpec(dataset="digits"))


def test_inputs_are_the_normalized_images() -> None:
    """Inputs made as they are taken equal those normalized beforehand, by slice and by index, in any type."""
    digits = data.load("digits")
    ahead = normalize(digits.train_images[:], digits.definition).flatten(1)
    inputs = digits.inputs("train", lambda images: images.flatten(1))
    index = torch.tensor([5, 0, 1437])
    assert torch.equal(ahead[10:30], inputs[10:30])
    assert torch.equal(ahead[index], inputs[index])
    doubled = digits.inputs("test", lambda images: images, dtype=torch.float64)
    assert (359, torch.float64) == (len(doubled), doubled[:2].dtype)


def test_images_stay_bytes() -> None:
    """Inputs hold the data set's own bytes: nothing is copied or converted before it is taken."""
    digits = data.load("digits").to("cpu")
    inputs = digits.inputs("train", lambda images: images)
    assert isinstance(inputs.images, torch.Tensor)
    assert torch.uint8 == inputs.images.dtype
    assert data.load("digits").train_images[:].data_ptr() == inputs.images.data_ptr()
