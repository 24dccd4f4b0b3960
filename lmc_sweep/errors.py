"""Errors that are shown to users: one or two lines, no traceback."""

from __future__ import annotations


class SweepError(ValueError):
    """Something the user can mend: the rule, the values, where, the remedy."""


class StoreError(SweepError):
    """The store cannot be used as asked."""
