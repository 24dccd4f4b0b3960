"""From what a spec asks for to its tensors: from the kept file where there is one, else from the source.

The source is slow: torchvision takes seconds to import and to parse. What it gives is therefore kept
as one file in the user's cache directory, which every later process maps into memory, so that the
processes of a machine share its pages. A subset, or the data set at another size, is kept likewise.
The kept files are advice: without them, or where they cannot be written, the source is read.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from lmc_sweep.data import image_folder, kept, locations, user
from lmc_sweep.data.sources import mismatch, read_source
from lmc_sweep.errors import SweepError
from workers import user_code
from workers.datasets.definitions import define
from workers.specs import DataSpec

if TYPE_CHECKING:
    from torch import Tensor

    from workers.datasets.tensors import Dataset


def load(data: DataSpec | str) -> Dataset:
    """The examples as bytes and labels, both splits; the same object to every caller in this process.

    Args:
        data: What is asked for, or the name of a data set, whole and at its own size.

    Raises:
        SweepError: If the data set is unknown, not there, smaller than the subset asked of it, its files
            cannot be read as what they should be, or it is the user's own and others than was planned.
    """
    asked = DataSpec(dataset=data) if isinstance(data, str) else data
    locations.require(asked.dataset)
    if user_code.is_name(asked.dataset):
        planned = asked.user or user.read_user(asked.dataset)[0]
        return _load(replace(asked, user=planned), kept.path("user", planned.sha256[:16]))
    key = kept.source_key(asked.dataset, list(locations.source_files(asked.dataset)))
    return _load(asked, kept.path(asked.dataset, key))


@lru_cache(maxsize=8)
def _load(data: DataSpec, whole_path: Path) -> Dataset:
    """The examples of a spec; the path, where the whole is or will be kept, names the state of the source."""
    from workers.datasets.tensors import Dataset

    if data.dataset == "imagenet":
        return image_folder.load_folder(data, whole_path)
    definition = define(data)
    whole = DataSpec(dataset=data.dataset, user=data.user)
    agrees = partial(mismatch, definition=definition)
    if data == whole and data.user is not None:
        read = user.reread(data.dataset, data.user)  # in every process: nothing else tells that it changed
        tensors = kept.kept_or_made(whole_path, lambda: read, agrees)
    elif data == whole:
        tensors = kept.kept_or_made(whole_path, partial(read_source, data.dataset), agrees)
    else:
        if data.user is not None:
            _load(whole, whole_path)  # refuses what has changed, also where the part is kept
        path = kept.variant_path(whole_path, data)
        tensors = kept.kept_or_made(path, lambda: _variant(data, _load(whole, whole_path)), agrees)
    return Dataset(definition=definition, **tensors)


def _variant(data: DataSpec, whole: Dataset) -> dict[str, Tensor]:
    """The rows of the subsets, at the size asked for."""
    from workers.datasets.resizing import resized
    from workers.datasets.subsets import subset_rows

    tensors = {}
    for split, num_kept in (("train", data.num_train), ("test", data.num_test)):
        images, labels = whole.images(split), whole.labels(split)
        try:
            rows = subset_rows(data.dataset, split, len(labels), num_kept, data.subset_seed)
        except ValueError as error:
            raise SweepError(f"{error}. Ask for fewer") from error
        chosen = images[rows]
        tensors[f"{split}_images"] = chosen if data.input_size is None else resized(chosen, data.input_size)
        tensors[f"{split}_labels"] = labels[rows]
    return tensors
