"""The same sweep is the same items in the same batches, wherever and however it is written down."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lmc_sweep.config import parse_sweep
from lmc_sweep.planning.batching import Batch, batches
from lmc_sweep.planning.cost import item_seconds
from lmc_sweep.planning.items import Item, items

SWEEP: dict[str, Any] = {
    "name": "anywhere",
    "store": "s",
    "networks": [
        {
            "dataset": "digits",
            "label_noise": [0.0, 0.2],
            "architecture": {"name": "mlp", "width": [4, 512], "depth": 1},
            "training": {"optimizer": "sgd", "learning_rate": 1.0, "momentum": 0.0, "max_epochs": 200},
            "seeds": 20,
        },
        {
            "dataset": "mnist",
            "architecture": {"name": "resnet20", "width_multiplier": 1.0},
            "training": {"save_at": [1, 5], "weight_decay": 0.0},
            "seeds": [3, 1, 4, 15],
        },
    ],
    "barriers": {
        "worlds": ["real", "model", "planted"],
        "planted_noise": [0.0, 1.0],
        "alignments": [
            {"method": "identity"},
            {"method": "weight_matching", "restarts": 3},
            {"method": "simulated_annealing", "steps": 2000, "max_seconds": 60.0},
        ],
        "interpolation": {"alphas": [0.0, 0.5, 1.0], "splits": ["train", "test"], "corrections": ["none"]},
    },
}
PROGRAM = """
import json, sys
from test_plan_anywhere import told
print(json.dumps(told(sys.stdin.read())))
"""


def seconds(item: Item) -> float:
    """The cost model on a machine of 50 GFLOP/s."""
    return item_seconds(item, None, 5e10)


def made(text: str) -> list[Batch]:
    """The batches of a sweep that nothing has been done of, for three workers."""
    return batches(items(parse_sweep(text)), seconds, 2e9, 3)


def told(text: str) -> list[list[Any]]:
    """Kind, id and item ids of every batch, in order."""
    return [[batch.kind, batch.id, [item.id for item in batch.items]] for batch in made(text)]


EXPECTED = told(yaml.safe_dump(SWEEP))


def test_there_is_something_to_compare() -> None:
    """The sweep has batches of every kind, and more than one per group."""
    assert {"network", "alignment", "barrier"} == {kind for kind, _, _ in EXPECTED}
    assert len(EXPECTED) > 30
    assert len(EXPECTED) == len({batch_id for _, batch_id, _ in EXPECTED})


@pytest.mark.parametrize("hash_seed", ["0", "1", "random"])
def test_another_process_makes_the_same_plan(hash_seed: str) -> None:
    """Neither the hashes of strings nor the order of sets enter a plan."""
    paths = [str(Path(__file__).parent), *sys.path]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=yaml.safe_dump(SWEEP),
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert EXPECTED == json.loads(done.stdout)


@st.composite
def rewritten(draw: st.DrawFn, value: Any) -> Any:
    """The same data with its keys in another order, and with whole numbers as integers or as floats."""
    if isinstance(value, dict):
        keys = draw(st.permutations(list(value)))
        return {key: draw(rewritten(value[key])) for key in keys}
    if isinstance(value, list):
        return [draw(rewritten(entry)) for entry in value]
    if isinstance(value, float) and value.is_integer():
        return draw(st.sampled_from([value, int(value)]))
    return value


@settings(max_examples=12, deadline=None)
@given(rewritten(SWEEP))
def test_another_spelling_makes_the_same_plan(document: dict[str, Any]) -> None:
    """Order of keys and the point of whole numbers change no id, no batch, and no order of batches."""
    assert EXPECTED == told(yaml.safe_dump(document, sort_keys=False))


@settings(max_examples=5, deadline=None)
@given(st.data())
def test_the_order_of_entries_changes_no_id(data: st.DataObject) -> None:
    """Networks and methods listed in another order are the same items."""
    document = json.loads(json.dumps(SWEEP))
    document["networks"] = data.draw(st.permutations(document["networks"]))
    document["barriers"]["alignments"] = data.draw(st.permutations(document["barriers"]["alignments"]))
    found = told(yaml.safe_dump(document))
    assert sorted(i for _, _, ids in EXPECTED for i in ids) == sorted(i for _, _, ids in found for i in ids)
