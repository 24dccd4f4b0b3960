"""Which layers move, by name: one curve for each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from workers.architectures.layer_names import layer_names
from workers.datasets.definitions import define
from workers.specs import ArchitectureSpec, DataSpec, ModuleSpec, Moving, NetworkKind


def moving_layers(asked: Sequence[Moving], kind: NetworkKind) -> list[str | None]:
    """None for ``all``; ``each:NAME`` and ``cumulative:NAME`` for every layer of the networks.

    The last of ``cumulative`` moves all of them, and is there to be read beside the others.
    """
    found: list[str | None] = []
    for moving in asked:
        if moving == "all":
            found.append(None)
        else:
            found += [f"{moving}:{name}" for name in _names(kind.architecture, kind.data)]
    return found


@cache
def _names(architecture: ArchitectureSpec, data: DataSpec) -> tuple[str, ...]:
    """Of the layers from input to output; a module of the user's own is built to find out."""
    if not isinstance(architecture, ModuleSpec):
        return layer_names(architecture)
    from workers.architectures.build import build
    from workers.interpolation import layers

    found: tuple[str, ...] = layers.layer_names(build(architecture, define(data)))
    return found
