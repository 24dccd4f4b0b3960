"""Rows back into the items that they stand for, from what a store holds alone.

A row says what it is in canonical JSON, where a field stands only when it differs from its neutral value.
What is read back is believed only when it has the id that the row has. No code that a row names is
imported, and nothing but text is read: no torch, no data set.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from lmc_sweep.errors import StoreError
from lmc_sweep.planning.decoding import checked, decode_method, decode_network, decode_spec, read_json
from lmc_sweep.planning.identity import canonical, identify, method_numerics
from lmc_sweep.planning.item_classes import AlignmentItem, BarrierItem, Item, NetworkItem, StudyItem
from lmc_sweep.planning.pair_items import cell_identity
from lmc_sweep.planning.studies import CLASSES
from lmc_sweep.store.schema import TABLE_OF_KIND
from lmc_sweep.store.store import Store
from workers import user_code
from workers.specs import Correction, NetworkKind, NetworkSpec, Split, World

LARGEST_PAIR_INDEX = 100_000
"""Pairs of one cell among which the one of a row is sought: about a second."""

_ALIGNMENT_COLUMNS = (
    *("alignment_id", "cell_id", "pair_id", "world", "method", "method_json", "networks", "planted_noise"),
)
_BARRIER_COLUMNS = (
    *("barrier_id", "alignment_id", "member_a", "member_b", "split", "correction", "alphas", "layers"),
)


def items_of(store: Store, kind: str, ids: Sequence[str]) -> list[Item]:
    """The items that rows of a store stand for, in the order of their ids.

    Raises:
        StoreError: Naming the row that another version of the program wrote, or that was altered, or what
            it builds on and the store lacks.
    """
    try:
        if kind == NetworkItem.kind:
            return list(_networks(store, ids).values())
        if kind == AlignmentItem.kind:
            return list(_alignments(store, ids, verified=True).values())
        if kind in CLASSES:
            return _study_items(store, CLASSES[kind], ids)
        rows = store.fetch("barriers", ids, _BARRIER_COLUMNS)
        # A curve follows from the permutations that are stored, whichever version of a method found them.
        alignments = _alignments(store, _once(row["alignment_id"] for row in rows), verified=False)
        return [barrier_item(row, alignments[row["alignment_id"]]) for row in rows]
    except KeyError as error:
        raise StoreError(f"{store.uri}: {error.args[0]}. Run its sweep again: it is computed anew") from error


def network_item(row: Mapping[str, Any]) -> NetworkItem:
    """The network that a row of ``networks`` stands for; of one from a file, ``source`` is unknown: None."""
    where = f"networks: {row['network_id']}"
    written = read_json(row["spec_json"], f"{where}: spec_json")
    spec = decode_network(written, f"{where}: spec_json")
    if isinstance(spec, NetworkSpec):
        _same(where, row["network_id"], identify("network", spec))
        _same(f"{where}: cell_id", row["cell_id"], cell_identity(spec))
    else:  # its cell is named by the pattern of files in the sweep file, its network by its content alone
        content = {name: value for name, value in canonical(spec).items() if name != "seed"}
        _same(where, row["network_id"], identify("network", content))
    return NetworkItem(row["network_id"], row["cell_id"], spec)


def alignment_item(
    row: Mapping[str, Any], networks: Mapping[str, NetworkItem], *, verified: bool = True
) -> AlignmentItem:
    """The alignment that a row of ``alignments`` stands for, of networks that are known.

    The index of a pair of world ``real``, from which nothing derives, no row tells: it is 0.

    Args:
        row: Its columns.
        networks: The items of its members, by id.
        verified: Whether the id of the whole must be the row's, beyond that of the pair.
    """
    where = f"alignments: {row['alignment_id']}"
    ids = tuple(checked(tuple[str, ...], row["networks"], f"{where}: networks"))
    members = [networks[key] for key in ids]
    world: World = checked(World, row["world"], f"{where}: world")
    noise = row["planted_noise"]
    if len(ids) < 2 or (noise is not None) != (world == "planted") or (world != "real" and len(set(ids)) > 1):
        raise StoreError(f"{where}: no alignment of world {world} has these networks and this planted_noise")
    method = decode_method(read_json(row["method_json"], f"{where}: method_json"), f"{where}: method_json")
    pair: dict[str, Any] = {"world": world, "networks": ids}
    if noise is not None:
        pair["noise"] = noise
    k = _pair_index(where, row["pair_id"], pair, members[0].spec.seed // len(ids))
    if world != "real":
        pair["k"] = k
    if verified:
        what = {"pair": pair, "method": method, **method_numerics(method)}
        _same(where, row["alignment_id"], identify("alignment", what))
    return AlignmentItem(
        id=row["alignment_id"],
        cell_id=members[0].cell_id,
        pair_id=row["pair_id"],
        pair_index=k,
        world=world,
        networks=ids,
        seeds=tuple(member.spec.seed for member in members),
        method=method,
        cell=members[0].spec,
        planted_noise=noise,
    )


def barrier_item(row: Mapping[str, Any], alignment: AlignmentItem) -> BarrierItem:
    """The curve that a row of ``barriers`` stands for, of an alignment that is known."""
    where = f"barriers: {row['barrier_id']}"
    a, b = row["member_a"], row["member_b"]
    if not 0 <= a < b < len(alignment.networks):
        raise StoreError(f"{where}: its alignment has no members {a} and {b}")
    split: Split = checked(Split, row["split"], f"{where}: split")
    correction: Correction = checked(Correction, row["correction"], f"{where}: correction")
    alphas = tuple(checked(tuple[float, ...], row["alphas"], f"{where}: alphas"))
    what = {
        "alignment": alignment.id,
        "members": [a, b],
        "split": split,
        "correction": correction,
        "alphas": alphas,
    }
    if row["layers"] is not None:
        what["layers"] = row["layers"]
    _same(where, row["barrier_id"], identify("barrier", what))
    return BarrierItem(row["barrier_id"], alignment, a, b, split, correction, alphas, row["layers"])


def _study_items(store: Store, of_class: type[StudyItem], ids: Sequence[str]) -> list[Item]:
    """The items of a study, from ``spec_json`` of their rows and the networks that it names."""
    table = TABLE_OF_KIND[of_class.kind]
    rows = store.fetch(table.name, ids, (str(table.key), "spec_json"))
    specs = []
    for key, row in zip(ids, rows, strict=True):
        where = f"{table.name}: {key}: spec_json"
        specs.append(decode_spec(of_class.spec_class, read_json(row["spec_json"], where), where))
    networks = _networks(store, _once(one for spec in specs for one in getattr(spec, "networks", ())))
    found: list[Item] = []
    for key, spec in zip(ids, specs, strict=True):
        item = of_class.of(spec, networks)
        _same(f"{table.name}: {key}", key, item.id)
        found.append(item)
    return found


def user_names(kind: NetworkKind | None) -> tuple[str, ...]:
    """What a network names of the user's own as ``pkg.module:function``: its module, its data set."""
    if kind is None:
        return ()
    named = (kind.architecture.name, kind.dataset)
    return tuple(name for name in named if user_code.is_name(name))


