"""Identities that may never change: stores of every user are keyed by them.

A change here makes every finished result look missing. If the numbers of a kind really change, raise its
``NUMERICS_VERSION`` and pin anew; if a field is added, give it a neutral value and these stay as they are.
"""

from __future__ import annotations

import pytest

from lmc_sweep.config import parse_sweep
from lmc_sweep.planning.identity import canonical_json, identify
from lmc_sweep.planning.items import alignment_items, barrier_items, cell_identity, network_items
from workers.alignment.methods import (
    ActivationMatching,
    BruteForce,
    CycleConsistent,
    FunctionalDifference,
    Identity,
    MergeMany,
    Method,
    NodeSort,
    Oracle,
    Random,
    SimulatedAnnealing,
    Sinkhorn,
    StraightThrough,
    WeightMatching,
)
from workers.specs import (
    MLPSpec,
    ModuleSpec,
    NetworkSpec,
    ResNet20Spec,
    ResNetSpec,
    ShallowCNNSpec,
    TrainingSpec,
    VGGSpec,
)


def network(**changes: object) -> NetworkSpec:
    """A network with some fields set."""
    fields = {
        "dataset": "digits",
        "architecture": MLPSpec(width=64),
        "training": TrainingSpec(),
        "seed": 0,
    } | changes
    return NetworkSpec(**fields)  # type: ignore[arg-type]


