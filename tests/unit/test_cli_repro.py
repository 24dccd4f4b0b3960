"""What ``lmc-sweep repro`` says of an item that fails."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from lmc_sweep.cli.repro import _show_failure

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
