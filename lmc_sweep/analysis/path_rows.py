"""Rows of the table ``permutation_paths``: paths along which two neurons change places."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from workers.permutation_points.kinds import path_kind

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store

COLUMNS = (
    "path_id",
    "dataset",
    "sizes",
    "activation",
    "width",
    "seed",
    "layer",
    "neurons",
    "loss",
    "kind",
    "times",
    "losses",
    "losses_entered",
    "errors",
    "distances",
    "start_vectors",
    "point_vectors",
    "spec_json",
)
"""Columns that are read."""

SAME_LOSS = 1e-3
"""Losses that differ by a smaller share are those of one permutation point, found to a finite gradient."""

KINDS = ("monotone", "intermediate_saddle", "minimum")
"""Of paths, as figure 5 of Brea et al. 2019 shows them from A to C."""

_NO_LOSS = 1e-14
"""Losses up to here are those of two neurons that do nothing, or what rounding leaves."""

_OF_ONE_PATH = ("networks", "pair", "rule", "rank", "points")
"""Fields of a spec in which paths of one setting may differ."""


@dataclass(frozen=True)
class Path:
    """One path, from a network to itself with two neurons interchanged.

    Attributes:
        path_id: Of its row.
        dataset: Where the network was trained; None for a random one.
        sizes: Neurons of every layer of the network, inputs and outputs included.
        activation, width: Of the layer, and its neurons.
        seed: Of the network.
        layer, pair: The layer from 1, and the two neurons.
        loss: The name of the loss.
        kind: Which of ``KINDS``.
        output_weights: Those of both are free or held; None for a penalty.
        rank: Its pair's among those that a rule chose; 0 where pairs were named.
        network: The network and how paths from it are found, as JSON.
        settings: All that paths of other networks, widths and pairs share with it, as JSON.
        times: t from 0 to 1.
        losses, distances: At each t.
        entered: The loss as each distance begins, before minimization; empty for a penalty.
        errors: At each t; None without labels.
        vectors: Weights and bias of the layer's neurons, at the start and at the permutation point; None
            where the layer has other than two inputs.
    """

    path_id: str
    dataset: str | None
    sizes: tuple[int, ...]
    activation: str
    width: int
    seed: int
    layer: int
    pair: tuple[int, int]
    loss: str
    kind: str
    output_weights: str | None
    rank: int
    network: str
    settings: str
    times: Float64[ndarray, " T"]
    losses: Float64[ndarray, " T"]
    entered: Float64[ndarray, " stages"]
    errors: Float64[ndarray, " T"] | None
    distances: Float64[ndarray, " T"]
    vectors: Float64[ndarray, "2 neurons 3"] | None = None

    @property
    def words(self) -> str:
        """What the network is: ``random tanh 2-5-3, layer 1``."""
        sizes = "-".join(map(str, self.sizes))
        return f"{self.dataset or 'random'} {self.activation} {sizes}, layer {self.layer}"

    @property
    def num_half(self) -> int:
        """Entries from the network to the permutation point."""
        return len(self.losses) // 2 + 1

    @property
    def point_loss(self) -> float:
        """At the permutation point."""
        return float(self.losses[self.num_half - 1])

    @property
    def has_loss(self) -> bool:
        """Whether the loss is above 0 anywhere."""
        return bool(self.losses.max() > _NO_LOSS)

    @property
    def barrier(self) -> float:
        """The highest loss above that of the network."""
        return float(self.losses.max() - self.losses[0])

    @property
    def barrier_entered(self) -> float | None:
        """The same with the losses at which minimization began; None for a penalty."""
        if not len(self.entered):
            return None
        return float(max(self.losses.max(), self.entered.max()) - self.losses[0])


def read(store: Store, sweep: str | None) -> tuple[list[Path], int]:
    """The paths of a store, or of one sweep in it, and how many have losses that are not finite: left out."""
    asked = None if sweep is None else store.item_ids(sweep, "permutation_path")
    found = store.permutation_paths().project(", ".join(COLUMNS)).fetchall()
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in found if asked is None or row[0] in asked]
    paths = [path(row) for row in rows if row["kind"] is not None]
    return sorted(paths, key=lambda one: (_order(one), one.pair)), len(rows) - len(paths)


def path(row: dict[str, Any]) -> Path:
    """One row of the table."""
    errors = row["errors"]
    spec = json.loads(row["spec_json"])
    return Path(
        path_id=row["path_id"],
        dataset=row["dataset"],
        sizes=tuple(row["sizes"]),
        activation=row["activation"],
        width=row["width"],
        seed=row["seed"],
        layer=row["layer"],
        pair=tuple(row["neurons"]),
        loss=row["loss"],
        kind=path_kind(row["losses"][: len(row["losses"]) // 2]),
        output_weights=spec.get("output_weights"),
        rank=spec.get("rank") or 0,
        network=_without(spec, ("pair", "rule", "rank", "points")),
        settings=_without(_of_any_network(spec), _OF_ONE_PATH),
        times=np.asarray(row["times"], dtype=np.float64),
        losses=np.asarray(row["losses"], dtype=np.float64),
        entered=np.asarray(row["losses_entered"], dtype=np.float64),
        errors=None if errors is None else np.asarray(errors, dtype=np.float64),
        distances=np.asarray(row["distances"], dtype=np.float64),
        vectors=_vectors(row.get("start_vectors"), row.get("point_vectors")),
    )


def _vectors(start: list[float] | None, point: list[float] | None) -> Float64[ndarray, "2 neurons 3"] | None:
    """Both configurations of a layer with two inputs."""
    if start is None or point is None:
        return None
    return np.asarray([start, point], dtype=np.float64).reshape(2, -1, 3)


def of_networks(paths: Iterable[Path]) -> list[list[Path]]:
    """The paths of each network, in order."""
    found: dict[str, list[Path]] = defaultdict(list)
    for one in paths:
        found[one.network].append(one)
    return list(found.values())


def levels(paths: Sequence[Path]) -> list[list[Path]]:
    """Paths by the loss at their permutation point, lowest first: neighbors that agree are of one level."""
    found: list[list[Path]] = []
    for one in sorted(paths, key=lambda one: one.point_loss):
        if found and one.point_loss - found[-1][-1].point_loss <= SAME_LOSS * abs(one.point_loss):
            found[-1].append(one)
        else:
            found.append([one])
    return found


def three_pairs(paths: Sequence[Path]) -> list[Path]:
    """Paths A, B and C of one network: two that reach one loss, and one that reaches another.

    Of the levels with more than one path the lowest gives A and B; the nearest other level gives C. Where
    all losses differ, or all agree, the paths of the lowest losses.

    Source:
        Brea et al. 2019, figure 2.
    """
    of_level = levels(paths)
    ordered = [one for level in of_level for one in level]
    shared = next((k for k, level in enumerate(of_level) if len(level) > 1), None)
    if shared is None or len(of_level) == 1:
        return ordered[:3]
    beside = shared + 1 if shared + 1 < len(of_level) else shared - 1
    return [*of_level[shared][:2], of_level[beside][0]]


def _of_any_network(spec: dict[str, Any]) -> dict[str, Any]:
    """The spec without the seed of a random network and the width of its layer."""
    teacher = spec.get("teacher")
    if teacher is None:
        return spec
    hidden = [None if k + 1 == spec["layer"] else width for k, width in enumerate(teacher["hidden"])]
    return {**spec, "teacher": {**teacher, "seed": None, "hidden": hidden}}


def _without(spec: dict[str, Any], names: Sequence[str]) -> str:
    """The spec without some fields, as JSON."""
    return json.dumps({name: value for name, value in spec.items() if name not in names}, sort_keys=True)


def _order(one: Path) -> tuple[Any, ...]:
    return one.dataset or "", one.activation, one.settings, one.width, one.layer, one.seed, one.network
