"""Where a batch runs: as its kind reserves, or on CPUs alone, whichever was measured to end it earlier.

A place is the name of a kind, or that with ``ON_CPUS`` behind it. Only kinds that reserve a GPU, under
``execution.placement: measured``, have both. Of each large group of batches the first few go to both
places, in the size in which they were planned; of small groups, what others of their kind took tells. From
then on a batch goes where it takes the least time; while there is no room there it goes to the other place
only if it ends there before the first place would come to it. Which place computed what is no part of any
identity: a device changes the last digits of a result at most.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping

from lmc_sweep.config.sweep import Execution, Kind

ON_CPUS = " on CPUs"
TRIALS = 2
"""Batches that are measured in each place; the first in a process may pay for what it sets up."""
WORTH_TRYING = 8.0
"""Batches that a group must have left to be tried by itself; of smaller ones, others of the kind tell."""


def kind_of(place: str) -> Kind:
    """The kind of the batches that run in a place."""
    return place.removesuffix(ON_CPUS)  # type: ignore[return-value]


def resources(execution: Execution, place: str) -> tuple[float, float]:
    """CPUs and GPUs that one task in a place reserves."""
    cpus, gpus = execution.resources(kind_of(place))
    return cpus, 0.0 if place.endswith(ON_CPUS) else gpus


def places(execution: Execution, kind: Kind) -> tuple[str, ...]:
    """Where batches of a kind may run."""
    return (kind, kind + ON_CPUS) if execution.is_placed(kind) else (kind,)


class Placement:
    """What was measured in each place, and what follows for the next batch."""

    def __init__(self, execution: Execution, needs_gpu: Callable[[int], bool] = lambda group: False) -> None:
        """``needs_gpu`` says of a group whether CPUs cannot compute what it asks."""
        self._execution, self._needs_gpu = execution, needs_gpu
        self._scale: dict[tuple[int, str], float] = {}
        self._of_kind: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        """Measured and estimated seconds of all batches of a place."""
        self._tried: Counter[str] = Counter()
        self._num_ended: defaultdict[tuple[int, str], int] = defaultdict(int)
        self._num_begun: defaultdict[tuple[int, str], int] = defaultdict(int)

    def places(self, kind: Kind, group: int) -> tuple[str, ...]:
        """Where the batches of a group may run."""
        found = places(self._execution, kind)
        return found[:1] if len(found) > 1 and self._needs_gpu(group) else found

    def choose(
        self,
        kind: Kind,
        group: int,
        seconds: float,
        left_seconds: Mapping[int, float],
        slots: Mapping[str, int],
        has_room: Callable[[str], bool],
    ) -> str | None:
        """The place of the next batch of a group; None where it should wait.

        Args:
            kind: Of the batch.
            group: Its number.
            seconds: Its estimate.
            left_seconds: Estimates of all that has not begun, by group.
            slots: Tasks that can run at a time, by place.
            has_room: Whether a place takes another task now.
        """
        options = [place for place in self.places(kind, group) if slots.get(place, 0)]
        if len(options) < 2:
            only = options[0] if options else kind
            return only if has_room(only) else None
        is_large = left_seconds.get(group, 0.0) >= WORTH_TRYING * seconds
        for place in options:
            wanted = self._num_begun[group, place] < TRIALS and (is_large or self._tried[place] < TRIALS)
            if wanted and has_room(place):
                return place
        scales = {place: self.scale(group, place) for place in options}
        measured = {place: scale for place, scale in scales.items() if scale is not None}
        if len(measured) < len(options):  # one place is being tried: more goes where it was asked for
            return options[0] if has_room(options[0]) else None
        best, other = sorted(options, key=lambda place: measured[place])
        if has_room(best):
            return best
        queue = sum(
            (self._scale.get((other_group, best)) or measured[best]) * left
            for other_group, left in left_seconds.items()
            if left > 0 and self._best(other_group, options) == best
        )
        ends = measured[best] * seconds + queue / max(slots[best], 1)
        return other if measured[other] * seconds <= ends and has_room(other) else None

    def begun(self, group: int, place: str) -> None:
        """Books a batch that was submitted."""
        self._num_begun[group, place] += 1
        self._tried[place] += 1

    def ended(self, group: int, place: str, estimated: float, measured: float) -> None:
        """Books a batch all of whose items were computed: the quickest tells what a place can do."""
        self._num_ended[group, place] += 1
        if estimated > 0:
            known = self._scale.get((group, place), float("inf"))
            self._scale[group, place] = min(known, measured / estimated)
            self._of_kind[place][0] += measured
            self._of_kind[place][1] += estimated

    def lost(self, group: int, place: str) -> None:
        """Books an attempt that ended without results: where nothing was measured, another is to tell."""
        if not self._num_ended[group, place]:
            self._num_begun[group, place] = max(0, self._num_begun[group, place] - 1)
            self._tried[place] = max(0, self._tried[place] - 1)

    def scale(self, group: int, place: str) -> float | None:
        """Measured over estimated seconds of a group in a place, else of its kind there; None if unknown."""
        known = self._scale.get((group, place))
        measured, estimated = self._of_kind[place]
        return known if known is not None else measured / estimated if estimated > 0 else None

    def _best(self, group: int, options: list[str]) -> str | None:
        """The quickest place of a group; None where that is not known."""
        found = [(self._scale[group, place], place) for place in options if (group, place) in self._scale]
        return min(found)[1] if len(found) == len(options) else None
