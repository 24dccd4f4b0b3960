"""The table of the study ``all_pairs``: the barriers between all pairs of a cell's networks."""

from __future__ import annotations

from lmc_sweep.store.columns import COUNTS, REALS, TEXTS, Column, count, real, text
from lmc_sweep.store.study_columns import CELL_COLUMNS, study_table


def _of(quantity: str, unit: str) -> tuple[Column, ...]:
    """The lists of one quantity, an entry per pair."""
    return (
        Column(
            f"{quantity}_barriers",
            REALS,
            f"{quantity} barrier of each pair, at the height that `height` names; null if a member diverged",
            unit,
        ),
        Column(
            f"{quantity}_indirect_barriers",
            REALS,
            "least over third networks of the larger barrier of the two legs; null where no third network "
            "has known barriers with both",
            unit,
        ),
        Column(
            f"{quantity}_intermediates", COUNTS, "position in `networks` of that third network; null likewise"
        ),
        Column(
            f"{quantity}_bottlenecks",
            REALS,
            "least over chains of networks, the direct way included, of the largest barrier on the chain; "
            "null where none joins the pair",
            unit,
        ),
        Column(
            f"{quantity}_bottleneck_legs",
            COUNTS,
            "legs of the shortest chain that is as low, 1 for the direct way; null likewise",
        ),
    )


def _summaries(quantity: str, unit: str) -> tuple[Column, ...]:
    """Means and medians of one quantity."""
    return tuple(
        real(
            f"{statistic}_{quantity}_{what}",
            f"{statistic} of `{quantity}_{what}s` over pairs where known",
            unit,
        )
        for what in ("barrier", "indirect_barrier", "bottleneck")
        for statistic in ("mean", "median")
    )


BARRIER_MATRICES = study_table(
    "barrier_matrices",
    "matrix_id",
    "barrier_matrix",
    (
        text("method", "name of the alignments' method"),
        text("method_json", "the method with all its options, as JSON"),
        *CELL_COLUMNS,
        text("split", "train or test"),
        text("correction", "what was done to interpolated networks before they were measured"),
        text("height", "supremum: largest height over all alphas; midpoint: that at alpha 1/2"),
        text("pairing", "all: every pair; iid: independent draws"),
        count("draw_seed", "seed of the draws; null where all pairs are looked at", nullable=True),
        count("num_networks", "networks", "1"),
        count("num_pairs", "pairs, repeated draws included", "1"),
        Column("networks", TEXTS, "network_id of every network, in the order of the listed seeds"),
        Column("seeds", COUNTS, "their seeds"),
        Column("positions_a", COUNTS, "position in `networks` of the first network of each pair"),
        Column("positions_b", COUNTS, "position of the second network of each pair"),
        *_of("loss", "nats"),
        *_of("error", "fraction"),
        *_summaries("loss", "nats"),
        *_summaries("error", "fraction"),
    ),
)
