"""imagenet: folders of images, listed once, decoded as they are taken."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from lmc_sweep import data
from lmc_sweep.data import image_folder, loading
from lmc_sweep.data.image_folder import FolderImages, decoded
from lmc_sweep.errors import SweepError
from workers.datasets.inputs import Images
from workers.specs import DataSpec

SMALL = DataSpec(dataset="imagenet", num_train=7, num_test=4, input_size=28)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Three classes of five training images and two of validation, of different sizes and kinds."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LMC_SWEEP_DATA", str(tmp_path))
    loading._load.cache_clear()
    draws = np.random.default_rng(0)
    for split, num in (("train", 5), ("val", 2)):
        for name in ("n01", "n02", "n10"):
            place = tmp_path / "imagenet" / split / name
            place.mkdir(parents=True)
            for k in range(num):
                shape = (40 + 7 * k, 64, 3) if k else (50, 40)
                made = Image.fromarray(draws.integers(0, 256, shape, dtype=np.uint8))
                (made.convert("CMYK") if k == 2 else made).save(place / f"{name}_{k}.JPEG", quality=95)
    (tmp_path / "imagenet" / "train" / "n01" / "notes.txt").write_text("no image")
    yield tmp_path / "imagenet"
    loading._load.cache_clear()


@pytest.fixture
def streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes even a few images for too many to be kept."""
    monkeypatch.setattr(image_folder, "_KEPT_BYTES", 0)


@pytest.mark.usefixtures("streamed")
def test_images_are_those_of_the_files(folder: Path) -> None:
    """Images taken by slice and by index are those of their files, labels the places of their classes."""
    loaded = data.load(SMALL)
    images = loaded.train_images
    assert isinstance(images, FolderImages)
    assert isinstance(images, Images)
    files = [images.path(k) for k in range(7)]
    assert sorted(files) == files
    assert [["n01", "n02", "n10"].index(file.parent.name) for file in files] == loaded.train_labels.tolist()
    expected = torch.stack([decoded(file, 28) for file in files])
    assert torch.equal(expected[2:6], images[2:6])
    assert torch.equal(expected[torch.tensor([6, 0, 3])], images[torch.tensor([6, 0, 3])])
    assert torch.equal(expected, torch.cat([images[0:3], images[3:6], images[6:7]]))
    assert (7, 4, (4, 3, 28, 28)) == (
        len(images),
        len(loaded.test_images),
        tuple(loaded.test_images[:].shape),
    )


@pytest.mark.usefixtures("streamed")
def test_inputs_stream(folder: Path) -> None:
    """Inputs of a streamed split are normalized images, decoded as they are taken."""
    loaded = data.load(SMALL)
    inputs = loaded.inputs("test", lambda images: images.flatten(1))
    ready = (loaded.test_images[1:3].float() / 255 - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / (
        torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    )
    assert torch.allclose(ready.flatten(1), inputs[1:3], atol=1e-6)


def test_many_readers_get_their_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that take slices here and there of the same images each get what they asked for."""
    num, num_readers = 400, 4
    names = [f"{place:03d}".encode() for place in range(num)]
    images = FolderImages(
        folder=Path("nowhere"),
        names=torch.frombuffer(bytearray(b"".join(names)), dtype=torch.uint8),
        ends=torch.arange(3, 3 * num + 1, 3),
        rows=torch.arange(num),
        size=1,
    )
    monkeypatch.setattr(image_folder, "_AHEAD", 64)
    monkeypatch.setattr(
        image_folder,
        "decoded",
        lambda file, _: torch.full((3, 1, 1), int(file.name) % 256, dtype=torch.uint8),
    )

    together = Barrier(num_readers, timeout=200)

    def read(reader: int) -> None:
        for start in np.random.default_rng(reader).integers(0, num - 4, 100).tolist():
            together.wait()  # what was decoded for nothing is found by all of them at once
            taken = images[start : start + 4]
            assert [place % 256 for place in range(start, start + 4)] == taken[:, 0, 0, 0].tolist()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(num_readers) as readers:
            list(readers.map(read, range(num_readers)))
    finally:
        sys.setswitchinterval(interval)


def test_few_images_are_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images that are few are decoded once: later they come from the kept file, the same as streamed."""
    kept = data.load(SMALL).train_images
    assert isinstance(kept, torch.Tensor)
    loading._load.cache_clear()
    monkeypatch.setattr(image_folder, "decoded", None)
    assert torch.equal(kept, data.load(SMALL).train_images[:])
    monkeypatch.undo()
    monkeypatch.setenv("LMC_SWEEP_DATA", str(folder.parent))
    monkeypatch.setattr(image_folder, "_KEPT_BYTES", 0)
    loading._load.cache_clear()
    assert torch.equal(kept, data.load(SMALL).train_images[:])


@pytest.mark.parametrize("size", [28, 224])
def test_cut_as_torchvision_does(folder: Path, size: int) -> None:
    """An image is resized and its middle cut out as torchvision's Resize and CenterCrop do."""
    usual = v2.Compose([v2.Resize(size * 256 // 224), v2.CenterCrop(size), v2.PILToTensor()])
    for file in sorted((folder / "train" / "n02").iterdir()):
        with Image.open(file) as opened:
            assert torch.equal(usual(opened.convert("RGB")), decoded(file, size))


def test_whole_needs_the_official_numbers(folder: Path) -> None:
    """Without num_train and num_test the official numbers of images are required."""
    with pytest.raises(SweepError, match=r"has 15 images under .*train, not 1281167.*num_train"):
        data.load("imagenet")
    with pytest.raises(SweepError, match=r"has 6 images under .*val, not 50000.*num_test"):
        data.load(DataSpec(dataset="imagenet", num_train=3))


def test_more_than_there_is(folder: Path) -> None:
    """A subset larger than what lies there is refused with both numbers."""
    with pytest.raises(SweepError, match="num_train is 16, imagenet has 15 train examples under"):
        data.load(DataSpec(dataset="imagenet", num_train=16, num_test=1))


def test_absent(folder: Path) -> None:
    """Without folders of classes the data set is absent, and how to lay it out is told."""
    assert data.present("imagenet")
    for path in (folder / "val").rglob("*.JPEG"):
        path.unlink()
    for path in (folder / "val").iterdir():
        path.rmdir()
    assert not data.present("imagenet")
    with pytest.raises(SweepError, match=r"lacks imagenet/val with one folder of images a class.*val/CLASS/"):
        data.load(SMALL)


@pytest.mark.fault
def test_image_that_cannot_be_decoded(folder: Path) -> None:
    """A torn image is named when it is taken."""
    torn = folder / "train" / "n02" / "n02_1.JPEG"
    torn.write_bytes(torn.read_bytes()[:300])
    with pytest.raises(SweepError, match=r"image .*n02_1\.JPEG cannot be decoded"):
        data.load(DataSpec(dataset="imagenet", num_train=15, num_test=1, input_size=28))


def test_class_of_val_that_train_has_not(folder: Path) -> None:
    """A class of val that train lacks is named: its images would have no label."""
    (folder / "val" / "n99").mkdir()
    with pytest.raises(SweepError, match=r"val/n99 is a class that .*train has not"):
        data.load(SMALL)


def test_changed_folder_is_listed_anew(folder: Path) -> None:
    """An image added to a class is found, though the listing is kept."""
    data.load(SMALL)
    (folder / "train" / "n10" / "new.png").write_bytes((folder / "train" / "n10" / "n10_1.JPEG").read_bytes())
    loaded = data.load(DataSpec(dataset="imagenet", num_train=16, num_test=1, input_size=28))
    assert 16 == len(loaded.train_images)
