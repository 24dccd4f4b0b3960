"""Which kind of walk serves which networks, and how many chains fit into memory together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from workers.alignment.annealing import (
    convolved_ground,
    convolved_walk,
    deep_walk,
    direct_walk,
    layered_ground,
    layered_walk,
    margin_walk,
)
from workers.alignment.annealing.moves import Walk
from workers.alignment.annealing.problem import Problem, State


@dataclass(frozen=True)
class Plan:
    """How the chains of groups of networks alike are held.

    Attributes:
        kind: ``margins``, ``blocks``, ``layers``, ``convolved`` or ``direct``.
        shared_bytes: What the chains of one group of networks share.
        chain_bytes: What each chain takes besides.
    """

    kind: str
    shared_bytes: float
    chain_bytes: float

    @classmethod
    def of(cls, problem: Problem, max_bytes: float) -> Plan:
        """The fastest kind that serves these networks and fits."""
        if margin_walk.serves(problem):
            shared, chain = margin_walk.ground_bytes(problem), margin_walk.chain_bytes(problem)
            # without room for all rows, those that a proposal needs are formed when it is made
            return cls("margins", shared if shared + chain <= max_bytes else 0.0, chain)
        if deep_walk.serves(problem):
            shared, chain = layered_ground.ground_bytes(problem), deep_walk.chain_bytes(problem)
            if shared + chain <= max_bytes:
                return cls("blocks", shared, chain)
        if layered_walk.serves(problem):
            shared, chain = layered_ground.ground_bytes(problem), layered_walk.chain_bytes(problem)
            if shared + chain <= max_bytes:
                return cls("layers", shared, chain)
        if convolved_ground.serves(problem):
            shared, chain = convolved_ground.ground_bytes(problem), convolved_ground.chain_bytes(problem)
            if chain <= max_bytes:
                # without room for all channels, those that a proposal needs are formed when it is made
                return cls("convolved", shared if shared + chain <= max_bytes else 0.0, chain)
        return cls("direct", 0.0, direct_walk.chain_bytes(problem))

    def num_chains(self, num_problems: int, max_bytes: float) -> int:
        """How many chains of some groups of networks fit at once; one at least."""
        return max(1, int((max_bytes - num_problems * self.shared_bytes) / max(self.chain_bytes, 1.0)))


class Ground:
    """What chains of some groups of networks stand on."""

    def __init__(self, plan: Plan, problems: Sequence[Problem], max_bytes: float) -> None:
        self._plan, self._problems = plan, problems
        self.is_on_cpu = problems[0].examples.labels.device.type == "cpu"
        if plan.kind == "margins":
            self._margins = [margin_walk.MarginGround(problem, plan.shared_bytes) for problem in problems]
        elif plan.kind == "blocks":
            self._blocks = [deep_walk.DeepGround(problem, max_bytes) for problem in problems]
        elif plan.kind == "layers":
            # one for each on a CPU, where every chain is a program of its own
            groups = [[problem] for problem in problems] if self.is_on_cpu else [problems]
            self._layers = [layered_ground.LayeredGround(group) for group in groups]
        elif plan.kind == "convolved":
            is_kept = plan.shared_bytes > 0.0
            self._convolved = [convolved_ground.ConvolvedGround(problem, is_kept) for problem in problems]

    def walk(self, of_problem: Sequence[int], starts: Sequence[State]) -> Walk:
        """Chains from some states, advancing together; ``of_problem`` says where each belongs."""
        if self._plan.kind == "margins":
            ((problem, start),) = zip(of_problem, starts, strict=True)
            return margin_walk.MarginWalk(self._margins[problem], start)
        if self._plan.kind == "blocks":
            ((problem, start),) = zip(of_problem, starts, strict=True)
            return self._blocks[problem].walk([start])
        if self._plan.kind == "layers":
            if self.is_on_cpu:
                return layered_walk.LayeredWalk(self._layers[of_problem[0]], [0] * len(starts), starts)
            return layered_walk.LayeredWalk(self._layers[0], of_problem, starts)
        if self._plan.kind == "convolved":
            return convolved_walk.ConvolvedWalk([self._convolved[k] for k in of_problem], starts)
        return direct_walk.DirectWalk([self._problems[k] for k in of_problem], starts)
