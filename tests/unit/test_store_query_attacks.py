"""Queries that try to see, write or do more than the tables: all of today's DuckDB, function by function."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from store_rows import row

from lmc_sweep.errors import StoreError
from lmc_sweep.store.query import _TABLE_FUNCTIONS
from lmc_sweep.store.store import Store

SECRET = "hunter2-hunter2"
ENVIRONMENT = {
    "MY_SERVICE_TOKEN": SECRET,
    "HTTP_PROXY": f"http://user:{SECRET}@proxy:1",
    "HTTP_PROXY_PASSWORD": SECRET,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "MOTHERDUCK_TOKEN": SECRET,
}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store of one barrier, the working directory inside it, secrets in files and variables about it."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    store = Store.create(tmp_path / "store")
    store.commit("barriers", [row("barriers", "a")])
    for folder in (tmp_path, store.path):
        (folder / "secret.csv").write_text(f"secret\n{SECRET}\n")
    monkeypatch.chdir(store.path)
    return store


@pytest.mark.parametrize(
    "query",
    [
        "SELECT getenv('MY_SERVICE_TOKEN')",
        "SELECT system.main.getenv('MY_SERVICE_TOKEN')",
        "VALUES (getenv('MY_SERVICE_TOKEN'))",
        "SELECT 'MY_SERVICE_TOKEN'.getenv()",
        "SELECT list_transform(['MY_SERVICE_TOKEN'], lambda name : getenv(name))",
        "SELECT * FROM 'secret.csv'",
        'SELECT * FROM "secret.csv"',
        "SELECT * FROM secret.csv",
        "TABLE 'secret.csv'",
        "FROM (DESCRIBE 'secret.csv')",
        "FROM (SUMMARIZE 'secret.csv')",
        "SELECT (SELECT content FROM read_text('secret.csv'))",
        "SELECT content FROM (VALUES (1)) AS t, LATERAL read_text('secret.csv')",
        "SELECT list_transform([1], lambda x : (SELECT content FROM read_text('secret.csv')))",
        "SELECT 1 ORDER BY (SELECT content FROM read_text('secret.csv'))",
        "SELECT 1 FROM barriers HAVING (SELECT true FROM read_text('secret.csv'))",
        "SELECT sum(1) OVER (ORDER BY (SELECT content FROM read_text('secret.csv'))) FROM barriers",
        "SELECT 1 LIMIT (SELECT length(content) FROM read_text('secret.csv'))",
        "WITH t AS (FROM read_csv('secret.csv')) FROM t",
        "WITH RECURSIVE t AS (SELECT 'a' UNION (SELECT content FROM read_text('secret.csv'))) FROM t",
        "FROM barriers POSITIONAL JOIN read_text('secret.csv')",
        "FROM query('FROM read_text(''secret.csv'')')",
        "FROM query_table('secret.csv')",
        "FROM query_table(['secret.csv'])",
        "FROM json_execute_serialized_sql(json_serialize_sql('FROM read_text(''secret.csv'')'))",
        "FROM 's3://bucket/x.parquet'",
        "FROM 'https://example.org/x.csv'",
        "SELECT * FROM unnest(glob('*'))",
        "PREPARE q AS FROM read_text('secret.csv')",
        "EXECUTE q",
        "CREATE MACRO m() AS TABLE FROM read_text('secret.csv')",
        "CREATE TEMP TABLE t AS FROM read_text('secret.csv')",
        "SET VARIABLE x = 1",
        "USE memory",
        "CHECKPOINT",
        "VACUUM",
        "BEGIN",
        "IMPORT DATABASE '/tmp'",
        "DETACH memory",
        "COMMENT ON VIEW barriers IS 'x'",
        "WITH x AS (CALL enable_logging()) FROM x",
        "SELECT nextval('s')",
    ],
)
def test_a_query_gets_at_nothing_but_the_tables(store: Store, query: str) -> None:
    """Files, variables, other statements and text run as SQL are refused; the refusal tells no secret."""
    with pytest.raises(StoreError, match="query:") as error:
        store.sql(query).fetchall()
    assert SECRET not in str(error.value)


def test_every_table_function_but_the_harmless_is_refused(store: Store) -> None:
    """Of all table functions of the DuckDB that is installed, only those that read no file are let in."""
    listed = store.sql(
        "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type LIKE 'table%'"
    ).fetchall()
    others = sorted({name for (name,) in listed} - _TABLE_FUNCTIONS)
    assert {"read_text", "read_blob", "glob", "query", "read_duckdb", "which_secret"} <= set(others)
    for name in others:
        with pytest.raises(StoreError, match="is not allowed"):
            store.sql(f"SELECT * FROM {name}('secret.csv')")


def test_no_scalar_function_reaches_out(store: Store) -> None:
    """Scalar functions whose names speak of files, variables or the network are known ones."""
    pattern = "env|file|read|glob|http|secret|attach|load|exec|url|fetch|shell|system"
    listed = store.sql(
        f"""
        SELECT DISTINCT function_name FROM duckdb_functions()
        WHERE function_type IN ('scalar', 'macro') AND regexp_matches(function_name, '{pattern}')
        """
    ).fetchall()
    assert {"parse_filename", "pg_conf_load_time", "url_decode", "url_encode"} == {name for (name,) in listed}


def test_settings_hold_no_secret_of_the_environment(store: Store) -> None:
    """DuckDB takes settings from variables, such as a proxy with its password: none is there to be read."""
    assert SECRET == os.environ["MY_SERVICE_TOKEN"]
    told = store.sql("SELECT * FROM duckdb_settings()").fetchall()
    assert [] == [setting for setting in told if SECRET in str(setting)]
    assert [("",)] == store.sql("SELECT current_setting('http_proxy')").fetchall()
    for name in ("MY_SERVICE_TOKEN", "my_service_token"):
        assert [(None,)] == store.sql(f"SELECT getvariable('{name}')").fetchall()


def test_a_record_that_became_a_link_leads_nowhere(store: Store) -> None:
    """A record whose place was taken by a link to another file is set aside, not followed."""
    (record,) = store.path.glob("records/barriers/*.parquet")
    content = record.read_bytes()
    elsewhere = store.path.parent / "elsewhere.parquet"
    elsewhere.write_bytes(content)
    record.unlink()
    record.symlink_to(elsewhere)
    assert [(0,)] == store.sql("SELECT count(*) FROM barriers").fetchall()
    assert 1 == len(store.problems())
