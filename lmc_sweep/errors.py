"""Errors that are shown to users: one or two lines, no traceback."""

from __future__ import annotations


class SweepError(ValueError):
    """Something the user can mend: the rule, the values, where, the remedy."""


class StoreError(SweepError):
    """The store cannot be used as asked."""


class DamageError(StoreError):
    """A file of the store does not hold what was written into it; ``path`` is relative to the store."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.path = path