NETWORKS = {
    "default": network(),
    "seed": network(seed=7),
    "width": network(architecture=MLPSpec(width=4, depth=3)),
    "noise": network(label_noise=0.2),
    "mnist": network(dataset="mnist"),
    "training": network(
        training=TrainingSpec(
            learning_rate=0.1, momentum=0.0, weight_decay=1e-4, schedule="cosine", stop_train_loss=None
        )
    ),
    "spawn": network(training=TrainingSpec(spawn_at_step=10)),
    "init_seed": network(training=TrainingSpec(init_seed=0)),
    "order_seed": network(training=TrainingSpec(order_seed=0)),
    "permute_init": network(training=TrainingSpec(permute_init=1)),
    "shallow_cnn": network(architecture=ShallowCNNSpec(width=32)),
    "vgg": network(dataset="cifar10", architecture=VGGSpec()),
    "resnet": network(dataset="cifar10", architecture=ResNetSpec(width=16)),
    "resnet20": network(dataset="cifar10", architecture=ResNet20Spec(width_multiplier=0.5)),
    "module": network(
        architecture=ModuleSpec(name="pkg.nets:build", arguments=(("width", 8),), source_sha256="ab" * 32)
    ),
    "subset": network(dataset="mnist", input_size=32, num_train=5000, num_test=1000, subset_seed=1),
    "adam": network(training=TrainingSpec(optimizer="adam", precision="bfloat16")),
    "save_at": network(training=TrainingSpec(save_at=4)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_network_ids_are_pinned(name: str) -> None:
    """The id of a network spec is the one it had when it was first released."""
    assert PINNED[name] == identify("network", NETWORKS[name])


METHODS: dict[str, Method] = {
    "identity": Identity(),
    "random": Random(),
    "weight_matching": WeightMatching(restarts=5),
    "annealing": SimulatedAnnealing(steps=2000, engine="simanneal", moves="every_group"),
    "annealing_batched": SimulatedAnnealing(),
    "annealing_refined": SimulatedAnnealing(start=WeightMatching(restarts=3), restarts=2, max_seconds=60.0),
    "oracle": Oracle(),
    "activation_matching": ActivationMatching(),
    "functional_difference": FunctionalDifference(),
    "straight_through": StraightThrough(),
    "sinkhorn": Sinkhorn(),
    "node_sort": NodeSort(),
    "brute_force": BruteForce(),
    "cycle_consistent": CycleConsistent(),
    "merge_many": MergeMany(),
}


@pytest.mark.parametrize("name", METHODS)
def test_method_ids_are_pinned(name: str) -> None:
    """The id of a method is the one it had when it was first released."""
    assert PINNED[name] == identify("method", METHODS[name])


def test_ids_down_to_a_barrier_are_pinned() -> None:
    """Cell, pair, alignment and barrier of a real sweep keep their ids."""
    sweep = parse_sweep(
        "{name: pin, store: s, networks: [{dataset: digits, architecture: {name: mlp, width: 8}, seeds: 2}],"
        " barriers: {pairs: 1, alignments: [{method: identity}]}}"
    )
    networks = network_items(sweep.networks[0])
    assert sweep.barriers is not None
    alignments = list(alignment_items(networks, sweep.barriers))
    assert PINNED["cell"] == cell_identity(networks[0].spec)
    assert [PINNED["pair_real"], PINNED["pair_model"]] == [item.pair_id for item in alignments]
    assert [PINNED["alignment_real"], PINNED["alignment_model"]] == [item.id for item in alignments]
    assert PINNED["barrier"] == next(barrier_items(alignments[0], sweep.barriers)).id


def test_planted_pairs_and_layers_are_pinned() -> None:
    """World planted and curves of single layers have the ids that they were introduced with."""
    sweep = parse_sweep(
        "{name: pin, store: s, networks: [{dataset: digits, architecture: {name: mlp, width: 8}, seeds: 2}],"
        " barriers: {worlds: [planted], planted_noise: [0, 0.3], alignments: [{method: oracle}],"
        " interpolation: {layers: [all, cumulative]}}}"
    )
    assert sweep.barriers is not None
    exact, noisy = alignment_items(network_items(sweep.networks[0]), sweep.barriers)
    assert [PINNED["pair_planted"], PINNED["pair_planted_noise"]] == [exact.pair_id, noisy.pair_id]
    assert PINNED["alignment_planted"] == noisy.id
    every, first = list(barrier_items(noisy, sweep.barriers))[:2]
    assert [(None, PINNED["barrier_planted"]), ("cumulative:layers.0", PINNED["barrier_layers"])] == [
        (item.layers, item.id) for item in (every, first)
    ]


def test_a_changed_method_names_its_alignments_anew() -> None:
    """Weight matching has come to find other permutations: those of old stores are not taken."""
    sweep = parse_sweep(
        "{name: pin, store: s, networks: [{dataset: digits, architecture: {name: mlp, width: 8}, seeds: 2}],"
        " barriers: {pairs: 1, worlds: [real], alignments: [{method: weight_matching}]}}"
    )
    assert sweep.barriers is not None
    (alignment,) = alignment_items(network_items(sweep.networks[0]), sweep.barriers)
    assert PINNED["alignment_weight_matching_3"] == alignment.id


def test_a_whole_number_is_the_same_with_and_without_a_point() -> None:
    """1 and 1.0 give the same identity."""
    assert canonical_json({"a": 1}) == canonical_json({"a": 1.0})


def test_key_order_never_changes_an_id() -> None:
    """Mappings are sorted before they are hashed."""
    assert identify("x", {"a": 1, "b": [1, 2]}) == identify("x", {"b": [1, 2], "a": 1})


PINNED = {
    "default": "7340da5406b3cf6217af2cd49985596c",
    "seed": "ab759d9a1b56b40d31415b95f732a847",
    "width": "66e549eff6e5deffd3adba829ce07ba9",
    "noise": "18cacbdfc69d706a0437fbd3ae49f3cb",
    "mnist": "03bde921317f281a70eedc5ed595a91f",
    "training": "41dc08807ffbe65d8b3959233a9fcdc2",
    "spawn": "a301a048a956b6034e89c0d6711570f8",
    "init_seed": "1a75f92ba7b8793a4be4ab502cb94060",
    "order_seed": "d41def4fb13393fc86d844f8bdab4da5",
    "permute_init": "2048392de6105c038c8ab3db158aab08",
    "shallow_cnn": "f04c09e14044bddac8ec4a12cd9b8baf",
    "vgg": "c79cd1546ab0c058201b8fd36f32a435",
    "resnet": "45b786160dff04b89e69364fdb3f6cdd",
    "resnet20": "c18bafc8edc4006747ee070e6b3e3bd7",
    "module": "a31163b800f3c46042d51edfac9228b6",
    "subset": "3b6bd528883bbb8005991b7eb43fea29",
    "adam": "ef4c38344df2474214cdffee60ab0d78",
    "save_at": "d89d436de849e60d671261c1efdf8382",
    "identity": "acbc5bd3e0ba5ff7f784834ca15284f5",
    "random": "f90f64b2641c53ee276c17bd6e070d87",
    "weight_matching": "19bf0a3c530565c7cc3fe1e6f9d5deec",
    "annealing": "90ce59b55b440d2bf1d02485d99387d2",
    "cell": "b03db6f669f43a6799c38ec54f70b069",
    "pair_real": "a15b4324284afc44b70038e5900a4d83",
    "pair_model": "d922bda48bf72519021b221aa8aed133",
    "alignment_real": "680a83a219d85e0f4aa1c89d1e0a612c",
    "alignment_model": "3fc50f1298a07975f842672cf9584121",
    "alignment_weight_matching_3": "07146d220d89ee58da7370e748e0d64a",
    "barrier": "0e0ac2c290b9dc39917bcf0dc1f825e5",
    "annealing_batched": "cc42f5cf57a83a7399ca760eb387bc89",
    "annealing_refined": "d627ff2117e151de7ddce2eae2dba493",
    "oracle": "56df32b8d08db1297eee32dbfeaa6d86",
    "activation_matching": "44f2f546c50a8d5656d77a842b478cdc",
    "functional_difference": "7cfad64f52005e9a27b9e9497df5c502",
    "straight_through": "f03eea082fb5d68bc62e1ee3d9f60bde",
    "sinkhorn": "e1d5c596300c8b850fd5798230856a61",
    "node_sort": "d8ea1a642e50aaadbbf3ac49c4da4ce9",
    "brute_force": "66d30912314e7ffae298409f8647cc4d",
    "cycle_consistent": "0113b403deb0ffb58b8ae7e3850b1060",
    "merge_many": "ce5ec83555e12ea5746bd963f489a019",
    "pair_planted": "cc33ea0a536988df516e1b8541f2a883",
    "pair_planted_noise": "6d295b8893ec18de651a93cf56f36ea0",
    "alignment_planted": "172f97471f6418804e1158a2bbb53a81",
    "barrier_planted": "4cb9c2c11f667cd50d8dc08813672f0e",
    "barrier_layers": "af825b254171b285fef39374a1e4cb95",
}
