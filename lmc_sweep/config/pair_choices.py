"""Which two neurons of a layer become one: named, chosen by a rule, or every pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from lmc_sweep.config import fields
from lmc_sweep.config.refusals import Refusal, join, refuse_unknown_keys, shown
from workers.permutation_points.specs import PairRule

_FORMS = "all, {cosine: 3}, {distance: 3}, or pairs such as [[0, 1], [2, 4]]"
_MOST_PAIRS = 100_000


@dataclass(frozen=True, kw_only=True)
class PairChoice:
    """Two neurons by name, or the pair of one rank by a rule."""

    pair: tuple[int, int] | None = None
    rule: PairRule | None = None
    rank: int | None = None


def choices_of(value: Any, path: str) -> Literal["all"] | tuple[PairChoice, ...]:
    """The pairs that the key ``pairs`` stands for."""
    if value == "all":
        return "all"
    if isinstance(value, dict):
        return _by_rule(value, path)
    if not isinstance(value, list) or not value:
        raise Refusal(path, f"should be {_FORMS}, not {shown(value)}")
    seen: dict[tuple[int, ...], int] = {}
    found = []
    for index, entry in enumerate(value):
        where = f"{path}[{index}]"
        pair = fields.checked(tuple[int, int], entry, where)
        if pair[0] == pair[1]:
            raise Refusal(where, f"two different neurons become one, not {pair[0]} and itself")
        if min(pair) < 0:
            raise Refusal(where, f"neurons are counted from 0: there is no neuron {min(pair)}")
        key = tuple(sorted(pair))
        if key in seen:
            raise Refusal(where, f"repeats [{seen[key]}] ({pair[0]} and {pair[1]}). Name it once")
        seen[key] = index
        found.append(PairChoice(pair=pair))
    return tuple(found)


def _by_rule(value: dict[str, Any], path: str) -> tuple[PairChoice, ...]:
    """The first so many pairs by each rule."""
    rules: tuple[PairRule, ...] = get_args(PairRule)
    refuse_unknown_keys(value, rules, path)
    if not value:
        raise Refusal(path, f"should be {_FORMS}, not an empty mapping")
    found = []
    for rule in rules:
        if rule not in value:
            continue
        where, num = join(path, rule), fields.checked(int, value[rule], join(path, rule))
        if not 1 <= num <= _MOST_PAIRS:
            raise Refusal(where, f"a count of pairs must be from 1 to {_MOST_PAIRS}, not {shown(num)}")
        found += [PairChoice(rule=rule, rank=rank) for rank in range(num)]
    return tuple(found)


def refuse_unfit(
    pairs: Literal["all"] | tuple[PairChoice, ...],
    sizes: tuple[int, ...],
    layer: int,
    path: str,
    layer_path: str,
) -> None:
    """Refuses a layer or neurons that a network of these sizes does not have."""
    drawn = "-".join(map(str, sizes))
    if not 1 <= layer <= len(sizes) - 2:
        raise Refusal(
            layer_path,
            f"layer {layer} is no hidden layer of a network {drawn}, which has 1 to {len(sizes) - 2}: inputs "
            "and outputs are not permuted",
        )
    width = sizes[layer]
    if width < 2:
        raise Refusal(
            layer_path,
            f"layer {layer} of a network {drawn} has one neuron, and two become one. Choose another layer",
        )
    num_pairs = width * (width - 1) // 2
    if pairs == "all" and num_pairs > _MOST_PAIRS:
        raise Refusal(
            f"{path}.pairs",
            f"layer {layer} of a network {drawn} has {num_pairs} pairs of neurons, more than {_MOST_PAIRS}. "
            "Choose some, as in {cosine: 100}",
        )
    for index, choice in enumerate(pairs if pairs != "all" else ()):
        if choice.pair is not None and max(choice.pair) >= width:
            raise Refusal(
                f"{path}.pairs[{index}]",
                f"layer {layer} of a network {drawn} has neurons 0 to {width - 1}, not {max(choice.pair)}",
            )
        if choice.rank is not None and choice.rank >= num_pairs:
            raise Refusal(
                f"{path}.pairs.{choice.rule}",
                f"layer {layer} of a network {drawn} has {num_pairs} pairs of neurons: ask for at most these",
            )
