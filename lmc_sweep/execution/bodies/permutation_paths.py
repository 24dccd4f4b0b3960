"""Finding a batch of permutation paths."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lmc_sweep.execution.bodies.inputs import finite, inputs_of, labels_of
from lmc_sweep.execution.bodies.permutation_points import point_rows
from lmc_sweep.execution.task import Machine
from lmc_sweep.planning.identity import canonical_json
from lmc_sweep.planning.study_permutation_paths import PermutationPathItem
from lmc_sweep.store.store import Store
from workers.permutation_points.dense import DenseShape, flattened
from workers.permutation_points.random_teachers import teacher_network, teacher_points, teacher_shape
from workers.permutation_points.runner import Students, find_whole_paths
from workers.permutation_points.whole_paths import WholePath

_NOT_FOUND: dict[str, Any] = {
    **dict.fromkeys(("kind", "cosine", "start_loss", "start_error", "point_loss", "point_error")),
    **dict.fromkeys(("barrier", "barrier_between", "barrier_entered", "error_barrier")),
    **dict.fromkeys(("errors", "start_vectors", "point_vectors", "is_converged")),
    **{"times": [0.0], "losses": [None]},
    **{
        name: []
        for name in ("losses_between", "losses_entered", "distances", "squared_distances", "output_distances")
    },
    **{name: [] for name in ("gradient_norms", "free_gradient_norms", "num_evaluations", "outcomes")},
}
"""Columns of a network that diverged."""


def permutation_paths_batch(store: Store, items: Sequence[PermutationPathItem], machine: Machine) -> None:
    """Finds paths of networks of one shape as one stack, on the CPU, whatever the machine has.

    What is measured at the ends of paths is committed before the paths.
    """
    begun = time.perf_counter()
    places, networks, inputs, labels = _read(store, items)
    shape = _shape(items[0])
    whole = [k for k in range(len(items)) if bool(networks[k].isfinite().all())]
    found: dict[int, WholePath] = {}
    if whole:
        students = Students.of(items[0].spec, shape, networks[whole], inputs, labels)
        paths = find_whole_paths(students, [items[k].spec for k in whole])
        found = dict(zip(whole, paths, strict=True))
    starts = {k: _start(students.alone(at), found[k], items[k]) for at, k in enumerate(whole)}
    points: list[dict[str, Any]] = []
    for at, k in enumerate(whole):
        item, path = items[k], found[k]
        if item.spec.points is not None:
            loss = students.alone(at).loss
            points += point_rows(
                item.id, item.cell_id, loss, path.point, item.spec.layer, path.pair, item.spec.points
            )
    if points:
        store.commit("permutation_points", points)
    seconds = time.perf_counter() - begun
    total = sum(sum(path.num_evaluations) for path in found.values())
    rows = []
    for k, item in enumerate(items):
        columns = (
            {**starts[k], **_measured(found[k])} if k in found else {**_NOT_FOUND, "neurons": item.spec.pair}
        )
        share = sum(found[k].num_evaluations) / total if k in found else 0.0
        inputs_json = json.dumps({"networks": [list(places[k])] if places else []})
        rows.append(
            {**_described(item), **columns, "measure_seconds": seconds * share, "inputs_json": inputs_json}
        )
    store.commit("permutation_paths", rows)


def _read(
    store: Store, items: Sequence[PermutationPathItem]
) -> tuple[list[tuple[str, int]], Tensor, Tensor, Tensor | None]:
    """Where the networks lie, the networks, the examples, and their labels."""
    cell, teacher = items[0].cell, items[0].spec.teacher
    if teacher is not None:
        drawn = [teacher_network(item.spec.teacher) for item in items if item.spec.teacher is not None]
        return [], torch.stack(drawn), teacher_points(teacher), None
    assert cell is not None
    places = store.origins([network_id for item in items for network_id in item.networks])
    some = slice(items[0].num_examples)
    labels = labels_of(cell.data, "train", cell.label_noise, "cpu")[some]
    return places, flattened(store.load_rows(places)), inputs_of(cell, "train", "cpu")[some], labels


def _shape(item: PermutationPathItem) -> DenseShape:
    """Of all networks of the batch."""
    if item.spec.teacher is not None:
        return teacher_shape(item.spec.teacher)
    return DenseShape(item.sizes, "relu")


def _described(item: PermutationPathItem) -> dict[str, Any]:
    """The columns that say what was asked."""
    spec, cell = item.spec, item.cell
    seed = spec.teacher.seed if spec.teacher is not None else getattr(cell, "seed", 0)
    return {
        "path_id": item.id,
        "cell_id": item.cell_id,
        "start": "random" if cell is None else "trained",
        "network_id": None if cell is None else item.networks[0],
        "dataset": None if cell is None else cell.dataset,
        "label_noise": None if cell is None else cell.label_noise,
        "seed": seed,
        "sizes": list(item.sizes),
        "activation": item.activation,
        "width": item.sizes[spec.layer],
        "layer": spec.layer,
        "pair_rule": spec.rule,
        "pair_rank": spec.rank,
        "loss": spec.loss,
        "variant": spec.variant,
        "output_weights": spec.output_weights,
        "num_steps": spec.num_steps,
        "numeric_precision": spec.precision,
        "num_examples": item.num_examples,
        "spec_json": canonical_json(spec),
    }


def _start(students: Students, path: WholePath, item: PermutationPathItem) -> dict[str, Any]:
    """The columns of the network from which a path leads."""
    shape, flat = students.loss.shape, students.starts
    first, second = (flat[0, shape.neuron(item.spec.layer, index)].double() for index in path.pair)
    labels = students.labels
    return {
        "start_vectors": _vectors(shape, flat[0], item),
        "point_vectors": _vectors(shape, path.point, item),
        "neurons": list(path.pair),
        "cosine": finite(torch.nn.functional.cosine_similarity(first, second, dim=0)),
        "start_loss": finite(students.loss(flat)[0][0]),
        "start_error": None if labels is None else float(students.loss.errors(flat, labels)[0]),
    }


def _vectors(shape: DenseShape, flat: Float[Tensor, " D"], item: PermutationPathItem) -> list[float] | None:
    """The parameter vectors of the path's layer, one after the other, where they can be drawn in a plane."""
    layer = item.spec.layer
    if item.sizes[layer - 1] != 2:
        return None
    places = [shape.neuron(layer, index) for index in range(item.sizes[layer])]
    return torch.cat([flat[place] for place in places]).double().tolist()


