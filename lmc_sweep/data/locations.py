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
from workers.datasets.definitions import DATASETS, DatasetDefinition

TORCHVISION_CLASSES = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}
"""Data set to its class in ``torchvision.datasets``, which is also the name of its folder under the root."""

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


def source_files(name: str) -> dict[Path, int | None]:
    """The files a data set is read from, each with the size it must have in bytes (None: any)."""
    definition = _definition(name)
    if name == "digits":
        package = importlib.util.find_spec("sklearn")  # finds it without importing it
        assert package is not None, "scikit-learn is a dependency of this package"
        assert package.origin is not None, "scikit-learn is a regular package"
        return {Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz": None}
    raw = data_root() / TORCHVISION_CLASSES[name] / "raw"
    sizes: dict[Path, int | None] = {}
    for prefix, num_examples in (("train", definition.num_train), ("t10k", definition.num_test)):
        sizes[raw / f"{prefix}-images-idx3-ubyte"] = _IDX_IMAGES_HEADER + num_examples * definition.num_inputs
        sizes[raw / f"{prefix}-labels-idx1-ubyte"] = _IDX_LABELS_HEADER + num_examples
    return sizes


def problem(name: str) -> str | None:
    """What keeps a data set from being read, in words that follow its name; None where nothing does."""
    root = data_root()
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
    """Raises a SweepError, with the root searched and the command that fetches it, if it is not present."""
    if found := problem(name):
        origin = "LMC_SWEEP_DATA" if os.environ.get("LMC_SWEEP_DATA") else "the user's cache directory"
        raise SweepError(
            f"data set '{name}' is not whole under {data_root()} ({origin}): it {found}. "
            f"Fetch it: lmc-sweep datasets fetch {name}"
        )


def known() -> list[KnownDataset]:
    """Every data set the program knows."""
    return [
        KnownDataset(name=name, location=next(iter(source_files(name))).parent, problem=problem(name))
        for name in DATASETS
    ]


def _definition(name: str) -> DatasetDefinition:
    if name not in DATASETS:
        raise SweepError(f"unknown data set '{name}'. Known data sets: {', '.join(DATASETS)}")
    return DATASETS[name]
