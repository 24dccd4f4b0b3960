"""What a store's URI on object storage says: which service, which bucket, which prefix in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from lmc_sweep.errors import StoreError
from lmc_sweep.redaction import redact

Scheme = Literal["s3", "gs", "az"]

SERVICES: dict[Scheme, str] = {"s3": "S3", "gs": "Google Cloud Storage", "az": "Azure Blob Storage"}

_URI = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<bucket>[^/]*)(?:/(?P<prefix>.*))?", re.DOTALL)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,220}[A-Za-z0-9]")
# What a URI reads as a query or fragment; and what some services or shells read as something else.
_NOT_IN_PREFIX = re.compile(r"[\x00-\x1f\x7f?#*\\%]")


@dataclass(frozen=True)
class ObjectUri:
    """A place on object storage.

    Attributes:
        bucket: The bucket; on Azure, the container.
        prefix: What all names begin with, without slashes at its ends; may be empty.
    """

    scheme: Scheme
    bucket: str
    prefix: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}" + (f"/{self.prefix}" if self.prefix else "")

    @property
    def service(self) -> str:
        """Name of the service, for people."""
        return SERVICES[self.scheme]


def parse_uri(uri: str) -> ObjectUri:
    """The parts of a URI such as ``s3://bucket/runs/quickstart``; StoreError when it cannot be a store's."""
    shown = redact(uri)
    match = _URI.fullmatch(uri)
    scheme = match["scheme"].lower() if match else ""
    if match is None or scheme not in SERVICES:
        raise StoreError(
            f"{shown}: stores lie in a directory, or at s3://, gs:// or az://. "
            "Give a path, for instance runs/quickstart, or a URI such as s3://bucket/prefix."
        )
    bucket, prefix = match["bucket"], (match["prefix"] or "").rstrip("/")
    if "@" in bucket or ":" in bucket:
        raise StoreError(
            f"{scheme}://: the URI of a store holds a bucket and a prefix, and neither keys nor a server. "
            f"{_WHERE_ELSE[scheme]}"
        )
    if not _BUCKET.fullmatch(bucket):
        raise StoreError(f"{shown}: {bucket!r} is no name of a bucket. Write {scheme}://BUCKET/PREFIX.")
    wrong = _NOT_IN_PREFIX.search(prefix)
    if wrong or any(part in ("", ".", "..") for part in prefix.split("/") if prefix):
        told = f"{wrong[0]!r}" if wrong else "an empty part, '.' or '..'"
        raise StoreError(
            f"{shown}: the prefix holds {told}. Choose one of plain words, for instance runs/quickstart."
        )
    return ObjectUri(scheme, bucket, prefix)


_WHERE_ELSE = {
    "s3": "Keys belong into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a server into AWS_ENDPOINT_URL.",
    "gs": "Credentials belong into the file that GOOGLE_APPLICATION_CREDENTIALS names.",
    "az": "The account belongs into AZURE_STORAGE_ACCOUNT_NAME, its key into AZURE_STORAGE_ACCOUNT_KEY.",
}
