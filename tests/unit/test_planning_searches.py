"""Items of searches, planted pairs and layers, and what they are thought to cost."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from lmc_sweep.config import parse_sweep
from lmc_sweep.planning.batching import batches
from lmc_sweep.planning.cost import working_bytes
from lmc_sweep.planning.identity import METHOD_NUMERICS
from lmc_sweep.planning.items import AlignmentItem, items
from lmc_sweep.planning.plan import make_plan
from lmc_sweep.planning.search_cost import alignment_seconds, cache_bytes
from workers.alignment.methods import METHODS, BruteForce, SimulatedAnnealing, WeightMatching
from workers.architectures.build import build
from workers.architectures.layer_names import layer_names
from workers.datasets.definitions import define
from workers.interpolation import layers
from workers.specs import (
    ArchitectureSpec,
    DataSpec,
    MLPSpec,
    NetworkKind,
    ResNet20Spec,
    ResNetSpec,
    ShallowCNNSpec,
    VGGSpec,
)

FLOPS = 1e11


def sweep(barriers: str, architecture: str = "{name: mlp, width: 4}", seeds: int = 4) -> dict[str, list]:
    """Items of a sweep over digits."""
    networks = f"{{dataset: digits, architecture: {architecture}, seeds: {seeds}}}"
    return items(parse_sweep(f"{{name: s, store: s, networks: [{networks}], barriers: {barriers}}}"))


def test_a_planted_pair_for_every_level_of_noise() -> None:
    """Levels are pairs of their own; a further level changes none of the others, and no other world."""
    one = sweep("{worlds: [model, planted], planted_noise: [0.1], alignments: [{method: identity}]}")
    two = sweep("{worlds: [model, planted], planted_noise: [0.1, 0], alignments: [{method: identity}]}")
    assert [None, None, 0.1, 0.1] == [item.planted_noise for item in one["alignment"]]
    assert [None, None, 0.1, 0.1, 0.0, 0.0] == [item.planted_noise for item in two["alignment"]]
    assert one["alignment"] == two["alignment"][:4]
    assert 6 == len({item.pair_id for item in two["alignment"]})
    assert all(len(set(item.networks)) == 1 for item in two["alignment"])


def test_the_oracle_is_planned_where_the_answer_is_known() -> None:
    """No item of the real world has the oracle for its method."""
    found = sweep("{worlds: [real, model, planted], alignments: [{method: oracle}, {method: identity}]}")
    worlds = [item.world for item in found["alignment"] if item.method.method == "oracle"]
    assert ["model", "model", "planted", "planted"] == worlds


def test_brute_force_is_planned_for_networks_that_are_small_enough() -> None:
    """Of widths 4 and 16 the wide one is left out, and the plan says so with the number."""
    networks = "{dataset: digits, architecture: {name: mlp, width: [4, 16]}, seeds: 4}"
    barriers = "{worlds: [real], alignments: [{method: brute_force}, {method: identity}]}"
    asked = parse_sweep(f"{{name: s, store: s, networks: [{networks}], barriers: {barriers}}}")
    found = [item for item in items(asked)["alignment"] if isinstance(item.method, BruteForce)]
    assert [4, 4] == [item.cell.architecture.width for item in found]
    ((reason, count),) = make_plan(asked, None, 1).summary()["left_out"].items()
    assert 2 == count
    assert "mlp of width 16 and depth 1 has 2.1e+13 permutations" in reason


def test_a_start_of_other_numerics_is_another_alignment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that begins from weight matching is named anew when weight matching changes."""
    barriers = (
        "{worlds: [real], alignments: [{method: simulated_annealing}, "
        "{method: simulated_annealing, start: weight_matching}]}"
    )
    before = sweep(barriers, seeds=2)["alignment"]
    monkeypatch.setitem(METHOD_NUMERICS, "weight_matching", 99)
    after = sweep(barriers, seeds=2)["alignment"]
    assert [True, False] == [a.id == b.id for a, b in zip(before, after, strict=True)]


