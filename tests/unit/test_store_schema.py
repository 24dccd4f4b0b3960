"""The schema, its document, and the contract agree."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from store_rows import row

from lmc_sweep.store.schema import SCHEMA_VERSION, TABLES
from lmc_sweep.store.store import Store

DOCUMENT = Path(__file__).parents[2] / "docs" / "store.md"

# The public contract, in its order; columns that the contract does not name follow it.
CONTRACT = {
    "networks": """
        network_id cell_id dataset architecture width depth seed label_noise learning_rate batch_size
        max_epochs
        epochs_trained stop_reason train_loss train_error test_loss test_error num_parameters checkpoint
        row train_seconds device created_at spec_json""",
    "alignments": """
        alignment_id cell_id pair_id world method method_json networks permutations row objective
        objective_start
        objective_end num_evaluations align_seconds outcome created_at""",
    "barriers": """
        barrier_id alignment_id cell_id pair_id world method method_json dataset architecture width depth
        label_noise network_a network_b member_a member_b seed_a seed_b split correction num_examples alphas
        losses errors loss_barrier error_barrier loss_midpoint_barrier error_midpoint_barrier created_at""",
    "sweep_items": "sweep kind item_id",
    "failures": "kind item_ids error_type message traceback attempts created_at",
}


@pytest.mark.parametrize("table", sorted(CONTRACT))
def test_columns_begin_as_the_contract_says(table: str) -> None:
    """The contract's columns come first, in its order, and every table has environment_id."""
    expected = CONTRACT[table].split()
    assert expected == list(TABLES[table].by_name)[: len(expected)]
    assert "environment_id" in TABLES[table].by_name


def _documented() -> dict[str, list[tuple[str, str, str, str]]]:
    """Per table of the document: (column, type, unit, null allowed) in its order."""
    found: dict[str, list[tuple[str, str, str, str]]] = {}
    for section in re.split(r"^### ", DOCUMENT.read_text(), flags=re.MULTILINE)[1:]:
        name = section.split("\n", 1)[0].strip().strip("`")
        rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \| ([^|]*) \| ([^|]*) \|", section, flags=re.MULTILINE)
        if rows:
            found[name] = [
                (column, kind.strip(), unit.strip(), null.strip()) for column, kind, unit, null in rows
            ]
    return found


def test_the_document_names_every_column_and_nothing_else() -> None:
    """docs/store.md has exactly the tables and columns of the schema, with their types and units."""
    expected = {
        name: [
            (column.name, column.sql_type, column.unit or "-", "yes" if column.nullable else "no")
            for column in table.columns
        ]
        for name, table in TABLES.items()
    }
    assert expected == _documented()


def test_the_document_says_the_schema_version() -> None:
    """docs/store.md names the version that the code writes."""
    assert f"schema version {SCHEMA_VERSION}" in DOCUMENT.read_text()


def test_record_files_carry_version_and_units(tmp_path: Path) -> None:
    """A record file says its table and schema version, and each field its unit, to any Parquet reader."""
    store = Store.create(tmp_path / "store")
    schema = pq.read_schema(store.path / store.commit("barriers", [row("barriers", "a")]))
    assert {
        b"lmc_sweep.schema_version": str(SCHEMA_VERSION).encode(),
        b"lmc_sweep.table": b"barriers",
    }.items() <= schema.metadata.items()
    units = {field.name: field.metadata[b"unit"].decode() for field in schema}
    assert {column.name: column.unit for column in TABLES["barriers"].columns} == units
    assert "UTC" == schema.field("created_at").type.tz
