"""The tables of a store as data: every column with its type, its unit, and what it means.

The order of columns is part of the contract. A later version may add nullable columns at the end of a
table, or allow nulls in a column, and must then raise ``SCHEMA_VERSION``; it never renames or removes one.

Version 2 added networks that were trained elsewhere, of which nothing is known about their training, the
last five columns of ``networks``, and ``save_at`` of ``barriers``. Version 3 added the table
``search_traces`` and the last two columns of ``alignments`` and of ``barriers``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa

SCHEMA_VERSION = 3
VERSION_KEY = b"lmc_sweep.schema_version"
TABLE_KEY = b"lmc_sweep.table"

TEXT = pa.string()
COUNT = pa.int64()
REAL = pa.float64()
TIME = pa.timestamp("us", tz="UTC")
TEXTS = pa.list_(TEXT)
REALS = pa.list_(REAL)
COUNTS = pa.list_(COUNT)

SQL_TYPES: dict[Any, str] = {
    TEXT: "VARCHAR",
    COUNT: "BIGINT",
    REAL: "DOUBLE",
    TIME: "TIMESTAMP",
    TEXTS: "VARCHAR[]",
    REALS: "DOUBLE[]",
    COUNTS: "BIGINT[]",
}


@dataclass(frozen=True)
class Column:
    """One column; ``unit`` is empty for names and other text."""

    name: str
    type: Any
    meaning: str
    unit: str = ""
    nullable: bool = False

    @property
    def sql_type(self) -> str:
        """The type that a DuckDB view shows."""
        return SQL_TYPES[self.type]


@dataclass(frozen=True)
class Table:
    """One table: its columns in order, which of them identifies a row, which of them names an artifact."""

    name: str
    columns: tuple[Column, ...]
    key: str | None = None
    artifact: str | None = None
    kind: str | None = None

    @cached_property
    def by_name(self) -> Mapping[str, Column]:
        """The columns by name, in order."""
        return {column.name: column for column in self.columns}

    @cached_property
    def schema(self) -> Any:
        """The schema of this table's files: units in the fields' metadata, version in the file's."""
        fields = [
            pa.field(column.name, column.type, nullable=column.nullable, metadata={"unit": column.unit})
            for column in self.columns
        ]
        return pa.schema(fields, metadata={VERSION_KEY: str(SCHEMA_VERSION), TABLE_KEY: self.name})


def _text(name: str, meaning: str, *, nullable: bool = False) -> Column:
    """A name, a path, a piece of JSON."""
    return Column(name, TEXT, meaning, nullable=nullable)


def _count(name: str, meaning: str, unit: str = "1", *, nullable: bool = False) -> Column:
    """A whole number."""
    return Column(name, COUNT, meaning, unit, nullable)


def _real(name: str, meaning: str, unit: str = "1", *, nullable: bool = True) -> Column:
    """A number; null where it could not be measured."""
    return Column(name, REAL, meaning, unit, nullable)


_CREATED_AT = Column("created_at", TIME, "when the record was written", "UTC")
_ENVIRONMENT = _text("environment_id", "environments/<id>.json: code, packages, hardware that computed it")

_PLANTED_NOISE = _real(
    "planted_noise",
    "of world planted, noise in standard deviations of each parameter tensor; null elsewhere",
)

NETWORKS = Table(
    "networks",
    (
        _text("network_id", "identity of the network: data set, architecture, training, seed"),
        _text("cell_id", "identity of the cell: all of the network's identity but its seed"),
        _text("dataset", "data set that it was trained on"),
        _text("architecture", "family of architectures"),
        _count("width", "units of a hidden layer, where the family has a width", "units", nullable=True),
        _count("depth", "hidden layers, where the family has a depth", "layers", nullable=True),
        _count("seed", "seed of its random streams"),
        _real("label_noise", "share of training labels that were replaced", "fraction", nullable=False),
        _real("learning_rate", "learning rate at the start of the schedule; null if trained elsewhere"),
        _count("batch_size", "examples of a minibatch; null likewise", "examples", nullable=True),
        _count("max_epochs", "epochs after which training stops; null likewise", "epochs", nullable=True),
        _count("epochs_trained", "epochs that were trained; null likewise", "epochs", nullable=True),
        _text("stop_reason", "loss_reached, max_epochs or diverged; null likewise", nullable=True),
        _real("train_loss", "mean cross-entropy on all training examples; null if it diverged", "nats"),
        _real("train_error", "error on all training examples; null if it diverged", "fraction"),
        _real("test_loss", "mean cross-entropy on all test examples; null if it diverged", "nats"),
        _real("test_error", "error on all test examples; null if it diverged", "fraction"),
        _count("num_parameters", "parameters of the network", "parameters"),
        _text("checkpoint", "file of the stack that holds its weights, relative to the store"),
        _count("row", "its index on the network axis of that stack"),
        _real("train_seconds", "its share of the stack's training time", "s"),
        _text("device", "device that trained it"),
        _CREATED_AT,
        _text("spec_json", "everything that decides its weights, as JSON"),
        _ENVIRONMENT,
        _text("optimizer", "sgd or adam; null if trained elsewhere", nullable=True),
        _count(
            "save_at", "epoch after which it was saved; null for the end of training", "epochs", nullable=True
        ),
        _count("input_size", "side to which images were resized; null if they were not", "px", nullable=True),
        _count("num_train", "training examples", "examples", nullable=True),
        _count("num_test", "test examples", "examples", nullable=True),
    ),
    key="network_id",
    artifact="checkpoint",
    kind="network",
)

