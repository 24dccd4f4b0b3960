"""URIs of stores on object storage: what is understood, and what is refused with which words."""

from __future__ import annotations

import pytest

from lmc_sweep.errors import StoreError
from lmc_sweep.store.object_uris import parse_uri


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        ("s3://bucket/runs/quickstart", ("s3", "bucket", "runs/quickstart")),
        ("s3://bucket", ("s3", "bucket", "")),
        ("s3://bucket/", ("s3", "bucket", "")),
        ("S3://my.bucket-1/a b/ü/", ("s3", "my.bucket-1", "a b/ü")),
        ("gs://a_bucket/x", ("gs", "a_bucket", "x")),
        ("az://container/x/y", ("az", "container", "x/y")),
    ],
)
def test_parts(uri: str, parts: tuple[str, str, str]) -> None:
    """A URI is a scheme, a bucket and a prefix, which may be empty; slashes at the end mean nothing."""
    parsed = parse_uri(uri)
    assert parts == (parsed.scheme, parsed.bucket, parsed.prefix)


@pytest.mark.parametrize("uri", ["s3://bucket/runs/x", "gs://bucket", "az://container/x"])
def test_a_parsed_uri_is_written_as_it_was(uri: str) -> None:
    """The text of a parsed URI is the URI."""
    assert uri == str(parse_uri(uri))


@pytest.mark.parametrize(
    ("uri", "word"),
    [
        ("ftp://host/x", "s3://"),
        ("https://bucket.s3.amazonaws.com/x", "s3://"),
        ("hdfs://name/x", "s3://"),
        ("s3:/bucket/x", "s3://"),
        ("s3://", "bucket"),
        ("s3:///x", "bucket"),
        ("s3://b/x", "bucket"),
        ("s3://bucket!/x", "bucket"),
        ("s3://localhost:9000/bucket", "AWS_ENDPOINT_URL"),
        ("s3://bucket/a//b", "empty part"),
        ("s3://bucket/a/../b", "'..'"),
        ("s3://bucket/x?versionId=3", "'?'"),
        ("s3://bucket/x#y", "'#'"),
        ("s3://bucket/*", "'*'"),
        ("s3://bucket/a\tb", "prefix"),
    ],
)
def test_refused(uri: str, word: str) -> None:
    """What cannot be a store's URI is refused in one line that names the rule."""
    with pytest.raises(StoreError) as refused:
        parse_uri(uri)
    assert word in str(refused.value)
    assert "\n" not in str(refused.value)


def test_keys_in_a_uri_are_refused_and_not_repeated() -> None:
    """A URI with keys is refused with the names of the variables, and the keys are not shown."""
    with pytest.raises(StoreError, match="AWS_ACCESS_KEY_ID") as refused:
        parse_uri("s3://AKIAABCDEFGHIJKLMNOP:verysecretkey@bucket/x")
    assert "verysecret" not in str(refused.value)
