"""imagenet: images that lie in one folder a class and are decoded as they are taken.

The listing of the folders (over a million names) is kept in the cache directory and mapped, so that
the processes of a machine share it too.
"""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from lmc_sweep.data import kept, locations
from lmc_sweep.data.sources import mismatch
from lmc_sweep.errors import SweepError
from workers.datasets.definitions import DATASETS, define
from workers.specs import DataSpec

if TYPE_CHECKING:
    from torch import Tensor

    from workers.datasets.tensors import Dataset

_FOLDERS = {"train": "train", "test": "val"}
_SUFFIXES = (".jpeg", ".jpg", ".png")
_KEPT_BYTES = 2e9  # images that take less than this are decoded once and kept; more are streamed
_AHEAD = 512  # images decoded ahead of a reader that goes through them in order
_SHORTER_SIDE, _CROP = 256, 224  # the usual way of evaluation: He et al. 2015, one central crop


@dataclass(frozen=True, eq=False)
class FolderImages:
    """Images of a split as bytes, decoded on threads when they are taken.

    ``images[slice]`` and ``images[index]`` are tensors (B, 3, size, size). A reader that takes slices
    in order finds the beginning of the next one decoded. Several threads may read.

    Attributes:
        folder: Of the split.
        names: Paths below it, one after another, as bytes.
        ends: Where each path ends in ``names``.
        rows: Which of the paths these images are.
        size: Of the square that is cut from the middle, in pixels.
    """

    folder: Path
    names: Tensor
    ends: Tensor
    rows: Tensor
    size: int
    _lock: Lock = field(default_factory=Lock, init=False, repr=False)
    """Held by who looks up or changes what is decoded ahead; never while an image is decoded."""

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: slice | Tensor) -> Tensor:
        import torch

        chosen = torch.arange(len(self))[index if isinstance(index, slice) else index.cpu()]
        places = chosen.tolist()
        with self._lock:
            decoding = [self._begun(place) for place in places]
            if isinstance(index, slice) and places:
                self._look_ahead(places[-1] + 1)
        images = torch.empty(len(places), 3, self.size, self.size, dtype=torch.uint8)
        for image, future in zip(images, decoding, strict=True):
            image.copy_(future.result())
        return images

    def path(self, place: int) -> Path:
        """The file of an image."""
        row = int(self.rows[place])
        start = int(self.ends[row - 1]) if row else 0
        return self.folder / os.fsdecode(self.names[start : int(self.ends[row])].numpy().tobytes())

    def _begun(self, place: int) -> Future[Tensor]:
        """What was decoded ahead, else begun now; by who has the lock."""
        ahead: Future[Tensor] | None = self._ahead.pop(place, None)
        return ahead or self._decode(place)

    def _decode(self, place: int) -> Future[Tensor]:
        return self._threads.submit(decoded, self.path(place), self.size)

    def _look_ahead(self, start: int) -> None:
        """Begins to decode what follows, and forgets what was decoded for nothing; by who has the lock."""
        wanted = range(start, min(start + _AHEAD, len(self)))
        for place in [place for place in self._ahead if place not in wanted]:
            self._ahead.pop(place).cancel()
        for place in wanted:
            if place not in self._ahead:
                self._ahead[place] = self._decode(place)

    @cached_property
    def _ahead(self) -> dict[int, Future[Tensor]]:
        return {}

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        """As many threads as torch has in this process: a worker's share of the machine."""
        import torch

        return ThreadPoolExecutor(max_workers=torch.get_num_threads(), thread_name_prefix="decode")


