"""The networks that an alignment joins, as they are before they are permuted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lmc_sweep.execution.bodies.inputs import on_device
from lmc_sweep.planning.items import AlignmentItem
from lmc_sweep.store.store import Store
from workers.alignment.planted import Planting, perturbed, planted_start
from workers.architectures import StackedProgram
from workers.params import ParamStack
from workers.permutation import permute
from workers.permutation.spec import PermutationSpec


def described(item: AlignmentItem, origins: Sequence[tuple[str, int]]) -> dict[str, Any]:
    """What ``inputs_json`` of an alignment says: checkpoint and row of every member, and what was planted."""
    found: dict[str, Any] = {"networks": [list(origin) for origin in origins]}
    if item.planted_noise is not None:
        found["planted"] = {"pair_index": item.pair_index, "noise": item.planted_noise}
    return found


def load_member(
    store: Store,
    program: StackedProgram,
    read: Sequence[Mapping[str, Any]],
    networks: Sequence[Sequence[str]],
    member: int,
    device: str,
) -> ParamStack:
    """One member of each of P alignments, from the store; in world ``planted`` the perturbed copy.

    Args:
        store: Where the weights lie.
        program: Of the networks.
        read: Per alignment, what ``described`` says.
        networks: Per alignment, the network_id of every member.
        member: Its position.
        device: Where the stack is put.
    """
    params = store.load_rows([(of["networks"][member][0], of["networks"][member][1]) for of in read])
    if member > 0 and any("planted" in of for of in read):
        none = {"pair_index": 0, "noise": 0.0}
        plantings = [
            Planting(ids[member], planted["pair_index"], member, planted["noise"])
            for ids, planted in zip(networks, (of.get("planted", none) for of in read), strict=True)
        ]
        params = perturbed(params, plantings, params.keys() - program.buffers)
    return on_device(params, device)


def starts(items: Sequence[AlignmentItem], spec: PermutationSpec, member: int) -> permute.PermutationStack:
    """The permutation from which each item's member starts: uniform where one was planted, else none.

    It derives from (network_id, k) and the member alone, so every method starts from the same one.
    """
    start = permute.identity(spec, len(items))
    if member == 0:
        return start
    for position, item in enumerate(items):
        if item.world != "real":
            drawn = planted_start(spec, item.networks[0], item.pair_index, member)
            for group, index in drawn.items():
                start[group][position] = index
    return start
