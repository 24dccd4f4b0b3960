"""Rows become the items that they stand for again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lmc_sweep.config import parse_sweep
from lmc_sweep.errors import StoreError
from lmc_sweep.planning import decoding, reconstruction
from lmc_sweep.planning import items as planned
from lmc_sweep.planning.identity import canonical_json, identify
from workers.alignment.methods import (
    BruteForce,
    Method,
    NodeSort,
    SimulatedAnnealing,
    Sinkhorn,
    WeightMatching,
)
from workers.specs import (
    CheckpointSpec,
    MLPSpec,
    ModuleSpec,
    NetworkSpec,
    ResNet20Spec,
    ResNetSpec,
    ShallowCNNSpec,
    TrainingSpec,
    UserDataset,
    VGGSpec,
)

SWEEP = """
name: tell
store: s
networks:
  - dataset: digits
    label_noise: [0, 0.25]
    architecture: {name: mlp, width: [3, 8], depth: 2}
    training: {max_epochs: 3, learning_rate: [1, 0.05], save_at: [null, 2]}
    num_train: 500
    seeds: [5, 1, 9, 2, 7, 11]
  - dataset: mnist
    architecture: {name: resnet20, width_multiplier: 0.25, norm: batch}
    input_size: 16
    training: {optimizer: adam, schedule: cosine, stop_train_loss: null}
    seeds: 6
barriers:
  worlds: [real, model, planted]
  planted_noise: [0, 0.3]
  networks_per_alignment: %d
  alignments:
    - {method: identity}
    - {method: oracle}
    - {method: weight_matching, restarts: 2}
    - {method: simulated_annealing, objective: average_error, steps: 10}
    - {method: simulated_annealing, objective: average_error, moves: every_group}
    - {method: simulated_annealing, objective: average_error, start: {method: weight_matching, restarts: 3}}
  interpolation: {alphas: [0, 0.1, 0.7, 1], layers: [all, cumulative], corrections: [none, reset_bn]}
"""


def network_row(item: planned.NetworkItem) -> dict[str, Any]:
    """What a store says of a network."""
    return {"network_id": item.id, "cell_id": item.cell_id, "spec_json": canonical_json(item.spec)}


def alignment_row(item: planned.AlignmentItem) -> dict[str, Any]:
    """What a store says of an alignment."""
    return {
        "alignment_id": item.id,
        "cell_id": item.cell_id,
        "pair_id": item.pair_id,
        "world": item.world,
        "method": item.method.method,
        "method_json": canonical_json(item.method),
        "networks": list(item.networks),
        "planted_noise": item.planted_noise,
    }


def barrier_row(item: planned.BarrierItem) -> dict[str, Any]:
    """What a store says of a barrier."""
    columns = ("member_a", "member_b", "split", "correction", "layers")
    told = {name: getattr(item, name) for name in columns}
    return {"barrier_id": item.id, "alignment_id": item.alignment.id, "alphas": list(item.alphas), **told}


@pytest.mark.parametrize("size", [2, 3])
def test_every_item_of_a_sweep_comes_back_from_its_row(size: int) -> None:
    """Rows of all worlds, methods, layers and group sizes tell their items to the last field."""
    sweep = parse_sweep(SWEEP % size)
    items: dict[str, list[Any]] = planned.items(sweep)  # type: ignore[assignment]
    networks = {item.id: reconstruction.network_item(network_row(item)) for item in items["network"]}
    assert items["network"] == list(networks.values())
    alignments = {}
    for item in items["alignment"]:
        found = reconstruction.alignment_item(alignment_row(item), networks)
        known = item if item.world != "real" else replace(item, pair_index=0)
        assert known == found
        alignments[item.id] = item
    assert len(alignments) > 100
    assert items["barrier"] == [
        reconstruction.barrier_item(barrier_row(item), alignments[item.alignment.id])
        for item in items["barrier"]
    ]


USER = UserDataset(
    sha256="cd" * 32, shape=(1, 4, 4), num_classes=2, num_train=8, num_test=4, mean=(0.5,), std=(1.0,)
)
SPECS = {
    "mlp": NetworkSpec(dataset="digits", architecture=MLPSpec(width=3), training=TrainingSpec(), seed=0),
    "shallow_cnn": NetworkSpec(
        dataset="cifar10", architecture=ShallowCNNSpec(width=8, depth=4), training=TrainingSpec(), seed=3
    ),
    "vgg": NetworkSpec(dataset="cifar10", architecture=VGGSpec(), training=TrainingSpec(), seed=1),
    "resnet": NetworkSpec(
        dataset="svhn",
        architecture=ResNetSpec(width=4, depth=50),
        training=TrainingSpec(spawn_at_step=7, permute_init=1, init_seed=0, order_seed=2, momentum=0.0),
        seed=2,
    ),
    "resnet20": NetworkSpec(
        dataset="cifar10",
        label_noise=0.5,
        architecture=ResNet20Spec(norm="layer"),
        training=TrainingSpec(precision="bfloat16"),
        seed=2,
    ),
    "module": NetworkSpec(
        dataset="pkg.sets:make",
        user_data=USER,
        architecture=ModuleSpec(
            name="pkg.nets:build",
            arguments=(("bias", True), ("name", "a"), ("rate", 0.5), ("width", 8), ("x", None)),
            source_sha256="ab" * 32,
        ),
        training=TrainingSpec(save_at=0),
        seed=0,
    ),
    "checkpoint": CheckpointSpec(
        dataset="mnist", num_test=100, subset_seed=3, architecture=MLPSpec(width=2), sha256="ef" * 32, seed=4
    ),
}


@pytest.mark.parametrize("name", SPECS)
def test_specs_come_back_from_their_canonical_json(name: str) -> None:
    """Fields that canonical JSON leaves out, and lists and whole numbers in it, are what they were."""
    written = json.loads(canonical_json(SPECS[name]))
    assert SPECS[name] == decoding.decode_network(written, "here")


METHODS: list[Method] = [
    WeightMatching(max_evaluations=5, order="forward"),
    Sinkhorn(learning_rate=1.0, max_seconds=2.5),
    NodeSort(key="power", power=2.0),
    BruteForce(num_examples=3),
    SimulatedAnnealing(temperature_start=1.0, temperature_end="auto", restarts=3, acceptance="greedy"),
    SimulatedAnnealing(start="random", engine="simanneal", moves="every_group"),
    SimulatedAnnealing(start=Sinkhorn(objective="midpoint_loss"), moves="every_group"),
]


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_methods_come_back_from_their_canonical_json(method: Method) -> None:
    """An option that is left out stands for its neutral value, not for today's default."""
    assert method == decoding.decode_method(json.loads(canonical_json(method)), "here")


