"""Items that failed, told again by the sweep file that a store keeps, since no row tells them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lmc_sweep.config import document, parse_sweep
from lmc_sweep.config.refusals import Refusal
from lmc_sweep.config.sweep import Sweep
from lmc_sweep.errors import StoreError, SweepError
from lmc_sweep.planning.items import Item, items
from lmc_sweep.store import layout
from lmc_sweep.store.provenance import sweep_text
from lmc_sweep.store.store import Store
from workers import user_code


def failed_ids(store: Store) -> set[str]:
    """Ids of the items that failed and have no result yet."""
    return {key for (ids,) in store.failures().project("item_ids").fetchall() for key in ids}


def failed_item(store: Store, item_id: str, *, user_code_allowed: bool) -> Item:
    """The item of a failure, from the sweep file of the sweep that it belongs to.

    Raises:
        StoreError: If no sweep of the store asks for it any more, or reading its sweep file would import
            modules or read files that the store names, and that is not allowed.
    """
    rows = store.failures().project("sweep, item_ids").fetchall()
    named = [sweep for sweep, ids in rows if item_id in ids and sweep is not None]
    for name in dict.fromkeys([*named, *(() if named else store.sweeps())]):
        sweep = read_sweep(store, name, user_code_allowed=user_code_allowed)
        for of_kind in items(sweep).values():
            for item in of_kind:
                if item.id == item_id:
                    return item
    raise StoreError(
        f"{store.uri}: {item_id} failed, and the sweep file of {', '.join(named) or 'no sweep'} asks for no "
        "such item any more: the file, a module it names, or the program has changed"
    )


def read_sweep(store: Store, name: str, *, user_code_allowed: bool) -> Sweep:
    """A sweep as the store keeps it; code and files that it names are only touched where that is allowed."""
    path = store.files.told(f"{layout.sweep_folder(name)}/sweep.yaml")
    text = sweep_text(store.files, name)
    try:
        named = sorted(set(_named(document.read(text))))
    except Refusal as error:
        raise StoreError(f"{path}: {error}") from error
    if named and not user_code_allowed:
        raise StoreError(
            f"{path} names {', '.join(named)}, and what a store names is not imported or read unasked: "
            "--user-code allows it, from the working directory. Read it first if the store is not yours"
        )
    try:
        return parse_sweep(text, path)
    except SweepError as error:
        raise StoreError(str(error)) from error


def _named(value: Any) -> Iterator[str]:
    """Modules and files that a sweep names anywhere."""
    if isinstance(value, dict):
        for key, entry in value.items():
            if key == "checkpoints":
                yield str(entry)
            yield from _named(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from _named(entry)
    elif isinstance(value, str) and user_code.is_name(value):
        yield value
