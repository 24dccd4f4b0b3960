"""Where everything lies in a store, as pure functions of names. See docs/store.md."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lmc_sweep.errors import StoreError

MARKER = "store.json"
RECORDS = "records"
ENVIRONMENTS = "environments"
SWEEPS = "sweeps"
ARTIFACT_FOLDERS = ("networks", "permutations")
QUARANTINE = "quarantine"
COMPACTING = ".compact"
FOLDERS = (SWEEPS, ENVIRONMENTS, *ARTIFACT_FOLDERS, RECORDS, QUARANTINE)

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_SLIPPED_SCHEME = re.compile(r"(s3|gs|az):/(?!/)")
_SWEEP_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
_RUN_ID = re.compile(r"[0-9a-f]{32}")
_RECORD_NAME = re.compile(
    r"\d{8}T\d{12}Z-(?P<digest>[0-9a-f]{32})-[0-9a-f]{8}(?P<compacted>\.compact)?\.parquet"
)
_ARTIFACT_NAME = re.compile(r"(?P<digest>[0-9a-f]{64})\.safetensors")


def is_remote(uri: str | Path) -> bool:
    """Whether a store's URI names another kind of storage than a local directory."""
    text = str(uri)
    return _SCHEME.match(text) is not None and not text.startswith("file://")


def local_path(uri: str | Path) -> Path:
    """The absolute directory that a store's URI names; StoreError when it is not a local one."""
    text = str(uri)
    if text.startswith("file://"):
        text = unquote(urlsplit(text).path)
    elif scheme := _SCHEME.match(text):
        raise StoreError(
            f"{text}: a directory is needed here, and {scheme[0]!r} names another kind of storage. "
            "Give a path, for instance runs/quickstart."
        )
    elif slip := _SLIPPED_SCHEME.match(text):
        raise StoreError(f"{text}: two slashes are needed. Write {slip[1]}://{text[slip.end() :]}")
    if not text:
        raise StoreError("the path of the store is empty. Give a directory, for instance runs/quickstart.")
    return Path(text).expanduser().absolute()


def record_path(table: str, created_at: str, digest: str, nonce: str, *, compacted: bool = False) -> str:
    """Path of one record file: unique per attempt, so a torn file never blocks its own repair.

    Args:
        created_at: UTC time as YYYYMMDDTHHMMSSffffffZ, so that names sort by age.
        digest: SHA-256 of the file's content in hex; its first 32 digits enter the name.
        nonce: 8 random hex digits, which keep two attempts with one content and time apart.
        compacted: Whether compaction wrote it, in the place of other record files.
    """
    ending = ".compact.parquet" if compacted else ".parquet"
    return f"{RECORDS}/{table}/{created_at}-{digest[:32]}-{nonce}{ending}"


def record_digest(name: str) -> str | None:
    """The 32 hex digits that a record's file name promises of its content; None for another kind of name."""
    match = _RECORD_NAME.fullmatch(name)
    return match["digest"] if match else None


def is_compacted(name: str) -> bool:
    """Whether a record file's name says that compaction wrote it."""
    match = _RECORD_NAME.fullmatch(name)
    return match is not None and match["compacted"] is not None


def artifact_path(folder: str, digest: str) -> str:
    """Path of one file of tensors, named by the SHA-256 of its content in hex."""
    return f"{folder}/{digest}.safetensors"


def artifact_digest(name: str) -> str | None:
    """The SHA-256 that an artifact's file name promises of its content; None for another kind of name."""
    match = _ARTIFACT_NAME.fullmatch(name)
    return match["digest"] if match else None


def inside(path: str) -> bool:
    """Whether a path recorded in the store stays inside it and names an artifact."""
    parts = path.split("/")
    return len(parts) == 2 and parts[0] in ARTIFACT_FOLDERS and parts[1] not in ("", ".", "..")


def environment_path(environment_id: str) -> str:
    """Path of the description of one environment."""
    return f"{ENVIRONMENTS}/{environment_id}.json"


def sweep_folder(name: str) -> str:
    """Folder of one sweep; StoreError for a name that cannot be a folder's."""
    if not _SWEEP_NAME.fullmatch(name):
        raise StoreError(
            f"a sweep's name consists of letters, digits, '.', '_' and '-' and does not start with '.'; "
            f"{name!r} does not. Rename the sweep."
        )
    return f"{SWEEPS}/{name}"


def is_sweep_name(text: str) -> bool:
    """Whether a text can be the name of a sweep, as a folder that somebody else made may not be."""
    return _SWEEP_NAME.fullmatch(text) is not None


def is_run_id(text: str) -> bool:
    """Whether a text can be the id of a run, as a folder that somebody else made may not be."""
    return _RUN_ID.fullmatch(text) is not None


def run_folder(name: str, run_id: str) -> str:
    """Folder of what one run of a sweep says of itself, and of what it is asked: advice, all of it."""
    if not _RUN_ID.fullmatch(run_id):
        raise StoreError(f"a run's id consists of 32 hexadecimal digits; {run_id!r} does not")
    return f"{sweep_folder(name)}/runs/{run_id}"
