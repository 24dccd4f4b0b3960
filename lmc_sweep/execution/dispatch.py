"""How the next batch gets to its place: which, where, in what size, and with what it is submitted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from lmc_sweep.execution.attempts import Attempts
from lmc_sweep.execution.clock import Clock
from lmc_sweep.execution.executor import Attempt, Executor
from lmc_sweep.execution.in_flight import InFlight, deadline_seconds
from lmc_sweep.execution.pace import Pace
from lmc_sweep.execution.placement import Placement, places, resources
from lmc_sweep.execution.schedule import Schedule
from lmc_sweep.execution.sizing import host_bytes, resized
from lmc_sweep.execution.tally import words
from lmc_sweep.execution.task import Receipt, Task
from lmc_sweep.execution.work import Work
from lmc_sweep.planning.items import KINDS
from lmc_sweep.planning.plan import Plan


class Dispatch:
    """Takes work from the schedule and submits it to the executor."""

    def __init__(
        self,
        plan: Plan,
        executor: Executor,
        schedule: Schedule,
        attempts: Attempts,
        pace: Pace,
        clock: Clock,
        template: Task,
    ) -> None:
        """``template`` is a task with all that the tasks of a run share."""
        self._plan, self._executor, self._clock = plan, executor, clock
        self._schedule, self._attempts, self._pace = schedule, attempts, pace
        self._template = template
        self._execution = plan.sweep.execution
        self._placement = Placement(self._execution, schedule.needs_gpu)
        self._bytes: dict[tuple[int, int, int, bool], float] = {}
        self._places = {kind: places(self._execution, kind) for kind in KINDS}  # type: ignore[arg-type]
        self._slots = self._count_slots()

    def look(self) -> None:
        """Counts the slots anew; what waited for machines gets those that have come."""
        self._slots = self._count_slots()
        self._attempts.arrived(self._slots, self._clock.now())

    def slots_of_kinds(self) -> dict[str, int]:
        """Tasks of each kind that can run at a time, in all its places."""
        return {kind: sum(self._slots[place] for place in found) for kind, found in self._places.items()}

    def submit(self, only_needed: Callable[[Work], Work | None]) -> bool:
        """Submits the next work for which there is room; False where there is none.

        Args:
            only_needed: What of a work is left to do; None where nothing is.
        """
        work, place = self._take()
        if work is None:
            return False
        wanted = only_needed(self._sized(work, place))
        if wanted is not None:
            self._start(wanted, place)
        return True

    def ended(self, entry: InFlight, receipt: Receipt | None) -> None:
        """Books what an attempt tells of the place where it ran; nothing, if it was lost."""
        work = entry.work
        if receipt is not None and not receipt.failures and not receipt.num_held:
            self._placement.ended(work.group, entry.place, work.batch.seconds, receipt.seconds)
        else:
            self._placement.lost(work.group, entry.place)

    def _take(self) -> tuple[Work | None, str]:
        """The next work and the place where it is to run."""
        if all(len(found) == 1 for found in self._places.values()):
            work = self._schedule.take(self._has_room)
            return work, work.batch.kind if work else ""
        chosen = ""

        def suits(work: Work) -> bool:
            nonlocal chosen
            batch = work.batch
            chosen = (
                self._placement.choose(
                    batch.kind,  # type: ignore[arg-type]
                    work.group,
                    batch.seconds,
                    self._schedule.seconds,
                    self._slots,
                    self._has_room,
                )
                or ""
            )
            return bool(chosen)

        work = self._schedule.take(lambda kind: any(map(self._has_room, self._places[kind])), suits)
        return work, chosen

    def _has_room(self, place: str) -> bool:
        return self._executor.has_room(place, self._attempts.room)

    def _count_slots(self) -> dict[str, int]:
        """Tasks that can run at a time, by place."""
        return {place: self._executor.num_slots(place) for found in self._places.values() for place in found}

    def _scale(self, work: Work, place: str) -> float | None:
        """Measured over estimated seconds of work in a place; None where nothing like it was measured
        there."""
        if len(self._places[work.batch.kind]) == 1:
            return self._pace.scale(work.group)
        return self._placement.scale(work.group, place)

    def _sized(self, work: Work, place: str) -> Work:
        """The work in a size that suits what was measured until now."""
        scale = self._scale(work, place)
        if scale is None:
            return work
        return resized(
            work,
            self._schedule,
            scale,
            self._slots[place],
            self._execution.max_stack_bytes,
            self._plan.rates.seconds,
            self._num_threads(work.batch.kind),
        )

    def _start(self, work: Work, place: str) -> None:
        """Submits one attempt."""
        execution, kind = self._execution, work.batch.kind
        deadline = deadline_seconds(work, self._scale(work, place) or 1.0, execution.min_deadline_seconds)
        pool = "GPUs" if resources(execution, place)[1] else "CPUs"
        entry = self._attempts.begin(work, self._clock.now(), deadline, self._slots[place], place, pool)
        self._placement.begun(work.group, place)
        task = replace(
            self._template,
            kind=kind,
            items=work.batch.items,
            num_threads=self._num_threads(kind),
            max_stack_bytes=execution.max_stack_bytes / work.share,
            key=entry.key,
        )
        attempt = Attempt(
            number=work.number,
            deadline_seconds=deadline,
            share=float(work.share),
            place=place,
            memory_bytes=self._host_bytes(work, pool == "GPUs"),
            name=f"{kind} {words(work.batch.items[0])}",
        )
        self._executor.submit(entry.key, task, attempt)

    def _host_bytes(self, work: Work, on_gpu: bool) -> float:
        """Memory of its machine that work is expected to take; as many items of a group take as much."""
        key = (work.group, len(work.batch.items), work.share, on_gpu)
        if key not in self._bytes:
            limit = self._execution.max_stack_bytes / work.share
            self._bytes[key] = host_bytes(work.batch, limit, on_gpu)
        return self._bytes[key]

    def _num_threads(self, kind: str) -> int:
        num_cpus, _ = self._execution.resources(kind)  # type: ignore[arg-type]
        return max(1, int(num_cpus))
