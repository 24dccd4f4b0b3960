"""The tables of the study ``canonical``: a cell's networks with their units in order, and their averages."""

from __future__ import annotations

from lmc_sweep.store.columns import (
    COUNTS,
    CREATED_AT,
    ENVIRONMENT,
    REALS,
    TEXTS,
    Column,
    Table,
    count,
    real,
    text,
)
from lmc_sweep.store.study_columns import CELL_COLUMNS, study_table

_TREATMENT = (
    text("treatment", "how units are put in order: raw, sorted, matched or merged"),
    text("key", "of treatment sorted: lexicographic or power", nullable=True),
    real("power", "p of the key power"),
    text("treatment_json", "the treatment with all its options, as JSON"),
)
CANONICAL_AVERAGES = Table(
    "canonical_averages",
    (
        text("average_id", "identity of the average: canonical form, number of networks, group, split"),
        text(
            "canonical_id", "canonical form that it belongs to; it has no row yet where a run was cut short"
        ),
        text("cell_id", "cell of the networks"),
        *_TREATMENT,
        *CELL_COLUMNS,
        count("num_networks", "networks that were averaged"),
        count("group_index", "which of the groups of so many networks, from 0"),
        text("split", "train or test"),
        count("num_examples", "examples of the split", "examples"),
        real("loss", "mean cross-entropy of the averaged network; null if it is not finite", "nats"),
        real("error", "error of the averaged network; null likewise", "fraction"),
        real("mean_member_loss", "mean over the networks of their own loss; null if one is unknown", "nats"),
        real("mean_member_error", "mean over the networks of their own error; null likewise", "fraction"),
        Column("networks", TEXTS, "network_id of every network that was averaged"),
        CREATED_AT,
        ENVIRONMENT,
    ),
    key="average_id",
)

_NOT_FINITE = "null where fewer than two networks have finite numbers alone"


def _distances(when: str) -> tuple[Column, ...]:
    """Of all pairs, one entry per tensor."""
    order = "as the networks are" if when == "before" else "with their units in order"
    return tuple(
        Column(f"{name}_{when}", REALS, f"{words} distance of two networks {order}, per entry of `tensors`")
        for name, words in (("min", "smallest"), ("max", "largest"), ("mean", "mean"))
    )


CANONICAL_FORMS = study_table(
    "canonical_forms",
    "canonical_id",
    "canonical_form",
    (
        *_TREATMENT,
        *CELL_COLUMNS,
        count("num_networks", "networks that were asked for"),
        count("num_finite", "networks with finite numbers alone; all that follows is of these"),
        count("num_pairs", "pairs of them"),
        Column("tensors", TEXTS, "names of the parameter tensors, and `all` for all of them as one point"),
        *_distances("before"),
        *_distances("after"),
        count(
            "num_duplicates",
            f"networks that equal an earlier one in all numbers once their units are in order; {_NOT_FINITE}",
            nullable=True,
        ),
        text("duplicates_json", "the classes of equal networks, as lists of positions in the cell, as JSON"),
        count("num_ambiguous", "networks some of whose units no key could put in order", nullable=True),
        Column("epsilons", REALS, "distances of all parameters below which a pair counts as near"),
        Column("near_before", COUNTS, "per epsilon, near pairs as the networks are"),
        Column("near_after", COUNTS, "per epsilon, near pairs with their units in order"),
        count("num_bins", "bins of each histogram"),
        Column("bin_edges", REALS, "edges of the bins, num_bins + 1 for each entry of `tensors` in turn"),
        Column("bins_before", COUNTS, "pairs in each bin as the networks are, num_bins per tensor in turn"),
        Column("bins_after", COUNTS, "pairs in each bin with units in order, num_bins per tensor in turn"),
        real("order_seconds", "time of putting the units of all networks in order", "s"),
    ),
)
