"""A batched search: starts, temperatures, rounds of all chains, and the best of them in full."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from workers.alignment.annealing.chain import Chain
from workers.alignment.annealing.course import Course
from workers.alignment.annealing.ground import Ground, Plan
from workers.alignment.annealing.moves import Walk
from workers.alignment.annealing.problem import Problem
from workers.alignment.annealing.starts import Start, starts_of
from workers.alignment.annealing.warming import compile_for
from workers.alignment.batch import Batch, Finding, result_of
from workers.alignment.methods import SimulatedAnnealing
from workers.alignment.outcome import AlignmentResult
from workers.device import map_on_threads
from workers.params import row

ROUND_SECONDS = 0.05
"""How long chains advance between two looks at the budget."""

SEGMENT_SECONDS = 0.02
"""How long a walk runs between two looks at the clock, about."""

LONGEST_SEGMENT = 1024


def anneal(method: SimulatedAnnealing, batch: Batch) -> AlignmentResult:
    """The best permutations that any chain visited, for every group of networks.

    On a CPU every chain is a program of its own, as many at once as torch has threads; elsewhere all
    chains that fit into memory are one. ``num_evaluations`` counts proposals, probes of the temperature
    and full evaluations of starts and results; not the refreshing of what is carried along, which
    evaluates no new state. ``max_evaluations`` is shared out among the chains beforehand.
    """
    assert batch.examples is not None
    examples = batch.examples.subset(method.num_examples)
    problems = [
        Problem(
            [row(member, index) for member in batch.members], batch.spec, name, examples, method.objective
        )
        for index, name in enumerate(batch.names)
    ]
    starts = starts_of(method, batch, problems)
    plan = Plan.of(problems[0], batch.max_bytes)
    compile_for(plan, problems[0], batch.max_bytes)
    together = _num_together(method, plan, batch)
    findings: list[Finding] = []
    for begin in range(0, len(problems), together):
        chosen = slice(begin, begin + together)
        findings += _search(method, problems[chosen], starts[chosen], plan, batch.max_bytes)
    return result_of(findings, method.objective, batch.spec)


def _num_together(method: SimulatedAnnealing, plan: Plan, batch: Batch) -> int:
    """Groups of networks that are searched at once: as many as keep the device busy, and fit."""
    assert batch.examples is not None
    if batch.examples.labels.device.type == "cpu":
        wanted = -(-torch.get_num_threads() // method.restarts)
        needed = plan.shared_bytes + plan.chain_bytes
    else:
        wanted, needed = batch.num_groups, plan.shared_bytes + method.restarts * plan.chain_bytes
    return max(1, min(wanted, int(batch.max_bytes / max(needed, 1.0))))


@dataclass
class _Team:
    """A walk, its chains, and how many moves it makes at a time."""

    walk: Walk
    chains: Sequence[Chain]
    length: int = 1


def _search(
    method: SimulatedAnnealing,
    problems: Sequence[Problem],
    starts: Sequence[Start],
    plan: Plan,
    max_bytes: float,
) -> list[Finding]:
    """What is found for some groups of networks that are searched together."""
    clock = _Clock.of(method, time.perf_counter() - max(start.seconds for start in starts))
    before = clock.seconds
    energies = map_on_threads(lambda k: problems[k].energy(starts[k].states[0]), range(len(problems)))
    rounds = -(-len(problems) * method.restarts // torch.get_num_threads())
    clock.keep_for_the_end((clock.seconds - before) * rounds / -(-len(problems) // torch.get_num_threads()))
    courses = [
        Course(method, problem, start, energy)
        for problem, start, energy in zip(problems, starts, energies, strict=True)
    ]
    alive = [course for course in courses if course.chains]
    if alive and not clock.is_up():
        ground = Ground(plan, [course.problem for course in alive], max_bytes)
        _walk_all(ground, alive, plan.num_chains(len(alive), max_bytes), clock)
    for course in alive:
        course.leave_out_chains_that_never_began()
    found = map_on_threads(lambda course: course.settle(), courses)
    seconds = clock.seconds
    return [course.finding(energies, seconds) for course, energies in zip(courses, found, strict=True)]


class _Clock:
    """The time of a search, and until when chains may run.

    Some is kept for evaluating the best of every chain in full, by how long that took at the start.
    """

    def __init__(self, began: float, max_seconds: float) -> None:
        self._began, self._until = began, max_seconds

    @classmethod
    def of(cls, method: SimulatedAnnealing, began: float) -> _Clock:
        """That of a search that began then."""
        return cls(began, math.inf if method.max_seconds is None else method.max_seconds)

    @property
    def seconds(self) -> float:
        """Time since the search began."""
        return time.perf_counter() - self._began

    def keep_for_the_end(self, seconds: float) -> None:
        """Takes time from the chains."""
        self._until -= seconds

    def is_up(self, share: float = 1.0) -> bool:
        """Whether chains have used so much of their time."""
        return self.seconds >= share * self._until


def _walk_all(ground: Ground, courses: Sequence[Course], num_at_once: int, clock: _Clock) -> None:
    """Advances all chains to their ends or to that of the time, as many at once as fit into memory."""
    chains = [(index, chain) for index, course in enumerate(courses) for chain in course.chains]
    waves = [chains[k : k + num_at_once] for k in range(0, len(chains), num_at_once)]
    for number, wave in enumerate(waves, start=1):
        share = number / len(waves)
        able = {index for index, chain in wave if courses[index].is_probed or chain.number == 0}
        if clock.is_up(share) or any(index not in able for index, _ in wave):
            continue  # out of time, now or when the first chain was to be probed
        groups = [[one] for one in wave] if ground.is_on_cpu else [wave]
        teams = map_on_threads(lambda group: _team(ground, group), groups)
        for team, group in zip(teams, groups, strict=True):
            # the first chain of a group of networks is never in a later wave than its others; on a thread
            # of its own as everything else, since a library's sums may depend on the number of threads
            own = [courses[index] for index, _ in group]
            map_on_threads(lambda one: _probe(*one), [(team, own, clock, share)])
        for team, group in zip(teams, groups, strict=True):
            for (index, chain), energy in zip(group, team.walk.energies(), strict=True):
                chain.begin(courses[index].schedule, courses[index].num_evaluations, energy, clock.seconds)
        live = [team for team in teams if not team.chains[0].is_done]
        while live and not clock.is_up(share):
            map_on_threads(lambda team: _advance(team, clock), live)
            live = [team for team in live if not team.chains[0].is_done]
        for team in teams:
            for chain in team.chains:
                chain.end(clock.seconds, team.walk.drift)


def _team(ground: Ground, group: Sequence[tuple[int, Chain]]) -> _Team:
    """A walk of some chains."""
    chains = [chain for _, chain in group]
    walk = ground.walk([index for index, _ in group], [chain.start for chain in chains])
    return _Team(walk, chains)


def _probe(team: _Team, courses: Sequence[Course], clock: _Clock, share: float) -> None:
    """Measures temperatures by moves of first chains that are never accepted."""
    if all(course.is_probed for course in courses):
        return
    probes = [course.probes for course in courses]
    rises: list[list[float]] = [[] for _ in courses]
    for k in range(len(probes[0])):
        if clock.is_up(share):
            break
        for own, steps in zip(rises, team.walk.run([moves.part(k, k + 1) for moves in probes]), strict=True):
            own.append(float(steps.proposed[0]))
    for course, own in zip(courses, rises, strict=True):
        if not course.is_probed:
            course.take_probes(own)


def _advance(team: _Team, clock: _Clock) -> None:
    """One round of one team."""
    round_ends = clock.seconds + ROUND_SECONDS
    while clock.seconds < round_ends and not team.chains[0].is_done:
        moves = [chain.propose(team.length) for chain in team.chains]
        before = team.walk.states()
        began = clock.seconds
        steps = team.walk.run(moves)
        ended = clock.seconds
        for chain, state, own, done in zip(team.chains, before, moves, steps, strict=True):
            chain.note(state, own, done, began, ended)
        per_move = max(ended - began, 1e-9) / len(moves[0])
        team.length = max(1, min(LONGEST_SEGMENT, 2 * team.length, int(SEGMENT_SECONDS / per_move)))
