"""The examples on which searches look at networks."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Int64
from torch import Tensor

from workers.architectures.program import StackedProgram
from workers.datasets.inputs import Inputs
from workers.seeding import generator


@dataclass(frozen=True)
class Examples:
    """Examples, and the program that computes on them.

    ``inputs`` are as the program takes them, or made when they are taken; ``labels`` of shape (B,).
    """

    program: StackedProgram
    inputs: Inputs
    labels: Int64[Tensor, " B"]

    def subset(self, num_examples: int | None) -> Examples:
        """The same on a fixed subset, the same for all pairs; on all examples if None.

        Raises:
            ValueError: If there are fewer examples than asked for.
        """
        available = len(self.labels)
        if num_examples is None:
            return self
        if num_examples > available:
            raise ValueError(f"num_examples is {num_examples}, but there are only {available} examples")
        stream = generator("alignment_examples", available)
        chosen = torch.randperm(available, generator=stream)[:num_examples].sort().values
        inputs = self.inputs[chosen.to(self.labels.device)]
        return replace(self, inputs=inputs, labels=self.labels[chosen.to(self.labels.device)])
