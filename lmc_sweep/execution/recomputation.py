"""One item computed a second time, from its stored inputs, and compared with what its row says.

The body is the one that a run calls. It reads from the store and commits into a scratch store, so that
nothing is written where the results are.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, cast

from lmc_sweep.errors import StoreError
from lmc_sweep.execution.task import Machine
from lmc_sweep.kinds import in_singular
from lmc_sweep.planning.cost import working_bytes
from lmc_sweep.planning.items import AlignmentItem, BarrierItem, Item, NetworkItem, StudyItem
from lmc_sweep.planning.reconstruction import kind_of, user_names
from lmc_sweep.store import layout
from lmc_sweep.store.files import Files
from lmc_sweep.store.schema import TABLE_OF_KIND
from lmc_sweep.store.store import Store
from workers.specs import CheckpointSpec

if TYPE_CHECKING:
    from torch import Tensor

    from workers.params import ParamStack

MAX_STACK_BYTES = 2e9  # what searches may take beside their inputs, as in a sweep file


class ScratchStore:
    """What a body sees of two stores: it reads from one and commits into the other.

    Args:
        source: Where inputs are read.
        scratch: Where results go.
        origins: Checkpoint and row of networks that are read elsewhere than their records say by now.
        aligned: Columns of alignments that are others than their records say by now.
    """

    def __init__(
        self,
        source: Store,
        scratch: Store,
        origins: Mapping[str, tuple[str, int]],
        aligned: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self.path, self._files = source.path, source.files
        self._source, self._scratch = source, scratch
        self._origins, self._aligned = origins, aligned

    def origins(self, network_ids: Sequence[str]) -> list[tuple[str, int]]:
        """Checkpoint and row of each network, in the order given."""
        return [self._origins.get(key) or self._source.origins([key])[0] for key in network_ids]

    def fetch(self, table: str, ids: Sequence[str], columns: Sequence[str]) -> list[dict[str, Any]]:
        """The named columns of the rows with these ids."""
        rows = self._source.fetch(table, ids, columns)
        if table == "alignments":
            rows = [{**row, **self._aligned.get(key, {})} for key, row in zip(ids, rows, strict=True)]
        return rows

    def load_rows(self, origins: Sequence[tuple[str, int]]) -> ParamStack:
        """The weights that lie at these checkpoints and rows."""
        for path, row in origins:
            require_inside(self._files, path, row)
        return self._source.load_rows(origins)

    def load_permutations(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """The permutations that rows name."""
        for row in rows:
            if row["permutations"] is not None:
                require_inside(self._files, row["permutations"], row["row"])
        return self._source.load_permutations(rows)

    def write_tensors(
        self, folder: str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
    ) -> str:
        """Path of the file in the scratch store."""
        return self._scratch.write_tensors(folder, tensors, metadata)

    def commit(self, table: str, rows: Sequence[Mapping[str, Any]]) -> str:
        """Path of the record in the scratch store."""
        return self._scratch.commit(table, rows)


def require_inside(files: Files, path: object, row: object) -> None:
    """Raises StoreError unless a recorded path names a regular file of tensors inside the store."""
    if not isinstance(path, str) or not layout.inside(path) or not isinstance(row, int):
        raise StoreError(f"{files.uri}: a record names {path!r}, row {row!r}: that is no place in this store")
    file = files.root / path
    if file.is_symlink() or file.parent.is_symlink():
        raise StoreError(f"{file}: is a symbolic link, which may lead out of the store: not read")


def require_allowed(item: Item, user_code: bool) -> None:
    """Raises StoreError where an item would import what the store names, and that is not allowed."""
    named = user_names(kind_of(item))
    if named and not user_code:
        raise StoreError(
            f"{in_singular(item.kind)} {item.id} names {', '.join(named)}, and what a store names is not "
            "imported unasked: --user-code runs it from the working directory. Read it first if the store is "
            "not yours"
        )


def require_importable(item: Item, error: Exception) -> None:
    """Raises StoreError where an error is that a module which the item names is not to be found here."""
    cause = error.__cause__ or error
    named = user_names(kind_of(item))
    if isinstance(cause, ModuleNotFoundError):
        for name in named:
            module = name.partition(":")[0]
            if cause.name and (module == cause.name or module.startswith(f"{cause.name}.")):
                raise StoreError(
                    f"{cause.name} is not importable from here: run this in the directory that holds it"
                ) from error


@contextlib.contextmanager
def scratch_store() -> Iterator[Store]:
    """An empty store in a temporary folder, which goes with it."""
    with TemporaryDirectory(prefix="lmc-sweep-") as folder:
        yield Store.create(Path(folder) / "store")


def recompute(store: Store, scratch: Store, item: Item, *, user_code: bool, device: str = "cpu") -> None:
    """Computes an item again from what it read, and commits it into the scratch store.

    Raises:
        StoreError: Where an input is not there, or a module that the store names would be imported.
        Exception: Whatever the computation raises.
    """
    from lmc_sweep.execution.bodies import BODIES
    from workers.device import threads

    require_allowed(item, user_code)
    if user_code and user_names(kind_of(item)):
        from lmc_sweep.config.user_code import search_working_directory

        search_working_directory()
    needed, present = working_bytes(item, MAX_STACK_BYTES), _memory_bytes()
    if needed > present:
        raise StoreError(
            f"{in_singular(item.kind)} {item.id}: takes about {needed:.3g} bytes of memory; "
            f"this machine has {present:.3g}"
        )
    if isinstance(item, NetworkItem) and isinstance(item.spec, CheckpointSpec) and item.source is None:
        item = _from_stored_weights(store, scratch, item)
    seen = ScratchStore(store, scratch, *_inputs(store, item))
    with threads(1):
        BODIES[item.kind](cast(Store, seen), [item], Machine(device, MAX_STACK_BYTES))


def _inputs(store: Store, item: Item) -> tuple[dict[str, tuple[str, int]], dict[str, Mapping[str, Any]]]:
    """What the stored result read, where its row tells: weights of networks, permutations."""
    if isinstance(item, AlignmentItem) and store.held("alignment", [item.id]):
        told = _told(store, "alignments", item.id)
        if "networks" in told:
            places = [(path, row) for path, row in told["networks"]]
            return dict(zip(item.networks, places, strict=True)), {}
    if isinstance(item, StudyItem) and item.networks and store.held(item.kind, [item.id]):
        told = _told(store, TABLE_OF_KIND[item.kind].name, item.id)
        places = [(path, row) for path, row in told.get("networks", ())]
        if len(places) == len(item.networks):
            return dict(zip(item.networks, places, strict=True)), {}
    if isinstance(item, BarrierItem) and store.held("barrier", [item.id]):
        told = _told(store, "barriers", item.id)
        if "networks" in told:
            read = _told(store, "alignments", item.alignment.id)
            for member, place in zip((item.member_a, item.member_b), told["networks"], strict=True):
                read["networks"][member] = place
            path, row = told["permutations"]
            of_alignment = {"permutations": path, "row": row, "inputs_json": json.dumps(read)}
            return {}, {item.alignment.id: of_alignment}
    return {}, {}


def _told(store: Store, table: str, key: str) -> dict[str, Any]:
    """What ``inputs_json`` of a row says; nothing where it says nothing."""
    (row,) = store.fetch(table, [key], ["inputs_json"])
    try:
        found = json.loads(row["inputs_json"] or "{}")
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{table}: {key}: inputs_json is no JSON that this program writes") from error
    return found if isinstance(found, dict) else {}


def _from_stored_weights(store: Store, scratch: Store, item: NetworkItem) -> NetworkItem:
    """The network as if its stored weights were the file that it came from, which the store does not hold."""
    from lmc_sweep import checkpoints
    from lmc_sweep.store.export import export_network

    assert isinstance(item.spec, CheckpointSpec)
    for path, row in store.origins([item.id]):
        require_inside(store.files, path, row)
    file = scratch.path.parent / f"{item.id}.safetensors"
    export_network(store, item.id, file)
    return replace(item, spec=replace(item.spec, sha256=checkpoints.sha256(file)), source=str(file))


def _memory_bytes() -> int:
    """Memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
