"""From an architecture's spec to its program."""

from __future__ import annotations

from workers.architectures.mlp import MLPProgram
from workers.architectures.program import StackedProgram
from workers.datasets.definitions import DatasetDefinition
from workers.specs import ArchitectureSpec


def build(spec: ArchitectureSpec, dataset: DatasetDefinition) -> StackedProgram:
    """The program of an architecture for the shape and the classes of a data set."""
    return MLPProgram(
        num_inputs=dataset.num_inputs, width=spec.width, depth=spec.depth, num_classes=dataset.num_classes
    )
