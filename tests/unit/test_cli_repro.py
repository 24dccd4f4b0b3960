"""What ``lmc-sweep repro`` says of an item that fails."""

from __future__ import annotations

import statistics
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from store_rows import row

from lmc_sweep.cli.found_item import find_item
from lmc_sweep.cli.repro import _show_failure, _show_interruption
from lmc_sweep.errors import StoreError
from lmc_sweep.execution import recomputation
from lmc_sweep.store.store import Store

SECRET = "sup3rs3cret"


@pytest.mark.parametrize("as_json", [False, True])
def test_the_error_of_an_item_is_told_without_secrets(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    """The text and the traceback of an error pass the filter before they are shown."""
    item: Any = SimpleNamespace(kind="network", id="0123abcd")
    monkeypatch.setenv("BUCKET_PASSWORD", SECRET)
    try:
        raise RuntimeError(f"no access with {SECRET} to https://user:{SECRET}@bucket/x")
    except RuntimeError as error:
        _show_failure(item, error, as_json)
    shown = "".join(capsys.readouterr())
    assert "no access with *** to https://***@bucket/x" in shown
    assert SECRET not in shown


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        ("mynets", "mynets is not importable from here: run this in the directory that holds it"),
        ("somebody", None),
    ],
)
def test_a_module_that_is_elsewhere_is_no_failure(
    missing: str, told: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That the module which the item names is not here says nothing of the item; what it imports does."""
    item: Any = SimpleNamespace(kind="network", id="0123abcd")
    monkeypatch.setattr(recomputation, "kind_of", lambda item: item)
    monkeypatch.setattr(recomputation, "user_names", lambda kind: ("mynets.wide:build",))
    error = ValueError("mynets.wide:build: cannot import mynets.wide")
    error.__cause__ = ModuleNotFoundError(f"No module named {missing!r}", name=missing)
    if told is None:
        recomputation.require_importable(item, error)
        return
    with pytest.raises(StoreError) as raised:
        recomputation.require_importable(item, error)
    assert told == str(raised.value)


def test_an_interruption_says_where_the_item_was(capsys: pytest.CaptureFixture[str]) -> None:
    """The innermost line that is of no installed package is told: the user's own, within what it called."""
    item: Any = SimpleNamespace(kind="network", id="0123abcd")

    def interrupt(*_: object) -> int:
        raise KeyboardInterrupt

    try:
        statistics.mean(map(interrupt, (1,)))  # type: ignore[type-var]
    except KeyboardInterrupt as stop:
        _show_interruption(item, stop, 3.0)
    told = " ".join(capsys.readouterr().err.split())
    assert "network 0123abcd: interrupted after 3.0 s at" in told
    assert "test_cli_repro.py" in told
    assert "in interrupt: raise KeyboardInterrupt" in told


@pytest.mark.parametrize(
    ("table", "key", "column", "words"),
    [
        ("permutation_points", "point_id", "path_id", "permutation path"),
        ("canonical_averages", "average_id", "canonical_id", "canonical form"),
        ("search_traces", "trace_id", "alignment_id", "alignment"),
    ],
)
def test_an_id_of_a_row_beside_an_item_names_the_item(
    table: str, key: str, column: str, words: str, tmp_path: Path
) -> None:
    """What was made along with an item is no item of its own: the error says which one to compute again."""
    store = Store.create(tmp_path / "s")
    store.commit(table, [row(table, "1f3a9c", **{column: "77aa"})])
    with pytest.raises(StoreError, match=f"1f3a9c is an id .{key}. of {table}, .*{words} 77aa"):
        find_item(store, "1f3a")
    with pytest.raises(StoreError, match="the id of no item"):
        find_item(store, "1f3b")
