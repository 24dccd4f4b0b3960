"""Architectures: a module that defines the forward pass, and the stacked program that runs it.

``build(spec, dataset)`` returns the program of an architecture spec for a data set's shape.
"""

from workers.architectures.build import build
from workers.architectures.program import StackedProgram

__all__ = ["StackedProgram", "build"]
