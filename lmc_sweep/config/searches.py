"""Rules that the options of alignment methods keep: among themselves, and with the networks of a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch
from typing import Any

from lmc_sweep.config.grid import Located
from lmc_sweep.config.refusals import Refusal
from lmc_sweep.config.sweep import Cell
from workers.alignment.methods import (
    BruteForce,
    Method,
    NodeSort,
    SimulatedAnnealing,
    Sinkhorn,
    WeightMatching,
)
from workers.datasets.definitions import define
from workers.specs import DataSpec, MLPSpec

TEMPERATURES = ("temperature_start", "temperature_end")


@singledispatch
def check_options(method: Any, point: Located) -> None:
    """Refuses options of a method that contradict one another."""


@check_options.register
def _(method: SimulatedAnnealing, point: Located) -> None:
    start, end = method.temperature_start, method.temperature_end
    if start != "auto" and end != "auto" and end > start:
        raise Refusal(
            point.at("temperature_end"), f"must not exceed temperature_start ({start:g}), not {end:g}"
        )
    if method.engine == "simanneal":
        _check_reference(method, point)


def _check_reference(method: SimulatedAnnealing, point: Located) -> None:
    """Refuses what the reference engine does not have."""
    default = SimulatedAnnealing()
    for option in ("restarts", "acceptance", "max_seconds", "max_evaluations"):
        if getattr(method, option) != getattr(default, option):
            raise Refusal(
                point.at(option),
                "is not for engine simanneal, one Metropolis chain without budgets: choose engine: batched",
            )
    if not method.objective.startswith("midpoint"):
        raise Refusal(
            point.at("objective"),
            f"{method.objective} is not for engine simanneal, which knows midpoint_error and midpoint_loss: "
            "choose engine: batched",
        )


@check_options.register
def _(method: Sinkhorn, point: Located) -> None:
    if method.entropy_end > method.entropy_start:
        raise Refusal(
            point.at("entropy_end"),
            f"must not exceed entropy_start ({method.entropy_start:g}), not {method.entropy_end:g}",
        )


@check_options.register
def _(method: NodeSort, point: Located) -> None:
    if method.key == "power" and method.power is None:
        raise Refusal(point.path, "'power' is missing: key power sorts by products with 1, p, p^2, ...")


def inert(method: Method, cells: Sequence[Cell]) -> dict[str, str]:
    """The options of a method that change nothing, and why; those at their default are passed over.

    Args:
        method: With its options.
        cells: The networks that it is asked to align; none where they are not known.
    """
    default = type(method)()
    return {
        option: reason
        for option, reason in _inert(method, cells).items()
        if getattr(method, option) != getattr(default, option)
    }


def _inert(method: Method, cells: Sequence[Cell]) -> dict[str, str]:
    if isinstance(method, SimulatedAnnealing) and method.acceptance == "greedy":
        return dict.fromkeys(TEMPERATURES, "acceptance greedy takes improvements alone. Leave it out")
    if isinstance(method, Sinkhorn) and method.objective == "weights":
        reason = "objective weights looks at no examples. Leave it out, or ask for midpoint_loss"
        return dict.fromkeys(("batch_size", "num_examples"), reason)
    if isinstance(method, NodeSort) and method.key == "lexicographic":
        return {"power": "key is lexicographic. Leave it out, or add key: power"}
    if isinstance(method, WeightMatching) and cells and all(map(_has_one_group, cells)):
        reason = "with one hidden layer a single assignment is exact. Leave it out, or add deeper networks"
        return dict.fromkeys(("restarts", "max_sweeps", "tolerance", "order"), reason)
    return {}


def _has_one_group(cell: Cell) -> bool:
    return isinstance(cell.architecture, MLPSpec) and cell.architecture.depth == 1


def check_examples(method: Method, point: Located, data: Sequence[DataSpec]) -> None:
    """Refuses a search on more examples than there are, or on so many that the option says nothing.

    Of the matching methods, whose default is a number, ``num_examples`` is the most that is looked at.
    """
    if not isinstance(method, SimulatedAnnealing | BruteForce) or method.num_examples is None:
        return
    for one in data:
        num_train = define(one).num_train
        if method.num_examples > num_train:
            text = f"{one.dataset} has {num_train} training examples, not {method.num_examples}"
            raise Refusal(point.at("num_examples"), f"{text}. Leave it out for all of them")
    if data and all(method.num_examples == define(one).num_train for one in data):
        raise Refusal(
            point.at("num_examples"), "names all training examples. Leave it out, which means the same"
        )
