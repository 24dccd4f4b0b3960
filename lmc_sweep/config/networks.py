"""The section ``networks`` of a sweep file: from grids to cells."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from lmc_sweep.config import architectures, checkpoints, examples, fields
from lmc_sweep.config.counts import seeds_of
from lmc_sweep.config.grid import Located, unroll
from lmc_sweep.config.refusals import Refusal, join, refuse_unknown_keys, shown
from lmc_sweep.config.sweep import Cell
from workers.datasets.definitions import define
from workers.specs import TrainingSpec

_EXAMPLE = "{dataset: digits, architecture: {name: mlp, width: 64}, seeds: 10}"
_TRAINED = (*examples.KEYS, "architecture", "training", "seeds")
_IMPORTED = (*examples.KEYS, "checkpoints", "module", "architecture")


def read(value: Any) -> tuple[Cell, ...]:
    """One cell per point of every entry, in the order of the file."""
    if not isinstance(value, list):
        raise Refusal("networks", f"should be a list of entries, as in [{_EXAMPLE}], not {shown(value)}")
    if not value:
        raise Refusal(
            "networks", f"an empty list trains nothing. Name at least one entry, as in [{_EXAMPLE}]"
        )
    return tuple(cell for index, entry in enumerate(value) for cell in _entry(entry, f"networks[{index}]"))


def _entry(value: Any, origin: str) -> list[Cell]:
    """The cells of one entry."""
    entry = fields.mapping(value, origin, _EXAMPLE)
    imported = "checkpoints" in entry
    if imported:
        refuse_unknown_keys(entry, _IMPORTED, origin)
        required: tuple[str, ...] = ("dataset",)
        if ("module" in entry) == ("architecture" in entry):
            raise Refusal(origin, "checkpoints need either 'module' or 'architecture': what they load into")
    else:
        refuse_unknown_keys(entry, list(dict.fromkeys([*_TRAINED, *_IMPORTED])), origin)
        required = ("dataset", "architecture", "seeds")
        if "module" in entry:
            raise Refusal(
                join(origin, "module"), "belongs to checkpoints. To train it, name it in architecture"
            )
    for key in required:
        if key not in entry:
            raise Refusal(origin, f"'{key}' is missing, and has no default")
    seeds = () if imported else seeds_of(entry["seeds"], join(origin, "seeds"))
    points = unroll({key: part for key, part in entry.items() if key != "seeds"}, origin)
    cells = [_cell(point, seeds, origin) for point in points]
    _refuse_equal_cells(cells, points)
    _refuse_without_effect(cells, points)
    return _with_ends(cells)


def _cell(point: Located, seeds: tuple[int, ...], origin: str) -> Cell:
    """The cell of one point of the grid."""
    data, noise = examples.read(point)
    if "checkpoints" in point.value:
        return checkpoints.cell(point, data, noise, origin)
    architecture = architectures.read(point, data)
    training = point.get("training") or Located({}, join(origin, "training"))
    fields.mapping(training.value, training.path, "{learning_rate: 0.01}")
    spec = fields.dataclass_of(TrainingSpec, training)
    if spec.save_at is not None and spec.save_at > spec.max_epochs:
        raise Refusal(
            point.at("training", "save_at"),
            f"{spec.save_at} is beyond the end of training (max_epochs {spec.max_epochs}). Leave it out",
        )
    if spec.save_at == spec.max_epochs:  # the same network
        spec = replace(spec, save_at=None)
    cell = Cell(
        data=data,
        label_noise=noise,
        architecture=architecture,
        training=spec,
        seeds=seeds,
        origin=origin,
    )
    _refuse_identical_networks(cell, point)
    _refuse_single_example(cell, point)
    return cell


def _with_ends(cells: list[Cell]) -> list[Cell]:
    """The cells, and after those that are saved along the way the cell of their ends."""
    made: dict[Cell, None] = {}
    ends: dict[Cell, None] = {}
    for cell in cells:
        made[cell] = None
        if cell.training is not None and cell.training.save_at is not None:
            ends[replace(cell, training=replace(cell.training, save_at=None))] = None
    return list(made | ends)


def _refuse_equal_cells(cells: list[Cell], points: list[Located]) -> None:
    """Refuses a grid two of whose points ask for the same networks."""
    seen: dict[Cell, Located] = {}
    for cell, point in zip(cells, points, strict=True):
        if cell in seen:
            before, now = (dict(one.leaves()) for one in (seen[cell], point))
            differing = [
                f"{before[keys]} and {now[keys]}" for keys in now if before.get(keys, now[keys]) != now[keys]
            ]
            where = differing[0] if differing else "two of its points"
            raise Refusal(
                cell.origin, f"the grid names the same networks twice: {where} mean the same. Remove one"
            )
        seen[cell] = point


def _refuse_identical_networks(cell: Cell, point: Located) -> None:
    """Refuses several seeds where nothing is left that depends on the seed."""
    training = cell.training
    if len(cell.seeds) == 1 or training is None:
        return
    identical = f"all {len(cell.seeds)} networks of a cell would be identical"
    if training.spawn_at_step is None:
        no_order = training.order_seed is not None or training.max_epochs == 0
        if training.init_seed is not None and no_order:
            fixed = "init_seed and order_seed are" if training.order_seed is not None else "init_seed is"
            untrained = " and max_epochs is 0" if training.order_seed is None else ""
            raise Refusal(
                point.at("training", "init_seed"),
                f"{fixed} fixed{untrained}: {identical}. Leave one of them out, or name one seed",
            )
        return
    num_steps = training.max_epochs * math.ceil(define(cell.data).num_train / training.batch_size)
    if training.spawn_at_step >= num_steps:
        raise Refusal(
            point.at("training", "spawn_at_step"),
            f"{training.spawn_at_step} is not before the end of training, after {num_steps} steps on "
            f"{cell.dataset}: {identical}. Choose an earlier step, or name one seed",
        )


def _refuse_single_example(cell: Cell, point: Located) -> None:
    """Refuses a last minibatch of one example where batch norm would find no variance in it."""
    training, num_train = cell.training, define(cell.data).num_train
    if training is None or training.max_epochs == 0:
        return
    is_single = training.batch_size == 1 or num_train % training.batch_size == 1
    if is_single and architectures.is_normed(cell.architecture, cell.origin):
        raise Refusal(
            point.at("training", "batch_size"),
            f"batch_size {training.batch_size} leaves a single one of {num_train} training examples for a "
            "minibatch, in which batch norm finds no variance. Choose another",
        )


def _refuse_without_effect(cells: list[Cell], points: list[Located]) -> None:
    """Refuses a value that changes nothing in any of the cells it covers."""
    reasons: dict[str, str] = {}
    with_effect: set[str] = set()
    for cell, point in zip(cells, points, strict=True):
        inert = examples.inert(point, cell.data) | _inert(cell)
        for keys, path in point.leaves():
            if keys in inert:
                reasons.setdefault(path, inert[keys])
            else:
                with_effect.add(path)
    for path, reason in reasons.items():
        if path not in with_effect:
            raise Refusal(path, f"has no effect: {reason}. Leave it out")


def _inert(cell: Cell) -> dict[tuple[str, ...], str]:
    """The options of training that change nothing in this cell, and why."""
    training = cell.training
    if training is None:
        return {}
    reasons: dict[tuple[str, ...], str] = {}
    if training.max_epochs == 0:
        untrained = {
            "optimizer": "sgd",
            "precision": "float32",
            "schedule": "constant",
            "stop_train_loss": None,
            "order_seed": None,
            "spawn_at_step": None,
        }
        for option, neutral in untrained.items():
            if getattr(training, option) != neutral:
                reasons["training", option] = "max_epochs is 0, so nothing is trained"
    elif training.spawn_at_step == 0 and training.order_seed is not None:
        reasons["training", "order_seed"] = (
            "spawn_at_step is 0, so every network follows its own order throughout"
        )
    return reasons
