"""The examples that an entry of ``networks`` names: a data set, its size, a subset, label noise."""

from __future__ import annotations

from typing import Any

from lmc_sweep.config import fields, user_code
from lmc_sweep.config.grid import Located
from lmc_sweep.config.refusals import Refusal, unknown
from lmc_sweep.errors import SweepError
from workers.datasets.definitions import DATASETS, define
from workers.specs import DataSpec, NetworkKind, UserDataset

KEYS = ("dataset", "input_size", "num_train", "num_test", "subset_seed", "label_noise")


def read(point: Located) -> tuple[DataSpec, float]:
    """The examples, options that change nothing left at their neutral value, and the label noise."""
    name = point.value["dataset"].plain()
    whole = DataSpec(dataset=name, user=_user(name, point.at("dataset")))
    full = define(whole)
    size = _option(point, "input_size")
    if size is not None and full.shape[1] == full.shape[2] == size:
        size = None
    kept: dict[str, int | None] = {}
    for key, available in (("num_train", full.num_train), ("num_test", full.num_test)):
        asked = _option(point, key)
        if asked is not None and asked > available:
            raise Refusal(
                point.at(key), f"{name} has {available} examples to choose from, not {asked}. Ask for fewer"
            )
        kept[key] = None if asked == available else asked
    seed = _option(point, "subset_seed") or 0
    if kept["num_train"] is None and kept["num_test"] is None:
        seed = 0
    data = DataSpec(dataset=name, input_size=size, subset_seed=seed, user=whole.user, **kept)
    return data, _option(point, "label_noise") or 0.0


def inert(point: Located, data: DataSpec) -> dict[tuple[str, ...], str]:
    """The options of a point that change nothing, and why.

    On an axis, the size that a data set has by itself is a value like others.
    """
    reasons: dict[tuple[str, ...], str] = {}
    full = define(DataSpec(dataset=data.dataset, user=data.user))
    if _is_single(point, "input_size") and data.input_size is None:
        reasons["input_size",] = (
            f"the images of {data.dataset} are {full.shape[1]}x{full.shape[2]} as they are"
        )
    for key in ("num_train", "num_test"):
        if _is_single(point, key) and getattr(data, key) is None:
            reasons[key,] = f"{data.dataset} has so many examples as it is"
    if point.get("subset_seed") is not None and data.num_train is None and data.num_test is None:
        reasons["subset_seed",] = "without num_train or num_test no subset is drawn"
    noise, num_train = _option(point, "label_noise"), define(data).num_train
    if noise and round(noise * num_train) == 0:
        reasons["label_noise",] = f"{noise:g} of {num_train} training labels is less than one label"
    return reasons


def _is_single(point: Located, key: str) -> bool:
    """Whether an option is there, and is no axis."""
    found = point.get(key)
    return found is not None and not found.path.endswith("]")


def _option(point: Located, key: str) -> Any:
    """A checked option; None where it is left out."""
    found = point.get(key)
    if found is None:
        return None
    return fields.checked(fields.annotation(NetworkKind, key), found.plain(), found.path)


def _user(name: Any, path: str) -> UserDataset | None:
    """What is known of a data set of the user's own; None for those that the program knows."""
    if user_code.is_name(name):
        from lmc_sweep.data.user import read_user

        user_code.search_working_directory()
        try:
            return read_user(name)[0]
        except SweepError as error:
            raise Refusal(path, str(error)) from error
    if not isinstance(name, str) or name not in DATASETS:
        known = [*DATASETS, "pkg.module:function"]
        raise Refusal(path, unknown("data set", name, known, "data sets"))
    return None
