"""What the tables of all studies have in common."""

from __future__ import annotations

from lmc_sweep.store.columns import CREATED_AT, ENVIRONMENT, Column, Table, count, real, text

CELL_COLUMNS = (
    text("dataset", "data set of the networks and of the measurement"),
    text("architecture", "family of architectures"),
    count("width", "units of a hidden layer, where the family has a width", "units", nullable=True),
    count("depth", "hidden layers, where the family has a depth", "layers", nullable=True),
    real("label_noise", "share of training labels that were replaced", "fraction", nullable=False),
)
"""What the networks of a cell are."""


def study_table(
    name: str, key: str, kind: str, columns: tuple[Column, ...], *, artifact: str | None = None
) -> Table:
    """The table of one kind of item of a study: a row for every item, in which its own columns stand second.

    Args:
        name: Of the table.
        key: The column of the item's id.
        kind: Of the item.
        columns: Its own.
        artifact: The column that names a file of tensors of which column ``row`` is this item's.
    """
    return Table(
        name,
        (
            text(key, "identity of the item: everything that decides its numbers"),
            text("cell_id", "what it shares with others that differ from it in their seeds alone"),
            *columns,
            text("spec_json", "everything that decides its numbers, as JSON"),
            real("measure_seconds", "its share of the time of computing the batch", "s"),
            text("inputs_json", "checkpoint and row of every network that it read, as JSON", nullable=True),
            CREATED_AT,
            ENVIRONMENT,
        ),
        key=key,
        kind=kind,
        artifact=artifact,
    )
