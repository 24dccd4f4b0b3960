"""The section ``permutation_paths``: what it stands for, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from lmc_sweep.config.loading import parse_sweep
from lmc_sweep.errors import SweepError
from lmc_sweep.planning.items import items
from lmc_sweep.planning.study_permutation_paths import PermutationPathItem

TOY = {"inputs": 2, "hidden": [5], "outputs": 1, "seeds": 3}
TRAINED = [
    {
        "dataset": "digits",
        "architecture": {"name": "mlp", "width": [4, 6], "depth": 2},
        "training": {"max_epochs": 1},
        "seeds": 2,
    }
]


def paths(section: Any, networks: Any = None) -> list[PermutationPathItem]:
    """The items that a section asks for."""
    sweep: dict[str, Any] = {"name": "s", "store": "runs/s", "permutation_paths": section}
    if networks is not None:
        sweep["networks"] = networks
    found = items(parse_sweep(yaml.safe_dump(sweep), "s.yaml"))["permutation_path"]
    return [item for item in found if isinstance(item, PermutationPathItem)]


def refusal(section: Any, networks: Any = None) -> str:
    """What is said of a section that is refused."""
    with pytest.raises(SweepError) as error:
        paths(section, networks)
    return str(error.value)


def test_toy_of_the_paper_needs_no_networks() -> None:
    """Three teachers, ten pairs each, as figure 2 has them by default: 200 steps to 1e-4 of the distance."""
    found = paths({"teachers": TOY, "pairs": "all"})
    assert 30 == len({item.id for item in found})
    assert {(0, 1), (3, 4)} <= {item.spec.pair for item in found}
    spec = found[0].spec
    assert ("squared", "constrained", "free", 200, 1e-4) == (
        spec.loss,
        spec.variant,
        spec.output_weights,
        spec.num_steps,
        spec.smallest,
    )
    assert {()} == {item.requires for item in found}
    assert 1 == len({item.cell_id for item in found})


def test_paths_of_trained_networks_wait_for_them() -> None:
    """Two cells of two networks, two pairs by rule each: 100 steps, the relative loss."""
    found = paths({"layer": 2, "pairs": {"cosine": 1, "distance": 1}}, TRAINED)
    assert 8 == len(found)
    assert {("cosine", 0), ("distance", 0)} == {(item.spec.rule, item.spec.rank) for item in found}
    assert all(len(item.requires) == 1 and item.networks == item.requires for item in found)
    assert {(100, "relative_squared", None)} == {
        (item.spec.num_steps, item.spec.loss, item.spec.num_examples) for item in found
    }
    assert {(64, 4, 4, 10), (64, 6, 6, 10)} == {item.sizes for item in found}


def test_more_teachers_and_pairs_leave_the_names_of_others() -> None:
    """An id tells of its own path alone; that of a pair is the same named and among all."""
    few = {item.id for item in paths({"teachers": {**TOY, "seeds": 2}, "pairs": [[0, 1], [2, 4]]})}
    many = {item.id for item in paths({"teachers": {**TOY, "seeds": 4}, "pairs": "all"})}
    assert 4 == len(few)
    assert few < many


def test_lists_are_axes() -> None:
    """Activations, numbers of outputs, variants; options of one variant do not multiply the other."""
    section = {
        "teachers": {**TOY, "seeds": 1, "activation": ["tanh", "softplus"], "outputs": [1, 3]},
        "pairs": [[0, 1]],
        "variant": ["constrained", "penalized"],
        "multipliers": [1e-3, 10],
    }
    found = paths(section)
    assert 8 == len({item.id for item in found})
    assert {(1e-3, 10.0), None} == {item.spec.multipliers for item in found}
    several = paths([{"teachers": TOY, "pairs": [[0, 1]]}, {"teachers": TOY, "pairs": [[0, 2]]}])
    assert 6 == len(several)


def test_paths_of_one_shape_share_a_batch() -> None:
    """Teachers and pairs differ within a batch; activations, layers and schedules do not."""
    found = paths(
        {"teachers": {**TOY, "activation": ["relu", "tanh"]}, "pairs": "all", "num_steps": [20, 30]}
    )
    assert 4 == len({item.group for item in found})


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"teachers": TOY, "layer": 2}, "layer 2 is no hidden layer of a network 2-5-1, which has 1 to 1"),
        ({"teachers": {**TOY, "hidden": [1]}}, "has one neuron, and two become one"),
        (
            {"teachers": TOY, "pairs": [[0, 5]]},
            "pairs[0]: layer 1 of a network 2-5-1 has neurons 0 to 4, not 5",
        ),
        (
            {"teachers": TOY, "pairs": [[3, 3]]},
            "pairs[0]: two different neurons become one, not 3 and itself",
        ),
        ({"teachers": TOY, "pairs": [[0, 1], [1, 0]]}, "pairs[1]: repeats [0] (1 and 0)"),
        ({"teachers": TOY, "pairs": [[0, -1]]}, "counted from 0"),
        ({"teachers": TOY, "pairs": {"cosine": 11}}, "pairs.cosine: layer 1 of a network 2-5-1 has 10 pairs"),
        ({"teachers": TOY, "pairs": {"cosines": 1}}, "unknown key 'cosines'. Did you mean 'cosine'?"),
        ({"teachers": TOY, "pairs": "some"}, "pairs: should be all, {cosine: 3}"),
        ({"teachers": TOY, "loss": "cross_entropy"}, "loss: cross_entropy needs labels"),
        ({"teachers": TOY, "num_examples": 5}, "write teachers.num_points"),
        (
            {"teachers": TOY, "multipliers": [1, 2]},
            "multipliers: has no effect: it concerns variant penalized",
        ),
        ({"teachers": TOY, "variant": "penalized", "smallest": 0.1}, "smallest: has no effect: it concerns"),
        ({"teachers": TOY, "variant": "penalized", "multipliers": [2, 1]}, "the smallest multiplier and"),
        ({"teachers": TOY, "smallest": 1}, "smallest: must be less than 1"),
        ({"teachers": TOY, "permutation_points": {}}, "permutation_points.hessian: second derivatives need"),
        ({"teachers": TOY, "permutation_points": {"hessian": False, "lowest": 3}}, "lowest: has no effect"),
        ({"teachers": {"inputs": 2}}, "teachers: 'seeds' is missing"),
        ({"teachers": {**TOY, "hidden": []}}, "hidden: a network has at least one hidden layer"),
        ({"teachers": {**TOY, "activation": "gelu"}}, "teachers.activation: unknown activation 'gelu'"),
        ({"teachers": TOY, "step": 3}, "unknown key 'step'"),
        ({"teachers": TOY, "pairs": [[]]}, "pairs[0]: the list is too short: [0] is missing"),
        (
            {"teachers": TOY, "variant": "penalized", "multipliers": [0]},
            "multipliers[0]: must be greater than 0",
        ),
        ({"teachers": TOY, "variant": "both", "smallest": 0.1}, "variant: unknown variant 'both'"),
        ({"teachers": TOY, "variant": {}}, "variant: should be constrained or penalized, not a mapping"),
        ({"teachers": TOY, "smallest": None}, "smallest: null says nothing here"),
        ({"teachers": TOY, "output_weights": None}, "output_weights: null says nothing here"),
        (
            {"teachers": {**TOY, "hidden": [500]}, "pairs": "all"},
            "has 124750 pairs of neurons, more than 100000",
        ),
        ([], "an empty list asks for nothing"),
        ([{"teachers": TOY}, {"teachers": TOY}], "permutation_paths[1]: asks for the same paths as"),
        ({"layer": 1}, "networks"),
    ],
)
def test_what_cannot_be_is_refused_with_its_rule(section: Any, said: str) -> None:
    """Before anything starts, with where it stands."""
    assert said in refusal(section)


def test_points_that_differ_in_options_of_the_other_variant_are_one() -> None:
    """Held or free output weights concern the constrained variant alone: two points of it, one otherwise."""
    grid = {"teachers": TOY, "variant": ["constrained", "penalized"], "output_weights": ["free", "held"]}
    ids = {path.id for path in paths({**grid, "num_steps": 10})}
    of_constrained = {path.id for path in paths({**grid, "num_steps": 10, "variant": "constrained"})}
    assert of_constrained < ids
    assert 3 * len(of_constrained) == 2 * len(ids)


def test_layers_and_examples_of_trained_networks_are_checked() -> None:
    """Of every cell; architectures other than mlp have no paths."""
    assert "layer 3 is no hidden layer of a network 64-4-4-10" in refusal({"layer": 3}, TRAINED)
    assert "more than the 1438 training examples" in refusal({"num_examples": 1500}, TRAINED)
    assert "networks of the sweep are relu" in refusal({"permutation_points": {"lowest": 3}}, TRAINED)
    convolutional = [{**TRAINED[0], "architecture": {"name": "shallow_cnn", "width": 4}}]
    assert "asks of networks of architecture mlp alone, and the sweep has shallow_cnn" in refusal(
        {}, convolutional
    )


def test_cost_of_a_path_grows_with_what_is_asked() -> None:
    """More steps take longer and are stored; Hessians take longer."""
    short, long = (paths({"teachers": TOY, "num_steps": steps})[0] for steps in (10, 100))
    assert short.seconds(1e10) < long.seconds(1e10)
    assert short.stored_bytes() < long.stored_bytes()
    smooth = {"teachers": {**TOY, "activation": "tanh"}, "num_steps": 10}
    without, with_points = (
        paths(section)[0] for section in (smooth, {**smooth, "permutation_points": {"lowest": 5}})
    )
    assert without.seconds(1e10) < with_points.seconds(1e10)
    assert without.id != with_points.id
    assert "relu 2-5-1, layer 1" == short.words


@pytest.mark.parametrize(
    ("teacher", "hidden", "asked", "expected"),
    [
        ({"activation": "relu"}, [5], {"output_weights": "held", "max_evaluations": 300}, 0.35),
        ({"activation": "tanh"}, [5], {"max_evaluations": 300}, 0.36),
        ({"inputs": 5, "outputs": 5, "num_points": 500}, [20], {"num_steps": 20}, 1.98),
        ({"outputs": 3, "num_points": 500, "activation": "tanh"}, [10], {"num_steps": 20}, 0.78),
        ({"inputs": 4, "outputs": 2, "num_points": 500}, [10], {"num_steps": 10}, 1.4),
    ],
)
def test_cost_of_a_path_is_near_what_was_measured(
    teacher: dict[str, Any], hidden: list[int], asked: dict[str, Any], expected: float
) -> None:
    """Processor seconds per path of random teachers, on a machine of 1.2e11 products: within 2.5 times."""
    section = {"teachers": {**TOY, **teacher, "hidden": hidden}, "pairs": [[0, 1]], "num_steps": 40, **asked}
    assert expected / 2.5 < paths(section)[0].seconds(1.2e11) < expected * 2.5


def test_paths_reserve_no_gpu() -> None:
    """They are found on CPUs: a GPU for the sweep is none for them, and one asked for them is refused."""
    sweep: dict[str, Any] = {"name": "s", "store": "runs/s", "permutation_paths": {"teachers": TOY}}
    execution = parse_sweep(yaml.safe_dump({**sweep, "execution": {"num_gpus": 1}}), "s.yaml").execution
    assert 0 == execution.resources("permutation_path")[1]
    with pytest.raises(SweepError, match="permutation_path"):
        parse_sweep(
            yaml.safe_dump({**sweep, "execution": {"kinds": {"permutation_path": {"num_gpus": 1}}}}), "s.yaml"
        )


def test_more_paths_than_a_plan_can_list_are_refused() -> None:
    """All 4,950 pairs of a hundred neurons, of a thousand networks; three pairs of each are a few."""
    teachers = {**TOY, "hidden": [100], "seeds": 1000}
    told = refusal({"teachers": teachers, "pairs": "all"})
    assert "permutation_paths: asks for 4,950,000 paths, more than 1,000,000" in told
    assert "pairs: {cosine: 3}" in told
