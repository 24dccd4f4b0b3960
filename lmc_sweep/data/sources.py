"""The tensors of a data set as its source has them: scikit-learn's file, or torchvision's.

This is the slow way in, taken once per machine: see ``lmc_sweep.data.kept``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmc_sweep.data import locations
from lmc_sweep.errors import SweepError
from workers.datasets.definitions import DATASETS, DatasetDefinition

if TYPE_CHECKING:
    from torch import Tensor

_SPLITS = ("train", "test")


def read_source(name: str) -> dict[str, Tensor]:
    """Images (with a channel axis) and labels of both splits, checked against the definition.

    Raises:
        SweepError: If a file is corrupt or holds something else; it is named.
    """
    where = f"data set '{name}' cannot be read from {locations.location(name)}"
    try:
        tensors = _digits() if name == "digits" else _torchvision(name)
    except SweepError as error:
        raise SweepError(f"{where}: {error}. {_remedy(name)}") from error
    except (OSError, RuntimeError, ValueError, AssertionError, IndexError, KeyError, TypeError) as error:
        raise SweepError(f"{where}: {type(error).__name__}: {error}. {_remedy(name)}") from error
    if found := mismatch(tensors, DATASETS[name]):
        raise SweepError(f"{where}: {found}. {_remedy(name)}")
    return tensors


def mismatch(tensors: dict[str, Tensor], definition: DatasetDefinition) -> str | None:
    """How shapes, types or labels differ from the definition, in words; None where they do not."""
    import torch

    for split in _SPLITS:
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
    """What torchvision reads, with the channels before the rows."""
    import torch
    import torchvision.datasets

    made = getattr(torchvision.datasets, locations.TORCHVISION_CLASSES[name])
    _check_digests(made, locations.location(name))
    tensors = {}
    for split in _SPLITS:
        option: Any = {"split": split} if name == "svhn" else {"train": split == "train"}
        source = made(locations.data_root(), **option)
        images = torch.as_tensor(source.data)
        if name.startswith("cifar"):  # torchvision turns them for display
            images = images.permute(0, 3, 1, 2)
        elif images.ndim == 3:
            images = images.unsqueeze(1)
        labels = source.labels if name == "svhn" else source.targets
        tensors[f"{split}_images"] = images.contiguous()
        tensors[f"{split}_labels"] = torch.as_tensor(labels).to(torch.int64)
    return tensors


def _check_digests(made: Any, folder: Path) -> None:
    """Raises a SweepError that names the first file whose MD5 is not the one that torchvision lists.

    Before anything is read: the files of CIFAR are pickles, which run code as they are opened.
    """
    from torchvision.datasets.utils import check_integrity

    listed = [*getattr(made, "train_list", ()), *getattr(made, "test_list", ())]
    if meta := getattr(made, "meta", None):
        listed.append((meta["filename"], meta["md5"]))
    splits = getattr(made, "split_list", {})
    listed.extend((splits[split][1], splits[split][2]) for split in _SPLITS if split in splits)
    for file, digest in listed:
        if not check_integrity(folder / file, digest):
            raise SweepError(f"{file} is corrupt: its MD5 is not {digest}")


def _remedy(name: str) -> str:
    if name == "digits":
        return locations.remedy(name)
    if locations.location(name) == locations.data_root():
        return f"Remove that file and fetch it again: lmc-sweep datasets fetch {name}"
    return f"Remove that folder and fetch it again: lmc-sweep datasets fetch {name}"
