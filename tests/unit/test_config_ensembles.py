"""The study ``ensembles`` of a sweep file: what it becomes, and what is refused before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lmc_sweep.config import parse_sweep
from lmc_sweep.config.ensembles_study import EnsemblesStudy
from lmc_sweep.errors import SweepError
from workers.ensembles.specs import (
    ENSEMBLE_METHODS,
    ByFunctionalDifference,
    Independent,
    Subspace,
    SubspaceFunctionalDifference,
)

CELL = "{dataset: digits, architecture: {name: mlp, width: 4}, seeds: 4}"
RESNET = "{dataset: cifar10, architecture: {name: resnet20}, seeds: 4}"
LAYER_NORM = "{dataset: cifar10, architecture: {name: resnet20, norm: layer}, seeds: 4}"


def text(section: str, *networks: str) -> str:
    """A small sweep."""
    return f"{{name: s, store: runs/s, networks: [{', '.join(networks or (CELL,))}], ensembles: {section}}}"


def study(section: str, *networks: str) -> EnsemblesStudy:
    """The study of a sweep that is taken."""
    found: EnsemblesStudy = parse_sweep(text(section, *networks)).studies["ensembles"]
    return found


def refusal(section: str, *networks: str) -> str:
    """The message with which a sweep is refused: one line."""
    with pytest.raises(SweepError) as caught:
        parse_sweep(text(section, *networks), "bad.yaml")
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix("bad.yaml: ")


def test_every_method_is_read_with_its_defaults() -> None:
    """The name alone is the method with the defaults of its class; all seeds are paired, on both splits."""
    listed = ", ".join(f"{{method: {name}}}" for name in ENSEMBLE_METHODS)
    found = study(f"{{methods: [{listed}]}}")
    assert tuple(cls() for cls in ENSEMBLE_METHODS.values()) == found.methods
    assert (None, 2, ("train", "test")) == (found.pairs, found.num_pairs(5), found.splits)


def test_lists_of_options_are_axes() -> None:
    """Every point of a grid is a method; at strength 0 the regularizer names none."""
    axes = "strength: [0, 2], regularizer: [squared_cosine, cosine]"
    found = study(f"{{pairs: 1, methods: [{{method: subspace, {axes}}}], splits: [test]}}")
    expected = (
        Subspace(strength=0.0),
        Subspace(strength=2.0),
        Subspace(strength=2.0, regularizer="cosine"),
    )
    assert expected == found.methods
    assert (1, ("test",)) == (found.pairs, found.splits)
    both = study("{methods: [{method: subspace_functional_difference, assignment: [greedy, hungarian]}]}")
    assert ["greedy", "hungarian"] == [method.assignment for method in both.methods]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("[independent]", "ensembles: should be a mapping"),
        ("{pairs: 1}", "ensembles: 'methods' is missing"),
        ("{methods: [], pair: 1}", "ensembles: unknown key 'pair'. Did you mean 'pairs'?"),
        ("{methods: []}", "ensembles.methods: an empty list"),
        ("{methods: independent}", "ensembles.methods: should be a list of methods"),
        ("{methods: [{method: subspaces}]}", "ensembles.methods[0].method: unknown method 'subspaces'"),
        ("{methods: [{strength: 1}]}", "ensembles.methods[0]: 'method' is missing"),
        ("{methods: [{method: independent, strength: 1}]}", "ensembles.methods[0]: unknown key 'strength'"),
        (
            "{methods: [{method: subspace, strength: -1}]}",
            "ensembles.methods[0].strength: must be at least 0",
        ),
        ("{methods: [{method: subspace, regularizer: l2}]}", "ensembles.methods[0].regularizer: unknown"),
        (
            "{methods: [{method: functional_difference, num_examples: 1}]}",
            "ensembles.methods[0].num_examples: must be at least 2",
        ),
        (
            "{methods: [{method: subspace, strength: 0, regularizer: cosine}]}",
            "ensembles.methods[0].regularizer: has no effect: at strength 0",
        ),
        (
            "{methods: [{method: subspace}, {method: subspace, strength: 1}]}",
            "ensembles.methods[1]: means the same as ensembles.methods[0]",
        ),
        ("{methods: [{method: independent}], splits: []}", "ensembles.splits: an empty list"),
        ("{methods: [{method: independent}], splits: [all]}", "ensembles.splits"),
        ("{methods: [{method: independent}], pairs: 0}", "ensembles.pairs: must be at least 1"),
        (
            "{methods: [{method: independent}], pairs: 3}",
            "ensembles.pairs: 3 pairs need 6 seeds, and networks[0] lists 4. Ask for at most 2, or list",
        ),
    ],
)
def test_what_is_wrong_is_refused(section: str, message: str) -> None:
    """Rule, value, place."""
    assert refusal(section).startswith(message)


def test_a_single_network_makes_no_pair() -> None:
    """More seeds are the remedy."""
    single = CELL.replace("seeds: 4", "seeds: 1")
    told = refusal("{methods: [{method: independent}]}", single)
    assert "ensembles: 1 pair needs 2 seeds, and networks[0] lists 1. List more seeds" == told


def test_methods_that_serve_no_network_are_refused() -> None:
    """Batch norm for all; other architectures, and training in bfloat16, for lines alone."""
    every = [f"{{methods: [{{method: {name}}}]}}" for name in ENSEMBLE_METHODS]
    for section in every:
        assert "has batch norm" in refusal(section, RESNET)
    for section in every[:2]:
        assert study(section, LAYER_NORM).methods
    for section in every[2:]:
        assert "architecture mlp alone, not resnet20" in refusal(section, LAYER_NORM)
        assert study(section, LAYER_NORM, CELL).methods
        rounded = CELL.replace("seeds", "training: {precision: bfloat16}, seeds")
        assert "not bfloat16" in refusal(section, rounded)


def test_lines_are_not_learned_of_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks from files have no training that could be repeated; their averages can be measured."""
    from safetensors.torch import save_file

    from workers.architectures.build import build
    from workers.datasets.definitions import define
    from workers.specs import DataSpec, MLPSpec

    program = build(MLPSpec(width=3), define(DataSpec(dataset="digits")))
    for seed in range(2):
        save_file(
            {name: torch.clone(value) for name, value in program.initialize(seed).items()},
            tmp_path / f"net{seed}.safetensors",
        )
    monkeypatch.chdir(tmp_path)
    files = "{checkpoints: '*.safetensors', architecture: {name: mlp, width: 3}, dataset: digits}"
    told = refusal("{methods: [{method: subspace}]}", files)
    assert "ensembles.methods[0]: subspace: it trains networks, and those of checkpoints" in told
    assert (Independent(),) == study("{methods: [{method: independent}]}", files).methods


def test_methods_say_what_they_do() -> None:
    """Which of them read trained networks, permute, and learn a line."""
    flags = {cls: (cls.reads_networks, cls.permutes, cls.learns_line) for cls in ENSEMBLE_METHODS.values()}
    expected = {
        Independent: (True, False, False),
        ByFunctionalDifference: (True, True, False),
        Subspace: (False, False, True),
        SubspaceFunctionalDifference: (True, True, True),
    }
    assert expected == flags
