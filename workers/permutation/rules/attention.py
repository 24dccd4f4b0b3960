"""Attention and recurrence where torch runs them as one operation."""

from __future__ import annotations

from workers.permutation.axes import Layout, pinned
from workers.permutation.reshaping import merge
from workers.permutation.rules.call import Call, Labeled, NoRuleError, Rule

LSTM = 2
"""Number of the LSTM among the modes of ``mkldnn_rnn_layer``."""


def scaled_dot_product(call: Call) -> list[Layout | Labeled | None]:
    """Queries (B, H, L, E), keys (B, H, S, E), values (B, H, S, V): whole heads move."""
    union = call.union
    query, key, value = call["query"], call["key"], call["value"]
    mask = call.arguments.get("attn_mask", call.arguments.get("attn_bias"))
    union.prefer(key.axes[1])
    union.unify(key.axes[1], value.axes[1])
    # neighboring query heads may share one of keys and values
    sharing = union.fresh(query.shape[1] // key.shape[1])
    union.unify(query.axes[1], merge(union, (key.axes[1], sharing)))
    union.unify(query.axes[0], key.axes[0])
    union.unify(query.axes[0], value.axes[0])
    union.unify(query.axes[3], key.axes[3])
    union.unify(key.axes[2], value.axes[2])
    if call["is_causal"]:
        call.hold(query.axes[2], key.axes[2])
    if mask is not None:
        scores = (query.axes[0], query.axes[1], query.axes[2], key.axes[2])
        lengths = (*query.shape[:3], key.shape[2])
        for distance in range(1, len(mask.shape) + 1):
            if mask.shape[-distance] == lengths[-distance]:
                union.unify(mask.axes[-distance], scores[-distance])
    return [(*query.axes[:3], value.axes[3]), *[None] * (len(call.shapes) - 1)]


def lstm_layer(call: Call) -> list[Layout | Labeled | None]:
    """One direction of one layer: four gates per unit, and the state that they act on.

    Weights lie as gates one after another, each (units, inputs) or (units, units).
    """
    if call["mode"] != LSTM:
        raise NoRuleError
    union, inputs, state, cell = call.union, call["input"], call["hx_"], call["cx_"]
    from_inputs, from_state = call["weight0"], call["weight1"]
    units = union.fresh(from_state.shape[1])
    gates = units * (from_state.shape[0] // from_state.shape[1])
    union.unify(inputs.axes[-1], from_inputs.axes[1])
    union.unify(from_state.axes[1], units)
    for tensor in (from_inputs, from_state, call["weight2"], call["weight3"]):
        if tensor.shape:
            union.unify(tensor.axes[0], gates)
    union.unify(state.axes[-1], units)
    union.unify(cell.axes[-1], units)
    call.hold(inputs.axes[0], inputs.axes[1])  # steps follow each other
    steps = tuple(pinned(n) for n in call.shape[:2])
    last_state: Layout = (*state.axes[:-1], units)
    last_cell: Layout = (*cell.axes[:-1], units)
    return [(*steps, units), last_state, last_cell, None]


RULES: dict[str, Rule] = {
    "_scaled_dot_product_flash_attention_for_cpu": scaled_dot_product,
    "mkldnn_rnn_layer": lstm_layer,
    "_scaled_dot_product_efficient_attention": scaled_dot_product,
    "_scaled_dot_product_flash_attention": scaled_dot_product,
}
