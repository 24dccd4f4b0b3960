"""Words that figures share: counts, axes, and sentences on what is not shown."""

from __future__ import annotations

from typing import Protocol


class Height(Protocol):
    """Which barrier is meant: of what, and where its height is taken."""

    @property
    def quantity(self) -> str:
        """``loss`` or ``error``."""

    @property
    def extent(self) -> str:
        """``supremum`` or ``midpoint``."""


def counted(number: int, word: str) -> str:
    """``1 pair``, ``2 pairs``."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def height_label(question: Height, split: str = "") -> str:
    """The axis of barriers: what, where, on which examples, in which unit."""
    unit = "nats" if question.quantity == "loss" else "fraction"
    at = " at 1/2" if question.extent == "midpoint" else ""
    measured = f", {split}" if split else ""
    return f"{question.quantity.capitalize()} barrier{at}{measured} ({unit})"


def dropped_pairs(number: int) -> list[str]:
    """A sentence on pairs that were left out of a comparison."""
    if not number:
        return []
    return [f"Left out: {counted(number, 'pair')} that not every method has measured."]


def diverged_barriers(number: int) -> list[str]:
    """A sentence on barriers without a value."""
    return [f"Not shown: {counted(number, 'barrier')}, because a network diverged."] if number else []