ALIGNMENTS = Table(
    "alignments",
    (
        _text("alignment_id", "identity of the alignment: members, world, method"),
        _text("cell_id", "cell of its members"),
        _text("pair_id", "identity of the pair or group, the same before and after every method"),
        _text("world", "real, model or planted"),
        _text("method", "name of the method"),
        _text("method_json", "the method with all its options, as JSON"),
        Column("networks", TEXTS, "network_id of every member; the same for all but in world real"),
        _text(
            "permutations",
            "file that holds the permutations, relative to the store; null: identity",
            nullable=True,
        ),
        _count("row", "its index on the first axis of that file", nullable=True),
        _text("objective", "what the method improved"),
        _real("objective_start", "objective before the search", "of the objective"),
        _real("objective_end", "objective of the permutations found", "of the objective"),
        _count("num_evaluations", "evaluations of the objective or of assignments", nullable=True),
        _real("align_seconds", "time of the search", "s"),
        _text("outcome", "how the search ended"),
        _CREATED_AT,
        _text(
            "details_json", "how the search went: temperatures, sweeps, acceptance, as JSON", nullable=True
        ),
        _text(
            "inputs_json",
            "checkpoint and row of every member that it read, and what was planted, as JSON",
            nullable=True,
        ),
        _ENVIRONMENT,
        _PLANTED_NOISE,
        _real(
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
        _text("barrier_id", "identity of the barrier: alignment, members, split, correction, alphas"),
        _text("alignment_id", "alignment that it measures"),
        _text("cell_id", "cell of the networks"),
        _text("pair_id", "identity of the pair or group, the same before and after every method"),
        _text("world", "real, model or planted"),
        _text("method", "name of the alignment's method"),
        _text("method_json", "the method with all its options, as JSON"),
        _text("dataset", "data set of the networks and of the measurement"),
        _text("architecture", "family of architectures"),
        _count("width", "units of a hidden layer, where the family has a width", "units", nullable=True),
        _count("depth", "hidden layers, where the family has a depth", "layers", nullable=True),
        _real("label_noise", "share of training labels that were replaced", "fraction", nullable=False),
        _text("network_a", "network_id at alpha 0"),
        _text("network_b", "network_id at alpha 1"),
        _count("member_a", "position of network a in the alignment"),
        _count("member_b", "position of network b in the alignment"),
        _count("seed_a", "seed of network a"),
        _count("seed_b", "seed of network b"),
        _text("split", "train or test"),
        _text("correction", "what was done to interpolated networks before they were measured"),
        _count("num_examples", "examples that were measured", "examples"),
        Column("alphas", REALS, "positions on the segment, 0 to 1", "1"),
        Column("losses", REALS, "mean cross-entropy at each alpha", "nats", nullable=True),
        Column("errors", REALS, "error at each alpha", "fraction", nullable=True),
        _real(
            "loss_barrier",
            "height of the loss above the chord, at least 0; null if a member diverged",
            "nats",
        ),
        _real("error_barrier", "height of the error above the chord, at least 0", "fraction"),
        _real("loss_midpoint_barrier", "the same at alpha 1/2 alone; may be negative", "nats"),
        _real("error_midpoint_barrier", "the same for the error; may be negative", "fraction"),
        _CREATED_AT,
        _real(
            "endpoint_disagreement", "share of examples that the endpoints classify differently", "fraction"
        ),
        _real("measure_seconds", "its share of the time of measuring the batch", "s"),
        _text(
            "inputs_json",
            "file and row of the permutations and of the two checkpoints that it read, as JSON",
            nullable=True,
        ),
        _ENVIRONMENT,
        _count(
            "save_at",
            "epoch after which the networks were saved; null for the end of training",
            "epochs",
            nullable=True,
        ),
        _PLANTED_NOISE,
        _text(
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
        _text("trace_id", "identity of the trace: alignment and chain"),
        _text(
            "alignment_id", "alignment whose search it tells of; it has no row yet where a run was cut short"
        ),
        _text("cell_id", "cell of the networks"),
        _text("pair_id", "identity of the pair or group, the same before and after every method"),
        _text("world", "real, model or planted"),
        _text("method", "name of the method"),
        _text("method_json", "the method with all its options, as JSON"),
        _count("chain", "which chain or descent of the search, from 0"),
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
        _text("sweep", "name of the sweep"),
        _text("kind", "network, alignment or barrier"),
        _text("item_id", "identity of an item that the sweep asks for"),
        _text("plan_id", "hash of the plan's sorted items"),
        _CREATED_AT,
        _ENVIRONMENT,
    ),
)

FAILURES = Table(
    "failures",
    (
        _text("kind", "network, alignment or barrier"),
        Column("item_ids", TEXTS, "items of the batch that failed and have no result yet"),
        _text("error_type", "type of the error"),
        _text("message", "text of the error"),
        _text("traceback", "where it was raised"),
        _count("attempts", "attempts that were made", "attempts"),
        _CREATED_AT,
        _text("failure_id", "identity of this failure"),
        _text("sweep", "sweep that ran the batch", nullable=True),
        _ENVIRONMENT,
    ),
    key="failure_id",
)

TABLES: dict[str, Table] = {
    table.name: table for table in (NETWORKS, ALIGNMENTS, BARRIERS, SWEEP_ITEMS, FAILURES, SEARCH_TRACES)
}
TABLE_OF_KIND: dict[str, Table] = {table.kind: table for table in TABLES.values() if table.kind}