def test_a_row_that_is_not_what_its_id_says_is_refused() -> None:
    """Another width under the same id is told, with both ids."""
    spec = SPECS["mlp"]
    row = {
        "network_id": identify("network", spec),
        "cell_id": "c",
        "spec_json": canonical_json(replace(spec, architecture=MLPSpec(width=4))),
    }
    with pytest.raises(StoreError, match="another id than " + row["network_id"]):
        reconstruction.network_item(row)


def test_an_alignment_of_older_numerics_is_refused_and_its_barriers_are_not() -> None:
    """Permutations of an older weight matching cannot be searched again; what they give can be measured."""
    sweep = parse_sweep(SWEEP % 2)
    items: dict[str, list[Any]] = planned.items(sweep)  # type: ignore[assignment]
    item = next(one for one in items["alignment"] if one.method.method == "weight_matching")
    networks = {one.id: one for one in items["network"]}
    row = alignment_row(item) | {"alignment_id": "older"}
    with pytest.raises(StoreError, match="other numerics"):
        reconstruction.alignment_item(row, networks)
    assert "older" == reconstruction.alignment_item(row, networks, verified=False).id


HOSTILE = {
    "no json": "{",
    "deep": "[" * 100_000,
    "a list": "[]",
    "a longer spec": '{"architecture":{"name":"mlp","width":4},"dataset":"digits","training":{},"evil":1}',
    "an unknown field": canonical_json(SPECS["mlp"]).replace('"width":3', '"width":3,"source_sha256":"x"'),
    "a text for a number": canonical_json(SPECS["mlp"]).replace('"width":3', '"width":"3"'),
    "digits without end": canonical_json(SPECS["mlp"]).replace('"width":3', '"width":' + "9" * 5000),
    "not a number": canonical_json(SPECS["mlp"]).replace('"learning_rate":0.01', '"learning_rate":NaN'),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_specs_of_strangers_are_refused_in_words(name: str) -> None:
    """Whatever a text says, it is refused by an error that names the row."""
    with pytest.raises(StoreError, match="networks: it"):
        reconstruction.network_item({"network_id": "it", "cell_id": "c", "spec_json": HOSTILE[name]})


def test_what_a_spec_names_is_told_and_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Module and data set of a row are named; a module that would leave a mark leaves none."""
    (tmp_path / "marking.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w').close()")
    monkeypatch.syspath_prepend(str(tmp_path))
    spec = NetworkSpec(
        dataset="marking:data",
        user_data=USER,
        architecture=ModuleSpec(name="marking:build", source_sha256="00" * 32),
        training=TrainingSpec(),
        seed=0,
    )
    found = decoding.decode_network(json.loads(canonical_json(spec)), "here")
    assert ("marking:build", "marking:data") == reconstruction.user_names(found)
    assert not (tmp_path / "mark").exists()
