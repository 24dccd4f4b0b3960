"""Canonical JSON: however its text is put together, it is that of the plain encoder."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lmc_sweep.config import parse_sweep
from lmc_sweep.planning.identity import Fragment, canonical, canonical_json, fragment, identify
from lmc_sweep.planning.items import KINDS, BarrierItem, NetworkItem, items
from workers.alignment.methods import SimulatedAnnealing, WeightMatching
from workers.specs import MLPSpec, ResNet20Spec, TrainingSpec

SPECS = st.one_of(
    st.builds(MLPSpec, width=st.integers(1, 2000), depth=st.integers(1, 9)),
    st.builds(ResNet20Spec, width_multiplier=st.sampled_from([0.25, 1.0, 2.0])),
    st.builds(TrainingSpec, learning_rate=st.floats(1e-9, 10), save_at=st.none() | st.integers(0, 9)),
    st.builds(SimulatedAnnealing, start=st.builds(WeightMatching, restarts=st.integers(1, 5))),
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
    SPECS,
)
VALUES = st.recursive(
    LEAVES,
    lambda parts: st.one_of(
        st.lists(parts, max_size=4),
        st.lists(parts, max_size=4).map(tuple),
        st.dictionaries(st.text() | st.integers(), parts, max_size=5),
    ),
    max_leaves=12,
)

SWEEP = """
    name: texts
    store: s
    networks:
      - {dataset: [digits, mnist], label_noise: [0.0, 0.2], seeds: 5,
         architecture: {name: mlp, width: [4, 64]}}
      - {dataset: cifar10, num_train: 500, architecture: {name: resnet20, width_multiplier: 0.25}, seeds: 4}
    barriers:
      worlds: [real, model, planted]
      planted_noise: [0, 0.3]
      alignments: [{method: identity}, {method: weight_matching, restarts: [1, 2]}, {method: oracle},
                   {method: simulated_annealing, start: {method: weight_matching}}]
      interpolation: {alphas: 5, splits: [train, test], layers: [all, each]}
"""


def encoded(value: Any) -> str:
    """Text of the plain encoder, nothing spliced."""
    return json.dumps(canonical(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


@given(VALUES)
def test_text_is_that_of_the_plain_encoder(value: Any) -> None:
    """Canonical JSON is what ``json.dumps`` writes with sorted keys and without spaces."""
    assert encoded(value) == canonical_json(value)


@given(st.dictionaries(st.text() | st.integers(), VALUES, min_size=1, max_size=6), st.data())
def test_parts_written_before_change_nothing(whole: dict[Any, Any], data: st.DataObject) -> None:
    """Any entries of a mapping may stand there as fragments, in any depth, and the text is the same."""
    chosen = data.draw(st.sets(st.sampled_from(sorted(whole, key=repr))))
    spliced = {key: fragment(value) if key in chosen else value for key, value in whole.items()}
    assert encoded({"whole": whole}) == canonical_json({"whole": spliced})
    assert encoded({"whole": whole}) == canonical_json({"whole": Fragment(canonical_json(spliced))})


def plain_id(kind: str, value: Any) -> str:
    """An id as it is defined: the hash of the whole text, written in one piece."""
    text = encoded({"kind": kind, "numerics": 1, "spec": value})
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def test_networks_and_curves_of_a_sweep_have_the_ids_of_their_plain_texts() -> None:
    """Ids that are made of shared parts are those of the definition, for every network and curve."""
    found = items(parse_sweep(SWEEP))
    for item in found["network"]:
        assert isinstance(item, NetworkItem)
        assert plain_id("network", item.spec) == item.id
    for item in found["barrier"]:
        assert isinstance(item, BarrierItem)
        what: dict[str, Any] = {
            "alignment": item.alignment.id,
            "members": [item.member_a, item.member_b],
            "split": item.split,
            "correction": item.correction,
            "alphas": item.alphas,
        }
        assert (
            plain_id("barrier", what if item.layers is None else {**what, "layers": item.layers}) == item.id
        )


def test_alignments_of_a_sweep_have_the_ids_of_their_plain_texts() -> None:
    """The pair, its method and the numerics that belong to it make an alignment's id, and nothing else."""
    numerics = {"weight_matching": {"method_numerics": 3}, "simulated_annealing": {"start_numerics": 3}}
    for item in items(parse_sweep(SWEEP))["alignment"]:
        pair: dict[str, Any] = {"networks": item.networks, "world": item.world}
        if item.world != "real":
            pair["k"] = item.pair_index
        if item.planted_noise is not None:
            pair["noise"] = item.planted_noise
        what = {"pair": pair, "method": item.method, **numerics.get(item.method.method, {})}
        assert plain_id("alignment", what) == item.id
        assert identify("pair", pair) == item.pair_id


def test_every_id_of_a_sweep_is_its_own() -> None:
    """No two items of a sweep share an id."""
    ids = [item.id for kind in KINDS for item in items(parse_sweep(SWEEP))[kind]]
    assert len(ids) == len(set(ids))
