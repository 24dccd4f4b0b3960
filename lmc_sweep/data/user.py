"""Data sets of the user's own: what ``pkg.module:function`` returns, checked, measured and named by content.

The function takes no arguments and returns a mapping with

    train_images, test_images    uint8, (N, height, width) or (N, channels, height, width)
    train_labels, test_labels    integers from 0, (N,)
    num_classes                  optional; the largest label + 1 where it is left out

each an array of NumPy or a tensor. Images are normalized per channel by the mean and the deviation of
the training images, x / 255.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lmc_sweep.errors import SweepError
from workers import user_code
from workers.specs import UserDataset

if TYPE_CHECKING:
    from torch import Tensor

ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")
_KEYS = (*ARRAYS, "num_classes")


def read_user(name: str) -> tuple[UserDataset, dict[str, Tensor]]:
    """What is known of a data set of the user's own, and its arrays as tensors. Runs the user's function.

    Returns:
        The description, whose ``sha256`` is that of names, shapes, types and bytes of the arrays; and
        images (N, channels, height, width) uint8 and labels int64, by name.

    Raises:
        SweepError: If the function is not there, fails, or returns anything else than described above.
    """
    try:
        returned = user_code.resolve(name)()
    except Exception as error:  # whatever the user's module and function do
        told = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        told = " ".join(told.split())  # on one line
        prefix = "" if told.startswith(name) else f"{name} failed: "
        raise SweepError(f"data set '{name}' cannot be read: {prefix}{told}") from error
    try:
        tensors = _tensors(returned)
        num_classes = _num_classes(tensors, returned.get("num_classes"))
    except ValueError as error:
        raise SweepError(f"data set '{name}': {error}") from error
    mean, std = _mean_and_std(tensors["train_images"])
    channels, height, width = tensors["train_images"].shape[1:]
    described = UserDataset(
        sha256=_sha256(tensors),
        shape=(channels, height, width),
        num_classes=num_classes,
        num_train=len(tensors["train_labels"]),
        num_test=len(tensors["test_labels"]),
        mean=mean,
        std=std,
    )
    return described, tensors


def reread(name: str, planned: UserDataset) -> dict[str, Tensor]:
    """The arrays of a data set of the user's own, the same as when it was planned.

    Raises:
        SweepError: If it cannot be read, or its arrays are others by now.
    """
    found, tensors = read_user(name)
    if found.sha256 != planned.sha256:
        raise SweepError(
            f"data set '{name}' has changed since it was planned: its arrays had SHA-256 "
            f"{planned.sha256[:12]}..., now {found.sha256[:12]}... . Its function must return the same "
            "arrays in every process; plan again if the change is meant"
        )
    return tensors


def _tensors(returned: Any) -> dict[str, Tensor]:
    """The arrays as images (N, channels, height, width) uint8 and labels int64."""
    if not isinstance(returned, Mapping):
        raise ValueError(
            f"the function must return a mapping with {', '.join(ARRAYS)}, not {_kind(returned)}"
        )
    if missing := [key for key in ARRAYS if key not in returned]:
        found = ", ".join(map(str, returned)) or "nothing"
        raise ValueError(f"the mapping lacks {', '.join(missing)}; it holds {found}")
    if foreign := [str(key) for key in returned if key not in _KEYS]:
        raise ValueError(
            f"the mapping holds {', '.join(foreign)}, which mean nothing; known: {', '.join(_KEYS)}"
        )
    tensors = {}
    for split in ("train", "test"):
        images = _images(f"{split}_images", returned[f"{split}_images"])
        labels = _labels(f"{split}_labels", returned[f"{split}_labels"])
        if len(images) != len(labels):
            raise ValueError(f"{split}_images are {len(images)}, {split}_labels {len(labels)}")
        tensors[f"{split}_images"], tensors[f"{split}_labels"] = images, labels
    train, test = (tuple(tensors[f"{split}_images"].shape[1:]) for split in ("train", "test"))
    if train != test:
        raise ValueError(f"an image of train_images has shape {train}, one of test_images {test}")
    return tensors


def _images(key: str, value: Any) -> Tensor:
    """Images (N, channels, height, width)."""
    import torch

    images = _array(key, value)
    shape = tuple(images.shape)
    if images.dtype != torch.uint8:
        raise ValueError(f"{key} must be bytes (uint8, 0 to 255), they are {images.dtype}")
    if images.ndim not in (3, 4) or 0 in shape:
        raise ValueError(
            f"{key} must have shape (N, height, width) or (N, channels, height, width), they have {shape}"
        )
    if images.ndim == 3:
        images = images.unsqueeze(1)
    elif shape[3] in (1, 3) and shape[1] not in (1, 3):
        raise ValueError(
            f"{key} of shape {shape} seem to have their channels last; they come before the height, as in "
            "torch: permute(0, 3, 1, 2)"
        )
    return images.contiguous()


def _labels(key: str, value: Any) -> Tensor:
    """Labels (N,) from 0, as int64."""
    import torch

    labels = _array(key, value)
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool or labels.ndim != 1:
        raise ValueError(f"{key} must be integers (N,), they are {labels.dtype} {tuple(labels.shape)}")
    labels = labels.to(torch.int64)
    if len(labels) and int(labels.min()) < 0:
        raise ValueError(f"{key} run from {int(labels.min())}; classes are counted from 0")
    return labels.contiguous()


def _array(key: str, value: Any) -> Tensor:
    """An array of NumPy or a tensor, on the CPU, shared with the user's where it can be."""
    import numpy as np
    import torch

    if isinstance(value, torch.Tensor):
        return value.detach().cpu()
    if not isinstance(value, np.ndarray):
        raise ValueError(f"{key} must be an array of NumPy or a tensor, not {_kind(value)}")
    try:
        return torch.tensor(value)
    except TypeError as error:
        raise ValueError(f"{key} of type {value.dtype} are no numbers that torch knows: {error}") from error


def _num_classes(tensors: dict[str, Tensor], declared: Any) -> int:
    """The number of classes declared, or that the labels show."""
    largest = max(int(tensors[f"{split}_labels"].max()) for split in ("train", "test"))
    if declared is None:
        declared = largest + 1
    if isinstance(declared, bool) or not isinstance(declared, int) or declared <= largest or declared < 2:
        raise ValueError(
            f"num_classes is {declared!r}; labels run to {largest}, and there are at least 2 classes"
        )
    return declared


def _mean_and_std(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of x / 255 per channel; deviation 1 for a channel that is constant.

    From counts of byte values, in whole numbers up to the end: the same on every machine.
    """
    means, stds = [], []
    for channel in range(images.shape[1]):
        counts = images[:, channel].flatten().bincount(minlength=256).tolist()
        total = sum(counts)
        first = sum(value * count for value, count in enumerate(counts))
        second = sum(value * value * count for value, count in enumerate(counts))
        means.append(first / (255 * total))
        stds.append(math.sqrt((second * total - first * first) / (255 * total) ** 2) or 1.0)
    return tuple(means), tuple(stds)


def _sha256(tensors: dict[str, Tensor]) -> str:
    """SHA-256 of names, shapes, types and bytes, in a fixed order."""
    digest = hashlib.sha256()
    for name in ARRAYS:
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.numpy().data)
    return digest.hexdigest()


def _kind(value: Any) -> str:
    return type(value).__name__
