"""Architectures: a module that defines the forward pass, and the stacked program that runs it.

``build(spec, dataset)`` returns the program of an architecture spec for a data set's shape. Importing
the package, or ``workers.architectures.shapes``, does not pay for torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workers.architectures.build import build

if TYPE_CHECKING:
    from workers.architectures.program import StackedProgram

__all__ = ["StackedProgram", "build"]


def __getattr__(name: str) -> Any:
    if name == "StackedProgram":
        from workers.architectures.program import StackedProgram

        return StackedProgram
    raise AttributeError(f"module 'workers.architectures' has no attribute {name!r}")
