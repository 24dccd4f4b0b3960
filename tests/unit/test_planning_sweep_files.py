"""Sweep files that lie on object storage, as those of a store there."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_objects import Buckets, use_fake_objects

from lmc_sweep.errors import SweepError
from lmc_sweep.planning.sweep_files import load

SWEEP = """
name: small
store: nowhere
networks:
  - {dataset: digits, architecture: {name: mlp, width: 3}, training: {max_epochs: 1}, seeds: 2}
"""


@pytest.fixture
def buckets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Buckets:
    """Object storage in memory."""
    return use_fake_objects(monkeypatch, tmp_path / "cache")


def test_a_file_on_object_storage_is_that_on_a_disk(buckets: Buckets, tmp_path: Path) -> None:
    """The same text is the same sweep, with the same overrides, wherever it lies."""
    (tmp_path / "small.yaml").write_text(SWEEP)
    buckets["s3://bucket/store"].content["sweeps/small/sweep.yaml"] = SWEEP.encode()
    for overrides in ((), ("networks[0].seeds=3",)):
        here = load(tmp_path / "small.yaml", overrides)
        assert here == load("s3://bucket/store/sweeps/small/sweep.yaml", overrides)


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("s3://bucket/folder/none.yaml", "s3://bucket/folder/none.yaml: there is no such file"),
        ("s3://bucket", "named by bucket and path"),
        ("s3://bucket/folder/", "named by bucket and path"),
        ("s3://bucket/folder/wrong.yaml", "s3://bucket/folder/wrong.yaml: 'name' is missing"),
        ("s3://bucket/folder/bytes.yaml", "is no text in UTF-8"),
    ],
)
def test_what_is_no_sweep_file_is_told_in_one_line(buckets: Buckets, uri: str, told: str) -> None:
    """An object that is missing, or no sweep file, is named by its URI."""
    content = buckets["s3://bucket/folder"].content
    content |= {"wrong.yaml": b"store: x\nnetworks: []\n", "bytes.yaml": b"\xff\xfe\x00"}
    with pytest.raises(SweepError, match=told) as refused:
        load(uri)
    assert 1 == len(str(refused.value).splitlines())


def test_keys_in_the_address_of_a_sweep_file_are_not_repeated() -> None:
    """An address with keys is refused, and told without them."""
    with pytest.raises(SweepError) as refused:
        load("s3://AKIDEXAMPLE:wJalrXUtnFEMI@bucket/sweep.yaml")
    assert "wJalrXUtnFEMI" not in str(refused.value)
