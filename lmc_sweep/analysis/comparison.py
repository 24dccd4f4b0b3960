"""What a comparison of the two worlds says: of one cell, and of all."""

from __future__ import annotations

from dataclasses import dataclass

from lmc_sweep.analysis.concordance import Concordance
from lmc_sweep.analysis.distances import Distances
from lmc_sweep.analysis.halves import Likeness
from lmc_sweep.analysis.mean_difference import MeanDifference
from lmc_sweep.analysis.within_cells import Within
from lmc_sweep.analysis.world_pairs import CellBarriers

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Adjusted:
    """p-values corrected for their number: over the cells of a row (BH), over overall rows (Holm)."""

    p_value: float
    p_equivalence: float | None
    p_kolmogorov_smirnov: float
    p_wasserstein: float


@dataclass(frozen=True)
class Comparison:
    """What one cell, or all cells together, say of the two worlds.

    Attributes:
        method: Name among those compared.
        method_json: The method with all options.
        split: Examples that were measured.
        correction: What was done to interpolated networks before.
        cell: The cell; None for all of them.
        num_cells: Cells that were compared.
        num_solved_cells: Cells not compared because the method leaves no barrier in our model.
        num_real_pairs: Pairs of the real world in the cells that were compared; without any, in the solved.
        num_model_pairs: Pairs of our model in the same cells.
        num_clusters: Groups of pairs that share no network with those outside.
        recovery_rate: Share of our model's pairs, in all cells, left without a barrier; None without pairs.
        real_mean: Mean barrier of the real world in the same cells as the pairs; NaN without pairs.
        model_mean: The same of our model.
        residual: Mean barrier of the real world in the solved cells; None without any.
        difference: Means, their difference and both tests.
        distances: Between the distributions within cells; means over cells.
        over_cells: Correlations over cells.
        by_rank: Correlations within cells, the worlds' pairs joined by rank; of all cells together.
        by_network: The same with real pair k joined to model pair k, which shares a network with it.
        at_half: A half of the real world against our model, at the size of ``ceiling``.
        ceiling: A half of the real world against the other.
        adjusted: The p-values corrected for their number.
        undefined_because: Why there is no comparison, or no correlation.
    """

    method: str
    method_json: str
    split: str
    correction: str
    cell: CellBarriers | None
    num_cells: int
    num_solved_cells: int
    num_real_pairs: int
    num_model_pairs: int
    num_clusters: int
    recovery_rate: float | None
    real_mean: float
    model_mean: float
    residual: float | None
    difference: MeanDifference | None
    distances: Distances | None
    over_cells: Concordance | None
    by_rank: Within | None
    by_network: Within | None
    at_half: Likeness | None
    ceiling: Likeness | None
    adjusted: Adjusted | None
    undefined_because: str | None

    @property
    def verdict(self) -> str:
        """In a word, by corrected p-values at 5 %; a difference may be sure and yet within the margin."""
        if self.difference is None or self.adjusted is None:
            return "solved" if self.num_solved_cells else "none"
        if self.adjusted.p_equivalence is not None and self.adjusted.p_equivalence <= SIGNIFICANT:
            return "equivalent"
        return "different" if self.adjusted.p_value <= SIGNIFICANT else "undecided"


@dataclass(frozen=True)
class Similarity:
    """All comparisons; ``missing`` says in words what could not be compared."""

    overall: tuple[Comparison, ...]
    cells: tuple[Comparison, ...]
    missing: tuple[str, ...]