def kind_of(item: Item) -> NetworkKind | None:
    """What the networks of an item are; None where it is of none."""
    if isinstance(item, NetworkItem):
        return item.spec
    return item.alignment.cell if isinstance(item, BarrierItem) else item.cell


def _networks(store: Store, ids: Sequence[str]) -> dict[str, NetworkItem]:
    rows = store.fetch("networks", ids, ("network_id", "cell_id", "spec_json"))
    return {row["network_id"]: network_item(row) for row in rows}


def _alignments(store: Store, ids: Sequence[str], *, verified: bool) -> dict[str, AlignmentItem]:
    rows = store.fetch(TABLE_OF_KIND["alignment"].name, ids, _ALIGNMENT_COLUMNS)
    networks = _networks(store, _once(key for row in rows for key in row["networks"]))
    return {row["alignment_id"]: alignment_item(row, networks, verified=verified) for row in rows}


def _once(ids: Iterable[str]) -> list[str]:
    """Each id once, in order."""
    return list(dict.fromkeys(ids))


def _pair_index(where: str, pair_id: str, pair: Mapping[str, Any], guess: int) -> int:
    """The k with which the pair has its id, first what consecutive seeds would have it be."""
    if pair["world"] == "real":
        _same(f"{where}: pair_id", pair_id, identify("pair", pair))
        return 0
    for k in chain((guess,), range(LARGEST_PAIR_INDEX)):
        if identify("pair", {**pair, "k": k}) == pair_id:
            return k
    raise StoreError(
        f"{where}: no pair below {LARGEST_PAIR_INDEX} of its networks has the pair_id {pair_id!r}: "
        "another version of the program wrote the row, or it was altered"
    )


def _same(where: str, found: str, expected: str) -> None:
    """Raises StoreError where a row's id is not that of what the row says."""
    if found != expected:
        raise StoreError(
            f"{where}: its columns stand for {expected}, which is another id than {found}. A version of the "
            "program with other numerics wrote the row, and recomputes it, or the row was altered"
        )