def decoded(file: Path, size: int) -> Tensor:
    """One image (3, size, size): its shorter side resized to 8/7 of that, the middle cut out.

    Bilinear with antialiasing, as torchvision resizes images that it has from Pillow.

    Raises:
        SweepError: If the file is no image that can be decoded.
    """
    import numpy as np
    import torch
    from PIL import Image

    shorter = size * _SHORTER_SIDE // _CROP
    try:
        with Image.open(file) as opened:
            image = opened.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        told = str(error) or type(error).__name__
        raise SweepError(f"image {file} cannot be decoded: {told}. Lay it out anew") from error
    width, height = image.size
    short = min(width, height)
    image = image.resize(
        (max(size, shorter * width // short), max(size, shorter * height // short)), Image.Resampling.BILINEAR
    )
    left, top = round((image.width - size) / 2), round((image.height - size) / 2)
    pixels = np.array(image.crop((left, top, left + size, top + size)), dtype=np.uint8)
    return torch.from_numpy(pixels).permute(2, 0, 1)


def load_folder(data: DataSpec, listing_path: Path) -> Dataset:
    """The examples of a spec; images as tensors where they are few, else streamed.

    Without ``num_train`` and ``num_test`` the official numbers of images must be there; with them, any
    folder of at most 1000 classes that holds as many.

    Raises:
        SweepError: If the folders hold fewer images or more classes than they should.
    """
    from workers.datasets.subsets import subset_rows
    from workers.datasets.tensors import Dataset

    definition = define(data)
    listing = kept.kept_or_made(listing_path, _listing, _listing_problem)
    streams: dict[str, FolderImages] = {}
    labels: dict[str, Tensor] = {}
    for split, num_kept in (("train", data.num_train), ("test", data.num_test)):
        folder = locations.location(data.dataset) / _FOLDERS[split]
        found = listing[f"{split}_labels"]
        official = DATASETS[data.dataset].num_examples(split)
        if num_kept is None and len(found) != official:
            raise SweepError(
                f"data set '{data.dataset}' has {len(found)} images under {folder}, not {official}. "
                f"Lay out all of them, or ask for a part: num_{split}"
            )
        try:
            rows = subset_rows(data.dataset, split, len(found), num_kept, data.subset_seed)
        except ValueError as error:
            raise SweepError(f"{error} under {folder}. Ask for fewer") from error
        names, ends = listing[f"{split}_names"], listing[f"{split}_ends"]
        streams[split] = FolderImages(folder, names, ends, rows, definition.shape[-1])
        labels[f"{split}_labels"] = found[rows]
    num_bytes = (definition.num_train + definition.num_test) * definition.num_inputs
    if num_bytes >= _KEPT_BYTES:
        return Dataset(
            definition=definition, train_images=streams["train"], test_images=streams["test"], **labels
        )
    path = kept.variant_path(listing_path, data)
    decode = partial(_all_decoded, streams, labels)
    return Dataset(definition, **kept.kept_or_made(path, decode, partial(mismatch, definition=definition)))


def _all_decoded(streams: dict[str, FolderImages], labels: dict[str, Tensor]) -> dict[str, Tensor]:
    """All images of both splits, decoded."""
    import torch

    tensors = dict(labels)
    for split, images in streams.items():
        whole = torch.empty(len(images), 3, images.size, images.size, dtype=torch.uint8)
        for start in range(0, len(images), _AHEAD):
            part = slice(start, start + _AHEAD)
            whole[part] = images[part]
        tensors[f"{split}_images"] = whole
    return tensors


def _listing() -> dict[str, Tensor]:
    """Names and labels of all images, sorted by class and name; a label is its class's place in train."""
    import torch

    location = locations.location("imagenet")
    classes = [folder.name for folder in locations.class_folders(location / "train")]
    limit = DATASETS["imagenet"].num_classes
    if len(classes) > limit:
        raise SweepError(
            f"data set 'imagenet' has {len(classes)} classes under {location}/train, not {limit}"
        )
    listing: dict[str, Tensor] = {}
    for split, folder_name in _FOLDERS.items():
        names: list[bytes] = []
        labels: list[int] = []
        for folder in locations.class_folders(location / folder_name):
            if folder.name not in classes:
                raise SweepError(
                    f"data set 'imagenet': {folder} is a class that {location}/train has not. "
                    "The images of val lie in one folder a class, named as in train"
                )
            with os.scandir(folder) as entries:
                found = sorted(e.name for e in entries if e.name.lower().endswith(_SUFFIXES))
            names += [os.fsencode(f"{folder.name}/{name}") for name in found]
            labels += [classes.index(folder.name)] * len(found)
        listing[f"{split}_names"] = torch.frombuffer(bytearray(b"".join(names) or b"\0"), dtype=torch.uint8)
        listing[f"{split}_ends"] = torch.tensor([len(name) for name in names], dtype=torch.int64).cumsum(0)
        listing[f"{split}_labels"] = torch.tensor(labels, dtype=torch.int64)
    return listing


def _listing_problem(listing: dict[str, Tensor]) -> str | None:
    """What a kept listing lacks."""
    expected = {f"{split}_{part}" for split in _FOLDERS for part in ("names", "ends", "labels")}
    return None if expected == set(listing) else f"holds {sorted(listing)}"
