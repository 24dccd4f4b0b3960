"""Where data sets lie, and whether they are whole. Looks at names and sizes alone, opens nothing.

``LMC_SWEEP_DATA`` is a root as torchvision lays it out, written by ``lmc-sweep datasets fetch`` alone.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lmc_sweep.errors import SweepError
from workers import user_code
from workers.datasets.definitions import DATASETS, DatasetDefinition

TORCHVISION_CLASSES = {
    "mnist": "MNIST",
    "fashion_mnist": "FashionMNIST",
    "cifar10": "CIFAR10",
    "cifar100": "CIFAR100",
    "svhn": "SVHN",
}
"""Data set to its class in ``torchvision.datasets``: those that can be fetched."""

_FOLDERS = {
    "mnist": "MNIST/raw",
    "fashion_mnist": "FashionMNIST/raw",
    "cifar10": "cifar-10-batches-py",
    "cifar100": "cifar-100-python",
    "svhn": ".",
    "imagenet": "imagenet",
}
"""Data set to its folder under the root; all but that of imagenet are torchvision's."""

_SIZES: dict[str, dict[str, int | None]] = {
    "cifar10": {
        "data_batch_1": 31_035_704,
        "data_batch_2": 31_035_320,
        "data_batch_3": 31_035_999,
        "data_batch_4": 31_035_696,
        "data_batch_5": 31_035_623,
        "test_batch": 31_035_526,
        "batches.meta": 158,
    },
    "cifar100": {"train": 155_249_918, "test": None, "meta": None},
    "svhn": {"train_32x32.mat": 182_040_794, "test_32x32.mat": 64_275_384},
}
"""Bytes of files whose digests torchvision lists too; the digests are compared when they are first read."""

_IDX_IMAGES_HEADER, _IDX_LABELS_HEADER = 16, 8  # bytes before the first image and the first label


@dataclass(frozen=True, kw_only=True)
class KnownDataset:
    """A data set the program knows, where it is or would be, and what is wrong with it (None: present)."""

    name: str
    location: Path
    problem: str | None

    @property
    def present(self) -> bool:
        """Whether it can be read."""
        return self.problem is None


def user_cache() -> Path:
    """The program's folder in the user's cache directory; a temporary one where the user has no home."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    if named.startswith("/"):  # the XDG specification has relative paths ignored
        return Path(named) / "lmc_sweep"
    try:
        return Path.home() / ".cache" / "lmc_sweep"
    except RuntimeError:  # a container that runs under a number without an account
        return Path(tempfile.gettempdir()) / f"lmc_sweep-{os.getuid()}"


def data_root() -> Path:
    """The folder under which data sets are looked for, and fetched into."""
    named = os.environ.get("LMC_SWEEP_DATA", "")
    return Path(named).expanduser().absolute() if named else user_cache() / "data"


def location(name: str) -> Path:
    """The folder in which a data set's files lie or would lie."""
    _definition(name)
    if name == "digits":
        package = importlib.util.find_spec("sklearn")  # finds it without importing it
        assert package is not None, "scikit-learn is a dependency of this package"
        assert package.origin is not None, "scikit-learn is a regular package"
        return Path(package.origin).parent / "datasets" / "data"
    return data_root() / _FOLDERS[name]


def source_files(name: str) -> dict[Path, int | None]:
    """The files a data set is read from, each with the size it must have in bytes (None: any).

    Those of imagenet are the folders of its classes: a folder's time changes with the files in it.
    """
    folder, definition = location(name), _definition(name)
    if name == "digits":
        return {folder / "digits.csv.gz": None}
    if name == "imagenet":
        return {path: None for split in ("train", "val") for path in class_folders(folder / split)}
    if name in _SIZES:
        return {folder / file: size for file, size in _SIZES[name].items()}
    sizes: dict[Path, int | None] = {}
    for prefix, num_examples in (("train", definition.num_train), ("t10k", definition.num_test)):
        images = folder / f"{prefix}-images-idx3-ubyte"
        sizes[images] = _IDX_IMAGES_HEADER + num_examples * definition.num_inputs
        sizes[folder / f"{prefix}-labels-idx1-ubyte"] = _IDX_LABELS_HEADER + num_examples
    return sizes


def class_folders(split_folder: Path) -> list[Path]:
    """The folders of the classes in a split that is laid out as one folder a class, sorted by name."""
    try:
        with os.scandir(split_folder) as entries:
            return [split_folder / name for name in sorted(entry.name for entry in entries if entry.is_dir())]
    except OSError:
        return []


def problem(name: str) -> str | None:
    """What keeps a data set from being read, in words that follow its name; None where nothing does."""
    root = data_root()
    if name == "imagenet":
        for split in ("train", "val"):
            if not class_folders(location(name) / split):
                return f"lacks imagenet/{split} with one folder of images a class"
        return None
    for path, size in source_files(name).items():
        shown = path.relative_to(root) if path.is_relative_to(root) else path
        try:
            found = path.stat().st_size
        except OSError as error:
            return f"lacks {shown} ({error.strerror})"
        if size is not None and found != size:
            return f"has a torn file: {shown} holds {found} bytes, not {size}"
    return None


def present(name: str) -> bool:
    """Whether every file of the data set is there, with the size it must have."""
    return problem(name) is None


def require(name: str) -> None:
    """Raises a SweepError, with the root searched and the remedy, if a data set is not present.

    One of the user's own, ``pkg.module:function``, is where that function finds it: nothing is checked.
    """
    if user_code.is_name(name):
        return
    if found := problem(name):
        origin = "LMC_SWEEP_DATA" if os.environ.get("LMC_SWEEP_DATA") else "the user's cache directory"
        raise SweepError(
            f"data set '{name}' is not whole under {data_root()} ({origin}): it {found}. {remedy(name)}"
        )


def remedy(name: str) -> str:
    """How a data set that can be fetched, or cannot, comes to be where it is looked for."""
    if name in TORCHVISION_CLASSES:
        return f"Fetch it: lmc-sweep datasets fetch {name}"
    if name == "digits":
        return "Reinstall scikit-learn, which ships it"
    return (
        "Its license forbids fetching it for you: get it from https://www.image-net.org/download.php and lay "
        f"its images out as {location(name)}/train/CLASS/*.JPEG and {location(name)}/val/CLASS/*.JPEG"
    )


def known() -> list[KnownDataset]:
    """Every data set the program knows."""
    return [KnownDataset(name=name, location=location(name), problem=problem(name)) for name in DATASETS]


def _definition(name: str) -> DatasetDefinition:
    if name not in DATASETS:
        raise SweepError(
            f"unknown data set '{name}'. Known data sets: {', '.join(DATASETS)}, pkg.module:function"
        )
    return DATASETS[name]
