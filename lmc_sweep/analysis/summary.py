"""The table that ends a run: mean barriers by cell, method and world."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lmc_sweep.analysis.method_labels import method_labels

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store

Spec = dict[str, Any]

_ORDER = ("none", "reset_bn", "repair")

_FIRST = ("identity", "random")

_ALWAYS_SHOWN = ("dataset", "name", "depth", "width")


@dataclass(frozen=True)
class CellBarriers:
    """Mean barriers of one cell with one correction.

    Attributes:
        label: The cell in words, with the correction where there is another one than ``none``.
        methods: Each method's label, and its entry of text by world.
    """

    label: str
    methods: tuple[tuple[str, dict[str, str]], ...]


def barrier_summary(store: Store, sweep: str, split: str = "train") -> tuple[list[str], list[CellBarriers]]:
    """Worlds, and the mean barriers of each cell by method and world.

    An entry is the mean loss barrier in nats with the number of pairs in parentheses; pairs whose loss is
    not finite are left out of both. World planted is told with its noise. Barriers of single layers are
    not among them.
    """
    asked = store.item_ids(sweep, "barrier")
    world = "CASE world WHEN 'planted' THEN 'planted ' || planted_noise ELSE world END"
    whole = store.barriers().filter("layers IS NULL")
    found = whole.project(f"barrier_id, cell_id, {world}, method_json, split, correction, loss_barrier")
    values: dict[tuple[str, str], dict[str, dict[str, list[float]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(list))
    )
    for barrier_id, cell, of_world, method, of_split, correction, value in found.fetchall():
        if barrier_id in asked and of_split == split:
            kept = values[cell, correction][method][of_world]
            if value is not None:
                kept.append(value)
    labels = method_labels({method for of_cell in values.values() for method in of_cell})
    methods = sorted(labels, key=lambda method: _method_place(method, labels))
    cells = cell_labels(store, {cell for cell, _ in values})
    is_told = {correction for _, correction in values} != {"none"}
    worlds = {world for of_cell in values.values() for of_method in of_cell.values() for world in of_method}
    order = sorted(values, key=lambda key: (_natural(cells[key[0]]), _ORDER.index(key[1])))
    return sorted(worlds, key=lambda world: (world != "real", _natural(world))), [
        CellBarriers(
            label=f"{cells[cell]}, {correction}" if is_told else cells[cell],
            methods=tuple(
                (
                    labels[method],
                    {world: _entry(of) for world, of in values[cell, correction][method].items()},
                )
                for method in methods
                if method in values[cell, correction]
            ),
        )
        for cell, correction in order
    ]


def cell_labels(store: Store, cells: Collection[str]) -> dict[str, str]:
    """Data set and architecture of each cell, and the other settings in which the cells differ."""
    rows = store.networks().project("cell_id, spec_json").fetchall()
    specs = {cell: dict(_leaves(json.loads(text))) for cell, text in rows if cell in cells}
    for spec in specs.values():
        spec.pop("seed", None)
        if "learning_rate" not in spec:  # trained elsewhere: of each member its own
            spec.pop("sha256", None)
    others = [option for option in _differing(list(specs.values())) if option not in _ALWAYS_SHOWN]
    labels = {}
    for cell in cells:
        spec = specs.get(cell, {})
        told = [option for option in (*_ALWAYS_SHOWN[2:], *others) if spec.get(option) is not None]
        base = f"{spec.get('dataset')} {spec.get('name')}"
        labels[cell] = " ".join([base, *(f"{option} {spec[option]}" for option in told)])
    return labels


def _differing(specs: list[Spec]) -> list[str]:
    """Keys under which the mappings do not all hold the same."""
    keys = sorted({key for spec in specs for key in spec})
    return [key for key in keys if len({json.dumps(spec.get(key)) for spec in specs}) > 1]


def _leaves(spec: Spec) -> Iterator[tuple[str, Any]]:
    """Names and values of a spec's fields, those of its parts included."""
    for key, value in spec.items():
        if isinstance(value, dict):
            yield from _leaves(value)
        elif key == "arguments":  # of the user's own function: pairs of names and values
            yield from ((name, of_name) for name, of_name in value)
        else:
            yield key, value


def _method_place(method: str, labels: dict[str, str]) -> tuple[int, list[str | float]]:
    """Methods that search nothing first, the others by name and number."""
    name = json.loads(method)["method"]
    return _FIRST.index(name) if name in _FIRST else len(_FIRST), _natural(labels[method])


def _natural(label: str) -> list[str | float]:
    """Words in order, numbers by value: at odd places the numbers."""
    parts = re.split(r"(\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?)", label)
    return [float(part.replace(",", "")) if place % 2 else part for place, part in enumerate(parts)]


def _entry(values: list[float]) -> str:
    return f"{sum(values) / len(values):.3f} ({len(values)})" if values else "-"