def test_one_curve_for_every_layer() -> None:
    """``all`` keeps its ids; ``each`` and ``cumulative`` add a curve per layer, split and pair."""
    plain = sweep("{worlds: [real], alignments: [{method: identity}]}", "{name: mlp, width: 4, depth: 2}")
    more = sweep(
        "{worlds: [real], alignments: [{method: identity}], "
        "interpolation: {layers: [all, each, cumulative]}}",
        "{name: mlp, width: 4, depth: 2}",
    )
    assert {item.id for item in plain["barrier"]} < {item.id for item in more["barrier"]}
    assert 7 * len(plain["barrier"]) == len({item.id for item in more["barrier"]})
    assert {None, *(f"{way}:layers.{k}" for way in ("each", "cumulative") for k in range(3))} == {
        item.layers for item in more["barrier"]
    }


@pytest.mark.parametrize(
    "spec",
    [
        MLPSpec(width=3, depth=3),
        ShallowCNNSpec(width=2, depth=4),
        *(VGGSpec(width=1, depth=depth) for depth in (11, 13, 16, 19)),
        *(ResNetSpec(width=1, depth=depth) for depth in (18, 34, 50)),
        ResNet20Spec(width_multiplier=0.0625),
        ResNet20Spec(width_multiplier=0.0625, norm="layer"),
    ],
    ids=str,
)
def test_layers_have_the_names_of_the_module(spec: ArchitectureSpec) -> None:
    """What is planned without torch is what the workers find in the module, in its order."""
    data = DataSpec(dataset="cifar10")
    assert layers.layer_names(build(spec, define(data))) == layer_names(spec)


def kind(width: int = 64, depth: int = 1, dataset: str = "mnist") -> NetworkKind:
    """An MLP on a data set."""
    return NetworkKind(dataset=dataset, architecture=MLPSpec(width=width, depth=depth))


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_a_price_that_grows_with_the_networks(name: str) -> None:
    """More networks never cost less, and no method is free or not a number."""
    method = METHODS[name]()
    for cell in (kind(8), kind(8, 3), NetworkKind(dataset="cifar10", architecture=VGGSpec(width=8))):
        two, five = (alignment_seconds(method, cell, n, FLOPS) for n in (2, 5))
        assert 0 < two <= five < float("inf")


def test_the_price_of_annealing_follows_its_options() -> None:
    """Chains cost as steps do, a start is added, budgets bound."""
    method = SimulatedAnnealing(steps=100_000)

    def price(**changes: object) -> float:
        return alignment_seconds(replace(method, **changes), kind(), 2, FLOPS)  # type: ignore[arg-type]

    assert 8 * price() == pytest.approx(price(restarts=4, steps=200_000), rel=0.05)
    assert price(start=WeightMatching()) > price()
    assert price(max_evaluations=50_000) == pytest.approx(price() / 2, rel=0.05)
    assert price(max_seconds=1e-3) == 1e-3
    assert 30 < price() < 50  # measured 0.36 ms a step at 60,000 examples on one thread
    assert price(engine="simanneal") > 20 * price()


def test_a_search_is_told_to_keep_no_more_than_a_stack_may_take() -> None:
    """Caches count with what they want up to the bound, and pairs are batched by what is left."""
    found = sweep(
        "{worlds: [model], alignments: [{method: simulated_annealing, steps: 10}]}",
        "{name: mlp, width: 1024}",
        seeds=8,
    )["alignment"]
    item = found[0]
    assert isinstance(item, AlignmentItem)
    wanted = cache_bytes(item.method, item.cell, 2)
    assert 4 * 1438 * (2 * 1024 + 10) == wanted
    assert working_bytes(item) - working_bytes(item, 1e6) == wanted - 1e6
    bound = 2.5 * working_bytes(item)
    made = batches({"alignment": found}, lambda _: 1e-3, bound, num_slots=1)
    assert [2, 2] == [len(batch.items) for batch in made]


def test_planning_imports_no_torch() -> None:
    """A sweep of searches, planted pairs and layers is planned without torch."""
    text = (
        "{name: s, store: s, networks: [{dataset: cifar10, architecture: {name: vgg}, seeds: 2}], barriers: "
        "{worlds: [real, planted], alignments: [{method: sinkhorn}], interpolation: {layers: each}}}"
    )
    program = (
        "import sys; from lmc_sweep.config import parse_sweep; "
        "from lmc_sweep.planning.plan import make_plan; "
        f"make_plan(parse_sweep({text!r}), None, 2).summary(); print('torch' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "False" == answer.stdout.strip()
