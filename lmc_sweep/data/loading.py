"""From what a spec asks for to its tensors: from the kept file where there is one, else from the source.

The source is slow: torchvision takes seconds to import and to parse. What it gives is therefore kept
as one file in the user's cache directory, which every later process maps into memory, so that the
processes of a machine share its pages. A subset, or the data set at another size, is kept likewise.
The kept files are advice: without them, or where they cannot be written, the source is read.
"""

from __future__ import annotations

from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from lmc_sweep.data import kept, locations
from lmc_sweep.data.sources import mismatch, read_source
from lmc_sweep.errors import SweepError
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
        SweepError: If the data set is unknown, not there, smaller than the subset asked of it, or its
            files cannot be read as what they should be.
    """
    asked = DataSpec(dataset=data) if isinstance(data, str) else data
    locations.require(asked.dataset)
    key = kept.source_key(asked.dataset, list(locations.source_files(asked.dataset)))
    return _load(asked, kept.path(asked.dataset, key))


@lru_cache(maxsize=8)
def _load(data: DataSpec, whole_path: Path) -> Dataset:
    """The examples of a spec; the path, where the whole is or will be kept, names the state of the source."""
    from workers.datasets.tensors import Dataset

    definition = define(data)
    whole = DataSpec(dataset=data.dataset, user=data.user)
    if data == whole:
        tensors = kept.kept_or_made(
            whole_path, partial(read_source, data.dataset), partial(mismatch, definition=definition)
        )
    else:
        tensors = kept.kept_or_made(
            kept.variant_path(whole_path, data),
            lambda: _variant(data, _load(whole, whole_path)),
            partial(mismatch, definition=definition),
        )
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
