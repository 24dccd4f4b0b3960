"""The table that ends a run: mean barriers by cell, method and world."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store

Spec = dict[str, Any]

Row = tuple[str, str]
"""Cell and correction."""

_ORDER = ("none", "reset_bn", "repair")

_ALWAYS_SHOWN = ("dataset", "name", "depth", "width")


def barrier_summary(store: Store, sweep: str, split: str = "train") -> tuple[list[str], list[list[str]]]:
    """Column names and rows of text: one row per cell and correction, one column per world and method.

    Corrections are named where there is another one than ``none``. An entry is the mean loss barrier in
    nats with the number of pairs in parentheses; pairs whose loss is not finite are left out of both.
    World planted is told with its noise. Barriers of single layers are not among them.
    """
    asked = store.item_ids(sweep, "barrier")
    world = "CASE world WHEN 'planted' THEN 'planted ' || planted_noise ELSE world END"
    whole = store.barriers().filter("layers IS NULL")
    found = whole.project(f"barrier_id, cell_id, {world}, method_json, split, correction, loss_barrier")
    entries: dict[Row, dict[tuple[str, str], list[float]]] = defaultdict(lambda: defaultdict(list))
    for barrier_id, cell, world, method, of_split, correction, value in found.fetchall():
        if barrier_id in asked and of_split == split:
            kept = entries[cell, correction][world, method]
            if value is not None:
                kept.append(value)
    methods = {method for of_cell in entries.values() for _, method in of_cell}
    names = method_names({method: json.loads(method) for method in methods})
    keys = sorted(
        {key for of_cell in entries.values() for key in of_cell}, key=lambda key: _place(key, names)
    )
    cells = _cell_labels(store, {cell for cell, _ in entries})
    is_told = {correction for _, correction in entries} != {"none"}
    labels = {(cell, c): f"{cells[cell]}, {c}" if is_told else cells[cell] for cell, c in entries}
    rows = [
        [labels[row], *(_entry(entries[row].get(key, [])) for key in keys)]
        for row in sorted(entries, key=lambda row: (_natural(cells[row[0]]), _ORDER.index(row[1])))
    ]
    return [
        "cell, correction" if is_told else "cell",
        *(f"{names[method]}, {world}" for world, method in keys),
    ], rows


def method_names(specs: dict[str, Spec]) -> dict[str, str]:
    """Short names of methods: the method's own, and the options in which two of one name differ."""
    names = {}
    flat = {key: _with_start(spec) for key, spec in specs.items()}
    for key, spec in flat.items():
        alike = [other for other in flat.values() if other["method"] == spec["method"]]
        told = ", ".join(f"{option} {spec.get(option)}" for option in _differing(alike))
        names[key] = f"{spec['method']} ({told})" if told else str(spec["method"])
    return names


def _with_start(spec: Spec) -> Spec:
    """The options, with those of a method whose result is refined beside the others."""
    start = spec.get("start")
    if not isinstance(start, dict):
        return spec
    options = {f"its {key}": value for key, value in start.items() if key != "method"}
    return {**spec, "start": start["method"], **options}


def _cell_labels(store: Store, cells: Collection[str]) -> dict[str, str]:
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


def _place(key: tuple[str, str], names: dict[str, str]) -> tuple[bool, bool, str]:
    """World real first; in a world the identity first, the others by name."""
    world, method = key
    return world != "real", names[method] != "identity", names[method]


def _natural(label: str) -> list[tuple[bool, float, str]]:
    """Words in order, numbers by value."""
    words = label.split()
    return [(True, float(w), "") if w.replace(".", "", 1).isdigit() else (False, 0.0, w) for w in words]


def _entry(values: list[float]) -> str:
    return f"{sum(values) / len(values):.3f} ({len(values)})" if values else "-"
