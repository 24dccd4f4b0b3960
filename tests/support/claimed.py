"""Stores that say what a test wants of a claim: rows of barriers, alignments and networks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from store_rows import row

from lmc_sweep.store.store import Store

IDENTITY = {"method": "identity"}
GREEDY = {"method": "functional_difference", "assignment": "greedy"}


def annealing(steps: int = 50000, objective: str = "midpoint_error") -> dict[str, Any]:
    """The options of an annealing, as the paper's files ask for it."""
    fixed = {"method": "simulated_annealing", "start": "random", "num_examples": None}
    return {**fixed, "objective": objective, "steps": steps}


def line(
    value: float,
    dataset: str = "mnist",
    architecture: str = "mlp",
    width: int = 64,
    depth: int = 1,
    method: Mapping[str, Any] = IDENTITY,
    world: str = "real",
    gap: float = 0.0,
    noise: float = 0.0,
    errors: tuple[float, float] = (0.0, 0.02),
    size: int = 2,
    num_pairs: int = 5,
) -> dict[str, Any]:
    """Pairs of one cell after one method: their mean midpoint barrier, and how far the highest is above it.

    ``errors`` are those of the cell's networks, on train and test; ``size`` is of the groups aligned.
    """
    return dict(locals())


def ensemble(error: float, method: str, dataset: str = "mnist", num_pairs: int = 5) -> dict[str, Any]:
    """Pairs of one cell made into ensembles by one method: the mean test error of their weight average."""
    return {"ensemble": method, "error": error, "dataset": dataset, "num_pairs": num_pairs}


def random_networks(deviation: float, width: int, input_dim: int = 2, num_pairs: int = 5) -> dict[str, Any]:
    """Pairs of random networks after assignment: their mean deviation from linearity."""
    return {"deviation": deviation, "width": width, "input_dim": input_dim, "num_pairs": num_pairs}


def store_of(path: Path, lines: Sequence[Mapping[str, Any]]) -> Store:
    """A store that holds these lines, barriers of loss twice as high as those of error."""
    store = Store.create(path)
    names = ("networks", "alignments", "barriers", "ensembles", "initialization")
    tables: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in names}
    for told in lines:
        for pair in range(told["num_pairs"]):
            add = _add_ensemble if "ensemble" in told else _add_random if "deviation" in told else _add
            add(tables, told, pair)
    weights = store.write_tensors("networks", {"w": torch.ones(1, 2)})
    for network in tables["networks"].values():
        network["checkpoint"] = weights
    for table, rows in tables.items():
        if rows:
            store.commit(table, list(rows.values()))
    return store


def _add_random(tables: dict[str, dict[str, dict[str, Any]]], told: Mapping[str, Any], pair: int) -> None:
    name = f"{told['input_dim']}-{told['width']}-{pair}"
    tables["initialization"][name] = row(
        "initialization",
        name,
        input_dim=told["input_dim"],
        width=told["width"],
        seed=pair,
        matching="hungarian",
        activation="relu",
        deviation_mean=told["deviation"] * (1 + 0.02 * (pair - 2)),
    )


def _add_ensemble(tables: dict[str, dict[str, dict[str, Any]]], told: Mapping[str, Any], pair: int) -> None:
    options: dict[str, Any] = {"method": told["ensemble"]}
    if "functional_difference" in told["ensemble"]:
        options |= {"assignment": "greedy", "num_examples": 2048}
    if "subspace" in told["ensemble"]:
        options |= {"strength": 1, "regularizer": "squared_cosine"}
    cell = {"dataset": told["dataset"], "architecture": "mlp", "width": 1024, "depth": 1, "label_noise": 0.0}
    name = f"{told['dataset']}-{pair}-{told['ensemble']}"
    tables["ensembles"][name] = row(
        "ensembles",
        name,
        **cell,
        cell_id=told["dataset"],
        pair_id=f"{told['dataset']}-{pair}",
        method=told["ensemble"],
        method_json=json.dumps(options, sort_keys=True),
        checkpoint=None,
        row=None,
        test_weight_average_error=told["error"] + 0.001 * pair,
    )


def _add(tables: dict[str, dict[str, dict[str, Any]]], told: Mapping[str, Any], pair: int) -> None:
    keys = ("dataset", "architecture", "width", "depth")
    cell = {**{key: told[key] for key in keys}, "label_noise": told["noise"]}
    cell["cell_id"] = "-".join(str(value) for value in cell.values())
    pair_id = f"{cell['cell_id']}-{told['world']}-{told['size']}-{pair}"
    aligned = {"world": told["world"], "method": told["method"]["method"], "pair_id": pair_id}
    aligned["method_json"] = json.dumps(told["method"], sort_keys=True)
    name = f"{pair_id}-{aligned['method_json']}"
    train, test = told["errors"]
    network = {**cell, "train_error": train, "test_error": test, "save_at": None, "row": 0}
    tables["networks"][cell["cell_id"]] = row("networks", cell["cell_id"], **network)
    networks = [f"{pair_id}-{member}" for member in range(told["size"])]
    tables["alignments"][name] = row(
        "alignments", name, cell_id=cell["cell_id"], networks=networks, **aligned
    )
    middle = told["value"] * (1 + 0.02 * (pair - 2))
    heights = {"error_midpoint_barrier": middle, "error_barrier": middle + told["gap"]}
    heights |= {f"loss{key.removeprefix('error')}": 2 * height for key, height in heights.items()}
    whole = {"split": "train", "correction": "none", "layers": None, "save_at": None, "alignment_id": name}
    tables["barriers"][name] = row("barriers", name, **cell, **aligned, **heights, **whole)
