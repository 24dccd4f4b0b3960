"""Sweep files with credentials are refused, and what is recorded of one holds none."""

from __future__ import annotations

import pytest

from lmc_sweep.config import parse_sweep
from lmc_sweep.errors import SweepError

PLAIN = (
    "name: s\nstore: runs/s\n"
    "networks: [{dataset: digits, architecture: {name: mlp, width: 4, depth: 1}, seeds: 2}]\n"
)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (PLAIN.replace("runs/s", "s3://key:hunter2hunter2@bucket/prefix"), "store"),
        (PLAIN.replace("runs/s", "'https://host/x?X-Amz-Signature=hunter2hunter2'"), "store"),
        (
            PLAIN.replace("name: mlp", "name: mlp, api_key: hunter2hunter2"),
            "networks[0].architecture.api_key",
        ),
        (PLAIN.replace("digits", "AKIAHUNTER2HUNTER222"), "networks[0].dataset"),
        (PLAIN.replace("runs/s", "runs/hunter2hunter2"), "store"),
    ],
)
def test_a_value_with_credentials_is_refused(text: str, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal names the key and the remedy, and does not repeat the secret."""
    monkeypatch.setenv("MY_SERVICE_TOKEN", "hunter2hunter2")
    with pytest.raises(SweepError, match="credentials come from the environment") as error:
        parse_sweep(text, "sweep.yaml")
    assert str(error.value).startswith(f"sweep.yaml: {where}: holds credentials")
    assert "hunter2" not in str(error.value).lower()


def test_a_comment_with_credentials_is_recorded_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recorded text keeps its comments but not the secrets in them; everything else is as written."""
    monkeypatch.setenv("MY_SERVICE_TOKEN", "hunter2hunter2")
    sweep = parse_sweep(f"{PLAIN}# from https://me:pass9word@host/x, key hunter2hunter2\n")
    assert f"{PLAIN}# from https://***@host/x, key ***\n" == sweep.text
    assert PLAIN == parse_sweep(PLAIN).text


def test_short_values_of_variables_may_stand_in_a_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable such as SECRET=digits does not make a sweep on digits impossible."""
    monkeypatch.setenv("SECRET", "digits")
    assert "digits" == parse_sweep(PLAIN).networks[0].dataset
