"""The tables of what sweeps ask for, and of what became of attempts that brought no results."""

from __future__ import annotations

from lmc_sweep.store.columns import CREATED_AT, ENVIRONMENT, TEXTS, Column, Table, count, real, text

SWEEP_ITEMS = Table(
    "sweep_items",
    (
        text("sweep", "name of the sweep"),
        text("kind", "kind of the items: network, alignment, barrier, or that of another study"),
        text("item_id", "identity of an item that the sweep asks for"),
        text("plan_id", "hash of the plan's sorted items"),
        CREATED_AT,
        ENVIRONMENT,
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
        CREATED_AT,
        text("failure_id", "identity of this failure"),
        text("sweep", "sweep that ran the batch", nullable=True),
        ENVIRONMENT,
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
        CREATED_AT,
        ENVIRONMENT,
    ),
    key="attempt_id",
)

RETRIES = Table(
    "retries",
    (
        text("failure_id", "failure whose items a run may try again"),
        text("sweep", "sweep that it belongs to", nullable=True),
        CREATED_AT,
        ENVIRONMENT,
    ),
    key="failure_id",
)
