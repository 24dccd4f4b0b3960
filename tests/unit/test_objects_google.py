"""Google's client, on the S3 server of the tests behind a proxy that renames two headers.

The two services speak nearly one language: what differs in what we ask is how a write is made conditional,
and how the source of a copy is named. What Google's own service does is not tested here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from s3_proxy import Proxy
from s3_server import BUCKET, S3Server, fresh_uri
from store_rows import row

from lmc_sweep.store.object_errors import ObjectError
from lmc_sweep.store.objects import LARGEST_SINGLE_BYTES, Objects, open_objects
from lmc_sweep.store.store import Store

RENAMED = (
    (re.compile(rb"\r\nx-goog-if-generation-match: 0\r\n", re.IGNORECASE), b"\r\nif-none-match: *\r\n"),
    (re.compile(rb"\r\nx-goog-copy-source: ", re.IGNORECASE), b"\r\nx-amz-copy-source: "),
    (re.compile(rb"%2D"), b"-"),  # moto does not read the names of buckets as URLs write them
)


class _Renaming(Proxy):
    """Asks the S3 server what was asked of Google's."""

    def _forward(self, asked: bytes) -> bytes:
        head, end, body = asked.partition(b"\r\n\r\n")
        head += b"\r\n"
        for pattern, replacement in RENAMED:
            head = pattern.sub(replacement, head)
        return super()._forward(head[:-2] + end + body)


@pytest.fixture
def uri(s3_process: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A URI of Google's at which there is nothing yet."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "GOOGLE_")):
            monkeypatch.delenv(name)
    proxy = _Renaming(s3_process.port)
    monkeypatch.setenv("GOOGLE_BASE_URL", proxy.endpoint)
    monkeypatch.setenv("GOOGLE_BEARER_TOKEN", "token-of-the-tests")
    monkeypatch.setenv("LMC_SWEEP_CACHE", str(tmp_path / "cache"))
    yield fresh_uri().replace("s3://", "gs://")
    proxy.go_away()


@pytest.fixture
def objects(uri: str) -> Objects:
    """Objects of an empty prefix."""
    return open_objects(uri)


def test_writing_and_reading(objects: Objects) -> None:
    """A free name is written, a taken one is left as it is, and one that is to be replaced is."""
    objects.put("a b/ü", [b"one ", b"two"], replace=False)
    objects.put("a b/ü", [b"three"], replace=False)
    assert b"one two" == objects.get("a b/ü")
    objects.put("a b/ü", [b"four"], replace=True)
    assert b"four" == objects.get("a b/ü")
    assert ["a b/ü"] == list(objects.list("a b"))


def test_copying_and_deleting(objects: Objects) -> None:
    """A copy has the content; a missing object is FileNotFoundError, and no error to delete."""
    objects.put("source", [b"content"], replace=False)
    objects.copy("source", "target")
    objects.delete("source")
    objects.delete("source")
    assert b"content" == objects.get("target")
    assert not objects.exists("source")
    with pytest.raises(FileNotFoundError):
        objects.get("source")
    with pytest.raises(FileNotFoundError):
        objects.copy("source", "target")


def test_large_contents(objects: Objects, tmp_path: Path) -> None:
    """What travels in parts comes back the same."""
    content = os.urandom(LARGEST_SINGLE_BYTES + 1)
    objects.put("large", [content], replace=False)
    objects.download("large", tmp_path / "file")
    assert content == (tmp_path / "file").read_bytes()


def test_a_bucket_that_does_not_exist(uri: str) -> None:
    """A missing bucket is told by its name."""
    with pytest.raises(ObjectError, match="no bucket 'another-bucket'"):
        open_objects(uri.replace(BUCKET, "another-bucket")).get("a")


def test_a_store(uri: str) -> None:
    """A store is made, written, read and found again."""
    Store.create(uri).commit("barriers", [row("barriers", "a")])
    assert {"a"} == Store(uri).ids("barrier")