def _measured(path: WholePath) -> dict[str, Any]:
    """The columns of a path, null where a number is not finite."""
    middle = path.num_before - 1
    errors = path.errors
    losses = _finite(path.losses)
    is_whole = None not in losses and None not in _finite(path.losses_between)
    return {
        "kind": path.kind if is_whole else None,
        "point_loss": losses[middle],
        "point_error": None if errors is None else errors[middle],
        "barrier": path.barrier if is_whole else None,
        "barrier_between": path.barrier_between if is_whole else None,
        "barrier_entered": path.barrier_entered if is_whole else None,
        "error_barrier": None if errors is None else max(errors) - errors[0],
        "times": path.times,
        "losses": losses,
        "losses_between": _finite(path.losses_between),
        "losses_entered": _finite(path.losses_entered),
        "errors": errors,
        "distances": _finite(path.distances),
        "squared_distances": _finite([distance**2 for distance in path.distances]),
        "output_distances": _finite(path.output_distances),
        "gradient_norms": _finite(path.gradient_norms),
        "free_gradient_norms": _finite(path.free_gradient_norms),
        "num_evaluations": path.num_evaluations,
        "outcomes": list(path.outcomes),
        "is_converged": path.outcomes[-1] == "converged",
    }


def _finite(values: Sequence[float]) -> list[float | None]:
    """The numbers, None for what is not finite."""
    return [finite(torch.tensor(value, dtype=torch.float64)) for value in values]
