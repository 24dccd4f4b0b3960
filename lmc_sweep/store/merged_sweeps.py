"""The sweep files of one store brought into another, none of which takes the place of another."""

from __future__ import annotations

import hashlib

from lmc_sweep.config import document
from lmc_sweep.config.refusals import Refusal
from lmc_sweep.errors import StoreError
from lmc_sweep.store import layout, sweeps
from lmc_sweep.store.provenance import sweep_text
from lmc_sweep.store.store import Store

_LONGEST_NAME = 100
_DIGITS = 8


def merge_sweeps(store: Store, other: Store, problems: list[tuple[str, str]]) -> dict[str, str]:
    """Names of the sweeps of ``other``, each with the one that it has in ``store``.

    A name that is free, or whose text is the same, stays. A sweep of the same name with another text
    comes in as NAME-XXXXXXXX, after the hash of its text, its key ``name`` changed to that: run again, it
    is the same sweep. Where that is here from an earlier merge, and was changed since, it stays as it is.
    Files that cannot be read are left out and named in ``problems``.
    """
    renamed = {}
    taken = set(store.sweeps())
    for name in other.sweeps():
        path = f"{layout.SWEEPS}/{name}/sweep.yaml"
        try:
            layout.sweep_folder(name)
            text = sweep_text(other.files, name)
            value = document.read(text)
        except (StoreError, Refusal) as error:
            problems.append((path, str(error).removeprefix(f"{other.files.told(path)}: ")))
            continue
        if name in taken and _text(store, name) != text:
            digest = hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
            given = f"{name[: _LONGEST_NAME - _DIGITS - 1]}-{digest}"
            if isinstance(value, dict) and "name" in value:
                text = document.write({**value, "name": given})
        else:
            given = name
        if given == name or given not in taken or _text(store, given) is None:
            sweeps.write_text(given, text, store.terms)
        renamed[name] = given
    return renamed


def _text(store: Store, name: str) -> str | None:
    """The text of a sweep of the store; None where it cannot be read, which is as good as another."""
    try:
        return sweep_text(store.files, name)
    except StoreError:
        return None
