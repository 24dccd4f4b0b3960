"""Whether barriers of the real world and of our model are alike: per cell, and over all cells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy import ndarray

from lmc_sweep.analysis.agreement import agreement
from lmc_sweep.analysis.comparison import Adjusted, Comparison, Similarity
from lmc_sweep.analysis.concordance import Concordance, concordance
from lmc_sweep.analysis.corrected import benjamini_hochberg, holm
from lmc_sweep.analysis.density_rows import CONTROLS, Quantity
from lmc_sweep.analysis.distances import distances, world_distances
from lmc_sweep.analysis.halves import HalfDraws, half_draws, likeness
from lmc_sweep.analysis.margins import Margin, margins_of_cells
from lmc_sweep.analysis.mean_difference import (
    Influences,
    influences,
    mean_difference,
    resampled,
)
from lmc_sweep.analysis.method_labels import method_labels
from lmc_sweep.analysis.similarity_notes import not_compared
from lmc_sweep.analysis.within_cells import (
    Within,
    joined_by_network,
    joined_by_rank,
    least_level,
    moments,
    within,
)
from lmc_sweep.analysis.world_pairs import CellBarriers, Measured, world_pairs
from workers.seeding import derive_seed


def similarity(
    rows: Iterable[Sequence[Any]],
    margin: Margin,
    seed: int = 0,
    *,
    quantity: Quantity = "loss",
    is_brief: bool = False,
) -> Similarity:
    """Every method, split and correction, cell by cell and over all cells.

    Args:
        rows: Of the table ``barriers``: ``world_pairs.COLUMNS``, then the barrier that is asked for.
        margin: The largest difference of means that counts as none.
        seed: Of the draws; the same seed and rows give the same numbers.
        quantity: What the barriers are of: errors count examples, see ``least_level``.
        is_brief: Without what nothing else rests on: correlations within cells, and halves of the real world.
    """
    found = world_pairs(rows)
    labels = method_labels({of.method_json for of in found.measured})
    order = sorted(
        found.measured,
        key=lambda of: (of.split, of.correction, of.method not in CONTROLS, labels[of.method_json]),
    )
    overall, cells = [], []
    for of in order:
        allowed = margins_of_cells(margin, of, found.measured)
        whole, parts = _compared(of, labels[of.method_json], allowed, seed, quantity, is_brief)
        overall.append(whole)
        cells.extend(_adjusted(parts, benjamini_hochberg))
    return Similarity(
        overall=tuple(_adjusted(overall, holm)),
        cells=tuple(cells),
        missing=tuple(not_compared(order, labels, margin, found.num_null)),
    )


@dataclass(frozen=True)
class _Draws:
    """What is drawn for one cell, and is averaged over cells."""

    influences: Influences
    deviations: ndarray
    distances: ndarray
    halves: HalfDraws | None


def _compared(
    of: Measured,
    label: str,
    margins: dict[str, float | None],
    seed: int,
    quantity: Quantity,
    is_brief: bool,
) -> tuple[Comparison, list[Comparison]]:
    """The comparison over all cells, and those of the cells."""

    def stream(purpose: str, *parts: str) -> np.random.Generator:
        name = (purpose, of.method_json, of.split, of.correction, *parts)
        return np.random.default_rng(derive_seed("similarity", seed, *name))

    compared, levels, draws, parts = [], [], [], []
    for cell in of.cells:
        drawn = None
        if cell.is_comparable and not cell.is_solved:
            least = least_level(cell.num_examples, quantity)
            pulls = influences(cell)
            drawn = _Draws(
                influences=pulls,
                deviations=resampled(pulls, stream("difference", cell.cell_id)),
                distances=world_distances(cell, stream("distances", cell.cell_id)),
                halves=None if is_brief else half_draws(cell, stream("halves", cell.cell_id), least),
            )
            compared.append(cell)
            levels.append(least)
            draws.append(drawn)
        of_cell = [] if drawn is None else [drawn]
        parts.append(_comparison(of, label, [cell], of_cell, margins, cell, None))
    reason, across = None, None
    inside: tuple[Within | None, Within | None] = (None, None)
    if compared:
        worlds = [(cell.real, cell.model) for cell in compared]
        reason = agreement(worlds, [cell.model_losses for cell in compared]).undefined_because
        if reason is None:
            means = np.array([[real.mean(), model.mean()] for real, model in worlds])
            across = concordance(means, stream("cells"))
    if compared and not is_brief:
        joined = list(zip(compared, levels, strict=True))
        ranked = [moments(joined_by_rank(cell.values, *_worlds(cell)), least) for cell, least in joined]
        shared = [moments(joined_by_network(cell), least) for cell, least in joined]
        inside = within(ranked, stream("within", "rank")), within(shared, stream("within", "network"))
    whole = _comparison(of, label, list(of.cells), draws, margins, None, across, reason)
    return replace(whole, by_rank=inside[0], by_network=inside[1]), parts


def _worlds(cell: CellBarriers) -> tuple[ndarray, ndarray]:
    """The pairs of the real world and those of our model, as the one draw that there is."""
    return cell.is_real[:, None], ~cell.is_real[:, None]


def _comparison(
    of: Measured,
    label: str,
    cells: list[CellBarriers],
    draws: list[_Draws],
    margins: dict[str, float | None],
    only: CellBarriers | None,
    across: Concordance | None,
    reason: str | None = None,
) -> Comparison:
    """The comparison of cells, of which those that are comparable were drawn."""
    compared = [cell for cell in cells if cell.is_comparable and not cell.is_solved]
    solved = [cell for cell in cells if cell.is_solved]
    shown = compared or solved or cells
    allowed = [margins[cell.cell_id] for cell in compared]
    given = [value for value in allowed if value is not None]
    margin = float(np.mean(given)) if given and len(given) == len(allowed) else None
    halves = [drawn.halves for drawn in draws if drawn.halves is not None]
    num_model = sum(len(cell.model) for cell in cells)
    real = [cell.real.mean() for cell in shown if len(cell.real)]
    model = [cell.model.mean() for cell in shown if len(cell.model)]
    residual = [cell.real.mean() for cell in solved if len(cell.real)]
    return Comparison(
        method=label,
        method_json=of.method_json,
        split=of.split,
        correction=of.correction,
        cell=only,
        num_cells=len(compared),
        num_solved_cells=len(solved),
        num_real_pairs=sum(len(cell.real) for cell in shown),
        num_model_pairs=sum(len(cell.model) for cell in shown),
        num_clusters=sum(cell.num_clusters for cell in shown),
        recovery_rate=sum(cell.num_recovered for cell in cells) / num_model if num_model else None,
        real_mean=float(np.mean(real)) if real else float("nan"),
        model_mean=float(np.mean(model)) if model else float("nan"),
        residual=float(np.mean(residual)) if residual else None,
        difference=mean_difference(
            [drawn.influences for drawn in draws], _mean([drawn.deviations for drawn in draws]), margin
        )
        if draws
        else None,
        distances=distances(_mean([drawn.distances for drawn in draws])) if draws else None,
        over_cells=across,
        by_rank=None,
        by_network=None,
        at_half=likeness([half.worlds for half in halves]) if halves else None,
        ceiling=likeness([half.ceiling for half in halves]) if halves else None,
        adjusted=None,
        undefined_because=reason if draws else _why_not(solved),
    )


def _mean(arrays: list[ndarray]) -> ndarray:
    """The mean over cells, without a copy of all of them."""
    total = arrays[0].copy()
    for array in arrays[1:]:
        total += array
    return total / len(arrays)


def _why_not(solved: list[CellBarriers]) -> str:
    """The reason why there is no comparison at all."""
    if solved:
        return "solved exactly in our model: see recovery rate and residual"
    return "fewer than two pairs that share no network in one of the worlds"


def _adjusted(
    comparisons: list[Comparison], correct: Callable[[Sequence[float]], list[float]]
) -> list[Comparison]:
    """The comparisons with p-values corrected as one family for each test."""
    tested = [one for one in comparisons if one.difference is not None and one.distances is not None]
    with_margin = [one for one in tested if one.difference and one.difference.p_equivalence is not None]
    plain = correct([one.difference.p_value for one in tested if one.difference])
    inside = correct([one.difference.p_equivalence or 0.0 for one in with_margin if one.difference])
    smirnov = correct([one.distances.p_kolmogorov_smirnov for one in tested if one.distances])
    moved = correct([one.distances.p_wasserstein for one in tested if one.distances])
    of_equivalence = {id(one): value for one, value in zip(with_margin, inside, strict=True)}
    found = {
        id(one): Adjusted(plain[k], of_equivalence.get(id(one)), smirnov[k], moved[k])
        for k, one in enumerate(tested)
    }
    return [replace(one, adjusted=found.get(id(one))) for one in comparisons]
