"""From a data set's name to its tensors: from the kept file where there is one, else from the source.

The source is slow: torchvision takes seconds to import and to parse. What it gives is therefore kept
as one file in the user's cache directory, which every later process maps into memory, so that the
processes of a machine share its pages. The kept file is advice: without it, or where it cannot be
written, the source is read.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from lmc_sweep.data import kept, locations
from lmc_sweep.errors import SweepError
from workers.datasets.definitions import DATASETS, DatasetDefinition

if TYPE_CHECKING:
    from torch import Tensor

    from workers.datasets.tensors import Dataset


def load(name: str) -> Dataset:
    """The data set as bytes and labels, both splits; the same object to every caller in this process.

    Raises:
        SweepError: If the data set is unknown, not there, or its files cannot be read as what they should be.
    """
    locations.require(name)
    key = kept.source_key(name, list(locations.source_files(name)))
    return _load(name, str(kept.path(name, key)))


@lru_cache(maxsize=4)
def _load(name: str, kept_path: str) -> Dataset:
    """The data set whose tensors are, or will be, kept at a path; the path names the state of the source."""
    from workers.datasets.tensors import Dataset

    tensors = kept.read(kept_path)
    if tensors is None or _mismatch(tensors, DATASETS[name]):
        tensors = _read_source(name)
        kept.write(kept_path, tensors)
        tensors = kept.read(kept_path) or tensors  # mapped, so that the private copy can go
    return Dataset(definition=DATASETS[name], **tensors)


def _read_source(name: str) -> dict[str, Tensor]:
    """The tensors as the source has them, checked against the definition."""
    try:
        tensors = _digits() if name == "digits" else _torchvision(name)
    except (OSError, RuntimeError, ValueError, AssertionError, IndexError, KeyError) as error:
        raise SweepError(f"{_unreadable(name)}: {type(error).__name__}: {error}. {_remedy(name)}") from error
    if found := _mismatch(tensors, DATASETS[name]):
        raise SweepError(f"{_unreadable(name)}: {found}. {_remedy(name)}")
    return tensors


def _digits() -> dict[str, Tensor]:
    """The digits of scikit-learn; the test set is every index i with i % 5 == 4."""
    import torch
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = torch.from_numpy(bunch.images).to(torch.uint8).unsqueeze(1)
    labels = torch.from_numpy(bunch.target).to(torch.int64)
    test = torch.arange(len(labels)) % 5 == 4
    return {
        "train_images": images[~test],
        "train_labels": labels[~test],
        "test_images": images[test],
        "test_labels": labels[test],
    }


def _torchvision(name: str) -> dict[str, Tensor]:
    """The images (with a channel axis) and labels that torchvision reads from the root."""
    import torch
    import torchvision.datasets

    make = getattr(torchvision.datasets, locations.TORCHVISION_CLASSES[name])
    tensors = {}
    for split in ("train", "test"):
        source = make(locations.data_root(), train=split == "train")
        tensors[f"{split}_images"] = source.data.unsqueeze(1).contiguous()
        tensors[f"{split}_labels"] = source.targets.to(torch.int64)
    return tensors


def _mismatch(tensors: dict[str, Tensor], definition: DatasetDefinition) -> str | None:
    """How shapes, types or labels differ from the definition, in words; None where they do not."""
    import torch

    for split in ("train", "test"):
        num_examples = definition.num_examples(split)
        for part, shape, dtype in (
            (f"{split}_images", (num_examples, *definition.shape), torch.uint8),
            (f"{split}_labels", (num_examples,), torch.int64),
        ):
            tensor = tensors.get(part)
            if tensor is None or tuple(tensor.shape) != shape or tensor.dtype != dtype:
                found = "nothing" if tensor is None else f"{tuple(tensor.shape)} {tensor.dtype}"
                return f"{part} should be {shape} {dtype}, found {found}"
        low, high = (int(bound) for bound in tensors[f"{split}_labels"].aminmax())
        if low < 0 or high >= definition.num_classes:
            return f"{split}_labels run from {low} to {high}, not from 0 to {definition.num_classes - 1}"
    return None


def _unreadable(name: str) -> str:
    return f"data set '{name}' cannot be read from {next(iter(locations.source_files(name))).parent}"


def _remedy(name: str) -> str:
    if name == "digits":
        return "Reinstall scikit-learn, which ships it"
    return f"Remove that folder and fetch it again: lmc-sweep datasets fetch {name}"
