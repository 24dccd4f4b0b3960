"""The tables of the study ``barriers``: alignments, traces of their searches, and barriers."""

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
from lmc_sweep.store.study_columns import CELL_COLUMNS

_PLANTED_NOISE = real(
    "planted_noise",
    "of world planted, noise in standard deviations of each parameter tensor; null elsewhere",
)

ALIGNMENTS = Table(
    "alignments",
    (
        text("alignment_id", "identity of the alignment: members, world, method"),
        text("cell_id", "cell of its members"),
        text("pair_id", "identity of the pair or group, the same before and after every method"),
        text("world", "real, model or planted"),
        text("method", "name of the method"),
        text("method_json", "the method with all its options, as JSON"),
        Column("networks", TEXTS, "network_id of every member; the same for all but in world real"),
        text(
            "permutations",
            "file that holds the permutations, relative to the store; null: identity",
            nullable=True,
        ),
        count("row", "its index on the first axis of that file", nullable=True),
        text("objective", "what the method improved; docs/sweep-file.md lists the names"),
        real("objective_start", "objective before the search", "of the objective"),
        real("objective_end", "objective of the permutations found", "of the objective"),
        count("num_evaluations", "evaluations of the objective or of assignments", nullable=True),
        real("align_seconds", "time of the search", "s"),
        text("outcome", "how the search ended"),
        CREATED_AT,
        text("details_json", "how the search went: temperatures, sweeps, acceptance, as JSON", nullable=True),
        text(
            "inputs_json",
            "checkpoint and row of every member that it read, and what was planted, as JSON",
            nullable=True,
        ),
        ENVIRONMENT,
        _PLANTED_NOISE,
        real(
            "recovered",
            "share of units, of members but the first, back in place; null in world real or if one diverged",
            "fraction",
        ),
    ),
    key="alignment_id",
    artifact="permutations",
    kind="alignment",
)

BARRIERS = Table(
    "barriers",
    (
        text("barrier_id", "identity of the barrier: alignment, members, split, correction, alphas"),
        text("alignment_id", "alignment that it measures"),
        text("cell_id", "cell of the networks"),
        text("pair_id", "identity of the pair or group, the same before and after every method"),
        text("world", "real, model or planted"),
        text("method", "name of the alignment's method"),
        text("method_json", "the method with all its options, as JSON"),
        *CELL_COLUMNS,
        text("network_a", "network_id at alpha 0"),
        text("network_b", "network_id at alpha 1"),
        count("member_a", "position of network a in the alignment"),
        count("member_b", "position of network b in the alignment"),
        count("seed_a", "seed of network a"),
        count("seed_b", "seed of network b"),
        text("split", "train or test"),
        text("correction", "what was done to interpolated networks before they were measured"),
        count("num_examples", "examples that were measured", "examples"),
        Column("alphas", REALS, "positions on the segment, 0 to 1", "1"),
        Column("losses", REALS, "mean cross-entropy at each alpha", "nats", nullable=True),
        Column("errors", REALS, "error at each alpha", "fraction", nullable=True),
        real(
            "loss_barrier",
            "height of the loss above the chord, at least 0; null if a member diverged",
            "nats",
        ),
        real("error_barrier", "height of the error above the chord, at least 0", "fraction"),
        real("loss_midpoint_barrier", "the same at alpha 1/2 alone; may be negative", "nats"),
        real("error_midpoint_barrier", "the same for the error; may be negative", "fraction"),
        CREATED_AT,
        real(
            "endpoint_disagreement", "share of examples that the endpoints classify differently", "fraction"
        ),
        real("measure_seconds", "its share of the time of measuring the batch", "s"),
        text(
            "inputs_json",
            "file and row of the permutations and of the two checkpoints that it read, as JSON",
            nullable=True,
        ),
        ENVIRONMENT,
        count(
            "save_at",
            "epoch after which the networks were saved; null for the end of training",
            "epochs",
            nullable=True,
        ),
        _PLANTED_NOISE,
        text(
            "layers",
            "each:NAME or cumulative:NAME, the layer that moves, or the last of those from the input on; "
            "null: all",
            nullable=True,
        ),
    ),
    key="barrier_id",
    kind="barrier",
)

SEARCH_TRACES = Table(
    "search_traces",
    (
        text("trace_id", "identity of the trace: alignment and chain"),
        text(
            "alignment_id", "alignment whose search it tells of; it has no row yet where a run was cut short"
        ),
        text("cell_id", "cell of the networks"),
        text("pair_id", "identity of the pair or group, the same before and after every method"),
        text("world", "real, model or planted"),
        text("method", "name of the method"),
        text("method_json", "the method with all its options, as JSON"),
        count("chain", "which chain or descent of the search, from 0"),
        Column("evaluations", COUNTS, "evaluations made so far; all lists have an entry per point", "1"),
        Column("seconds", REALS, "time since the search began", "s"),
        Column("objectives", REALS, "objective of the present state", "of the objective"),
        Column("best_objectives", REALS, "best objective so far", "of the objective"),
        Column("temperatures", REALS, "temperature of the last step; empty: none", "of the objective"),
        Column("acceptances", REALS, "share of proposals accepted since the point before", "fraction"),
        CREATED_AT,
        ENVIRONMENT,
    ),
    key="trace_id",
)
