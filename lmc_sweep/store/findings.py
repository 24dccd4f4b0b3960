"""What verification can find, in the order in which it is told, and what each finding means."""

from __future__ import annotations

from dataclasses import dataclass, field

KINDS = {
    "record": "record files that are left out",
    "artifact": "files of tensors that cannot be used",
    "row": "rows that name what their file does not have",
    "half": "items whose rows in a second table are gone",
    "input": "rows whose inputs are gone or not told",
    "folder": "folders that lead out of the store",
    "environment": "environments that cannot be told",
    "sweep": "sweep files that cannot be read",
    "nondeterminism": "results computed twice that differ",
    "duplicate": "results that stand in several files",
    "orphan": "files of tensors that no record names",
    "temporary": "unfinished files",
    "foreign": "files of nobody",
    "quarantine": "files set aside earlier",
}
"""Kinds of findings and their headings. The first eight can cost results or the knowledge of them."""


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be, or worth knowing.

    Attributes:
        kind: One of ``KINDS``.
        path: Of the file, relative to the store; or the id that it is about.
        message: What is the matter.
        is_error: Whether it costs results, or what is known of them; else it is only told.
        is_movable: Whether ``--repair`` sets the file aside.
        num_bytes: Size of a file that is only told.
        age_seconds: Since such a file was written.
        artifact: Of rows that name what is not there, the file of tensors; only these rows are at fault.
        ids: Of items whose further rows are gone; likewise.
    """

    kind: str
    path: str
    message: str
    is_error: bool = False
    is_movable: bool = False
    num_bytes: int | None = None
    age_seconds: float | None = None
    artifact: str | None = None
    ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class SweepCount:
    """Items of a kind that a sweep asks for: all, those that count as done, those that are sound."""

    sweep: str
    kind: str
    total: int
    done: int
    sound: int


@dataclass(frozen=True)
class Verification:
    """What was found in a store.

    Attributes:
        findings: In the order of ``KINDS``.
        sweeps: Per sweep and kind, how many items there are and how many are sound.
        num_records: Record files that were read.
        num_rows: Their rows, by table.
        num_artifacts: Files of tensors that were read.
        num_bytes: Bytes that were read.
        lost: Ids by kind that ``status`` shows as done, until what they need is set aside.
    """

    findings: tuple[Finding, ...]
    sweeps: tuple[SweepCount, ...]
    num_records: int
    num_rows: dict[str, int]
    num_artifacts: int
    num_bytes: int
    lost: dict[str, frozenset[str]] = field(default_factory=dict)

    @property
    def is_clean(self) -> bool:
        """Whether nothing was found that costs results."""
        return not any(finding.is_error for finding in self.findings)
