"""What each operation does to the axes of its tensors: one dict, from operation to rule.

Operations are those that torch dispatches to (``aten``), by name and without the underscore of
in-place variants. A rule gets a ``Call`` and returns the axes of the results, having tied or pinned
those of the arguments. It must be conservative: an axis that it cannot follow is pinned. A new kind
of operation is one function and one entry.
"""

from __future__ import annotations

from typing import Any

import torch

from workers.permutation.rules import (
    attention,
    contraction,
    convolution,
    entrywise,
    normalization,
    parts,
    reductions,
    shapes,
    windows,
)
from workers.permutation.rules.call import Rule

RULES: dict[str, Rule] = {
    **entrywise.RULES,
    **contraction.RULES,
    **convolution.RULES,
    **normalization.RULES,
    **reductions.RULES,
    **windows.RULES,
    **shapes.RULES,
    **parts.RULES,
    **attention.RULES,
}

VALUE_READERS = frozenset(
    {"_local_scalar_dense", "is_nonzero", "equal", "nonzero", "masked_select", "_unique2", "unique_dim"}
)
"""Operations whose result steers Python or has a length that depends on values: nothing can be derived."""

WORKSPACES = frozenset({"rrelu_with_noise"})
"""Operations that write into an argument nobody reads."""


def rule_of(operation: Any) -> Rule | None:
    """The rule of an ``aten`` operation; None where there is none."""
    name = str(operation._schema.name).rpartition("::")[2]
    arguments = operation._schema.arguments
    written = [one.name for one in arguments if one.alias_info and one.alias_info.is_write]
    if written not in ([], [arguments[0].name]) and name not in WORKSPACES:
        return None  # results go into arguments
    rule = RULES.get(name) or RULES.get(name.removesuffix("_"))
    random = torch.Tag.nondeterministic_seeded in operation.tags
    if rule is None and torch.Tag.pointwise in operation.tags and not random:
        return entrywise.entrywise
    return rule
