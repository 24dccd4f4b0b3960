"""The guard of queries: one SELECT over the tables, and nothing outside them."""

from __future__ import annotations

from pathlib import Path

import pytest
from store_rows import row

from lmc_sweep.errors import StoreError
from lmc_sweep.store.schema import TABLES
from lmc_sweep.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with one barrier, and a secret beside it."""
    (tmp_path / "secret.csv").write_text("secret\n42\n")
    store = Store.create(tmp_path / "store")
    store.commit("barriers", [row("barriers", "a", width=3)])
    return store


def _record(store: Store) -> Path:
    """The store's one record of a barrier."""
    (record,) = store.path.glob("records/barriers/*.parquet")
    return record


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT barrier_id, width FROM barriers", [("a", 3)]),
        ("SELECT barrier_id, width FROM barriers; -- one", [("a", 3)]),
        ("FROM barriers SELECT width", [(3,)]),
        ("WITH wide AS (SELECT * FROM barriers WHERE width > 2) SELECT count(*) FROM wide", [(1,)]),
        ("SELECT 1 UNION ALL SELECT 2 ORDER BY 1", [(1,), (2,)]),
        (
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION SELECT i + 1 FROM n WHERE i < 3) FROM n SELECT max(i)",
            [(3,)],
        ),
        ("SELECT losses[1], unnest(alphas) FROM barriers LIMIT 1", [(0.0, 0.0)]),
        ("SELECT typeof(created_at) FROM barriers", [("TIMESTAMP",)]),
        ("SELECT 'x; COPY' AS text", [("x; COPY",)]),
    ],
)
def test_one_select_is_answered(store: Store, query: str, expected: list[tuple[object, ...]]) -> None:
    """Whatever DuckDB takes for one reading SELECT is answered."""
    assert expected == store.sql(query).fetchall()


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("", "holds 0"),
        ("-- nothing", "holds 0"),
        ("SELECT 1; SELECT 2", "holds 2"),
        ("SELECT 1; DROP VIEW barriers", "holds 2"),
        ("COPY barriers TO '{store}/out.parquet'", "this is COPY"),
        ("ATTACH '{outside}/other.db'", "this is ATTACH"),
        ("PRAGMA database_list", "this is PRAGMA"),
        ("SET threads = 1", "this is SET"),
        ("RESET threads", "this is "),
        ("INSTALL httpfs", "this is INSTALL or LOAD"),
        ("LOAD httpfs", "this is INSTALL or LOAD"),
        ("CREATE TABLE t AS SELECT 1", "this is CREATE"),
        ("CREATE OR REPLACE VIEW barriers AS SELECT 1", "this is CREATE"),
        ("DROP VIEW barriers", "this is DROP"),
        ("INSERT INTO barriers SELECT * FROM barriers", "this is INSERT"),
        ("DELETE FROM barriers", "this is DELETE"),
        ("UPDATE barriers SET width = 4", "this is UPDATE"),
        ("EXPORT DATABASE '{store}/out'", "this is "),
        ("CALL pragma_version()", "this is CALL"),
        ("EXPLAIN ANALYZE SELECT 1", "this is EXPLAIN"),
        ("WITH x AS (COPY (SELECT 1) TO '{record}' (use_tmp_file false)) FROM x", "a part of this is COPY"),
        ("SELECT (WITH x AS (DELETE FROM barriers) SELECT 1)", "a part of this is DELETE"),
        ("WITH a AS (WITH b AS (COPY barriers TO '{store}/q') FROM b) FROM a", "a part of this is COPY"),
    ],
)
def test_every_other_statement_is_refused(store: Store, query: str, named: str) -> None:
    """What is not one reading SELECT is refused by its kind, and the store's files stay as they were."""
    before = _record(store).read_bytes()
    with pytest.raises(StoreError, match=named):
        store.sql(query.format(store=store.path, outside=store.path.parent, record=_record(store))).fetchall()
    assert before == _record(store).read_bytes()
    assert ["environments", "records", "store.json"] == sorted(path.name for path in store.path.iterdir())


@pytest.mark.parametrize(
    "source",
    [
        "read_csv('{outside}/secret.csv')",
        "read_csv('{store}/../secret.csv')",
        "read_csv('{store}/link.csv')",
        "read_text('/etc/passwd')",
        "read_blob('/etc/passwd')",
        "read_json('{store}/store.json')",
        "glob('/etc/*')",
        "'{outside}/secret.csv'",
        "'{outside}/*.csv'",
        "read_parquet('{outside}/secret.parquet')",
        "read_parquet('https://example.org/x.parquet')",
        "query('FROM read_text(''/etc/passwd'')')",
        "sniff_csv('{outside}/secret.csv')",
        "READ_CSV('{outside}/secret.csv')",
        "system.main.read_csv('{outside}/secret.csv')",
        "(DESCRIBE FROM read_csv('{outside}/secret.csv'))",
        "json_execute_serialized_sql('{{}}')",
        "arrow_scan(1, 2, 3)",
        "sqlite_scan('{outside}/other.db', 't')",
    ],
)
def test_files_beside_the_records_are_closed(store: Store, source: str) -> None:
    """No function of a query opens a file but the store's own good records, links included."""
    (store.path / "link.csv").symlink_to(store.path.parent / "secret.csv")
    with pytest.raises(StoreError, match="query:"):
        store.sql(f"SELECT * FROM {source}".format(store=store.path, outside=store.path.parent)).fetchall()


def test_variables_of_the_caller_are_not_tables(store: Store) -> None:
    """A name in a query never means a Python object of the process that asks."""
    import pyarrow as pa

    secret = pa.table({"a": [1]})
    with pytest.raises(StoreError, match="secret"):
        store.sql("SELECT * FROM secret").fetchall()
    assert 1 == secret.num_rows


def test_an_unknown_table_lists_the_known_ones(store: Store) -> None:
    """An error about a table's name lists the tables."""
    with pytest.raises(StoreError, match="barier") as error:
        store.sql("SELECT * FROM barier")
    assert f"Tables: {', '.join(TABLES)}" == str(error.value).splitlines()[1]


def test_an_unknown_column_lists_the_known_ones(store: Store) -> None:
    """An error about a column's name lists the columns of the tables that the query reads."""
    with pytest.raises(StoreError, match='"widht"') as error:
        store.sql("SELECT widht FROM barriers")
    assert f"Columns of barriers: {', '.join(TABLES['barriers'].by_name)}" == str(error.value).splitlines()[1]


def test_a_syntax_error_is_one_line(store: Store) -> None:
    """An error of syntax says near which word, in one line, without a copy of the query."""
    with pytest.raises(StoreError, match='syntax error at or near "FROM"') as error:
        store.sql("SELECT width,\nFROM FROM barriers")
    assert 1 == len(str(error.value).splitlines())


def test_an_error_while_the_query_runs_is_one_line(store: Store) -> None:
    """A value that turns out not to fit while the query runs is an error of the query, too."""
    with pytest.raises(StoreError, match="Could not convert string 'a' to INT32"):
        store.answer("SELECT barrier_id::INT FROM barriers")
    assert [3] == store.answer("SELECT width FROM barriers").column("width").to_pylist()


def test_the_configuration_is_locked(store: Store) -> None:
    """A connection that was handed out cannot be opened up again."""
    settings = dict(store.sql("SELECT name, value FROM duckdb_settings()").fetchall())
    assert ("false", "true") == (settings["enable_external_access"], settings["lock_configuration"])
    assert "[]" == settings["allowed_directories"]
