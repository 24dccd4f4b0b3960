"""The tables of a store as data: every column with its type, its unit, and what it means.

The order of columns is part of the contract. A later version may add nullable columns at the end of a
table, or allow nulls in a column, and must then raise ``SCHEMA_VERSION``; it never renames or removes one.

Version 2 added networks that were trained elsewhere, of which nothing is known about their training, the
last five columns of ``networks``, and ``save_at`` of ``barriers``. Version 3 added the table
``search_traces`` and the last two columns of ``alignments`` and of ``barriers``. Version 4 added the
tables ``attempts`` and ``retries``, and ``cause`` of ``failures``. Version 5 added the tables of the
studies other than ``barriers`` (``lmc_sweep.store.study_tables``).
"""

from __future__ import annotations

from lmc_sweep.store.columns import (
    COUNT,
    COUNTS,
    REAL,
    REALS,
    SCHEMA_VERSION,
    SQL_TYPES,
    TABLE_KEY,
    TEXT,
    TEXTS,
    TIME,
    VERSION_KEY,
    Column,
    Table,
    count,
    real,
    text,
)
from lmc_sweep.store.study_tables import STUDY_TABLES

__all__ = [
    "COUNT",
    "COUNTS",
    "REAL",
    "REALS",
    "SCHEMA_VERSION",
    "SQL_TYPES",
    "TABLES",
    "TABLE_KEY",
    "TABLE_OF_KIND",
    "TEXT",
    "TEXTS",
    "TIME",
    "VERSION_KEY",
    "Column",
    "Table",
]

_CREATED_AT = Column("created_at", TIME, "when the record was written", "UTC")
_ENVIRONMENT = text("environment_id", "environments/<id>.json: code, packages, hardware that computed it")

_PLANTED_NOISE = real(
    "planted_noise",
    "of world planted, noise in standard deviations of each parameter tensor; null elsewhere",
)

NETWORKS = Table(
    "networks",
    (
        text("network_id", "identity of the network: data set, architecture, training, seed"),
        text("cell_id", "identity of the cell: all of the network's identity but its seed"),
        text("dataset", "data set that it was trained on"),
        text("architecture", "family of architectures"),
        count("width", "units of a hidden layer, where the family has a width", "units", nullable=True),
        count("depth", "hidden layers, where the family has a depth", "layers", nullable=True),
        count("seed", "seed of its random streams"),
        real("label_noise", "share of training labels that were replaced", "fraction", nullable=False),
        real("learning_rate", "learning rate at the start of the schedule; null if trained elsewhere"),
        count("batch_size", "examples of a minibatch; null likewise", "examples", nullable=True),
        count("max_epochs", "epochs after which training stops; null likewise", "epochs", nullable=True),
        count("epochs_trained", "epochs that were trained; null likewise", "epochs", nullable=True),
        text("stop_reason", "loss_reached, max_epochs or diverged; null likewise", nullable=True),
        real("train_loss", "mean cross-entropy on all training examples; null if it diverged", "nats"),
        real("train_error", "error on all training examples; null if it diverged", "fraction"),
        real("test_loss", "mean cross-entropy on all test examples; null if it diverged", "nats"),
        real("test_error", "error on all test examples; null if it diverged", "fraction"),
        count("num_parameters", "parameters of the network", "parameters"),
        text("checkpoint", "file of the stack that holds its weights, relative to the store"),
        count("row", "its index on the network axis of that stack"),
        real("train_seconds", "its share of the stack's training time", "s"),
        text("device", "device that trained it"),
        _CREATED_AT,
        text("spec_json", "everything that decides its weights, as JSON"),
        _ENVIRONMENT,
        text("optimizer", "sgd or adam; null if trained elsewhere", nullable=True),
        count(
            "save_at", "epoch after which it was saved; null for the end of training", "epochs", nullable=True
        ),
        count("input_size", "side to which images were resized; null if they were not", "px", nullable=True),
        count("num_train", "training examples", "examples", nullable=True),
        count("num_test", "test examples", "examples", nullable=True),
    ),
    key="network_id",
    artifact="checkpoint",
    kind="network",
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
        _CREATED_AT,
        text("details_json", "how the search went: temperatures, sweeps, acceptance, as JSON", nullable=True),
        text(
            "inputs_json",
            "checkpoint and row of every member that it read, and what was planted, as JSON",
            nullable=True,
        ),
        _ENVIRONMENT,
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
        text("dataset", "data set of the networks and of the measurement"),
        text("architecture", "family of architectures"),
        count("width", "units of a hidden layer, where the family has a width", "units", nullable=True),
        count("depth", "hidden layers, where the family has a depth", "layers", nullable=True),
        real("label_noise", "share of training labels that were replaced", "fraction", nullable=False),
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
        _CREATED_AT,
        real(
            "endpoint_disagreement", "share of examples that the endpoints classify differently", "fraction"
        ),
        real("measure_seconds", "its share of the time of measuring the batch", "s"),
        text(
            "inputs_json",
            "file and row of the permutations and of the two checkpoints that it read, as JSON",
            nullable=True,
        ),
        _ENVIRONMENT,
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
        _CREATED_AT,
        _ENVIRONMENT,
    ),
    key="trace_id",
)

SWEEP_ITEMS = Table(
    "sweep_items",
    (
        text("sweep", "name of the sweep"),
        text("kind", "kind of the items: network, alignment, barrier, or that of another study"),
        text("item_id", "identity of an item that the sweep asks for"),
        text("plan_id", "hash of the plan's sorted items"),
        _CREATED_AT,
        _ENVIRONMENT,
    ),
)

FAILURES = Table(
    "failures",
    (
        text("kind", "kind of the items: network, alignment, barrier, or that of another study"),
        Column("item_ids", TEXTS, "items of the batch that failed and have no result yet"),
        text("error_type", "type of the error"),
        text("message", "text of the error"),
        text("traceback", "where it was raised"),
        count("attempts", "attempts that were made", "attempts"),
        _CREATED_AT,
        text("failure_id", "identity of this failure"),
        text("sweep", "sweep that ran the batch", nullable=True),
        _ENVIRONMENT,
        text("cause", "class of the error, as docs/guarantees.md lists them", nullable=True),
    ),
    key="failure_id",
)

ATTEMPTS = Table(
    "attempts",
    (
        text("attempt_id", "identity of this attempt"),
        text("sweep", "sweep that ran the batch"),
        text("kind", "kind of the items: network, alignment, barrier, or that of another study"),
        Column("item_ids", TEXTS, "items of the batch"),
        text("cause", "class of the error that ended it, as docs/guarantees.md lists them"),
        count("attempt", "which attempt of the batch this was, from 1"),
        real("seconds", "from its submission to its end", "s"),
        text("error_type", "type of the error"),
        text("message", "text of the error"),
        _CREATED_AT,
        _ENVIRONMENT,
    ),
    key="attempt_id",
)

RETRIES = Table(
    "retries",
    (
        text("failure_id", "failure whose items a run may try again"),
        text("sweep", "sweep that it belongs to", nullable=True),
        _CREATED_AT,
        _ENVIRONMENT,
    ),
    key="failure_id",
)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        NETWORKS,
        ALIGNMENTS,
        BARRIERS,
        SWEEP_ITEMS,
        FAILURES,
        SEARCH_TRACES,
        ATTEMPTS,
        RETRIES,
        *STUDY_TABLES,
    )
}
TABLE_OF_KIND: dict[str, Table] = {table.kind: table for table in TABLES.values() if table.kind}
