"""The tables of a store as data: every column with its type, its unit, and what it means.

The order of columns is part of the contract. A later version may add nullable columns at the end of a
table, or allow nulls in a column, and must then raise ``SCHEMA_VERSION``; it never renames or removes one.

Version 2 added networks that were trained elsewhere, of which nothing is known about their training, the
last five columns of ``networks``, and ``save_at`` of ``barriers``. Version 3 added the table
``search_traces`` and the last two columns of ``alignments`` and of ``barriers``. Version 4 added the
tables ``attempts`` and ``retries``, and ``cause`` of ``failures``. Version 5 added the tables of the
studies other than ``barriers`` (``lmc_sweep.store.study_tables``). Version 6 added ``start_vectors`` and
``point_vectors`` to ``permutation_paths``.
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
)
from lmc_sweep.store.study_tables import STUDY_TABLES
from lmc_sweep.store.tables_barriers import ALIGNMENTS, BARRIERS, SEARCH_TRACES
from lmc_sweep.store.tables_networks import NETWORKS
from lmc_sweep.store.tables_sweeps import ATTEMPTS, FAILURES, RETRIES, SWEEP_ITEMS

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
