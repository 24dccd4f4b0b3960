"""Networks that are taken from one training at several of its epochs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from workers.specs import NetworkSpec
from workers.training.run_group import Stopped


@dataclass(frozen=True)
class Trajectory:
    """One training, and the places among the specs of the networks taken after so many of its epochs."""

    spec: NetworkSpec
    places: dict[int, tuple[int, ...]]

    @property
    def epochs(self) -> frozenset[int]:
        """Epochs after which networks are taken, without the initialization."""
        return frozenset(self.places) - {0}

    def networks(self, stops: Iterable[Stopped]) -> dict[int, Stopped]:
        """For each place the network as it was taken, or as it was at the end if that came first.

        What was shared is split evenly among the networks taken at once.
        """
        by_epoch = {stop.epochs_trained: stop for stop in stops}
        last = by_epoch[max(by_epoch)]
        taken = {
            place: by_epoch.get(epoch, last) for epoch, places in self.places.items() for place in places
        }
        sharing = [stop.epochs_trained for stop in taken.values()]
        return {
            place: replace(stop, index=place, seconds=stop.seconds / sharing.count(stop.epochs_trained))
            for place, stop in taken.items()
        }


def trajectories_of(specs: Sequence[NetworkSpec]) -> list[Trajectory]:
    """The trainings to be done: specs that differ in ``save_at`` alone are of one."""
    found: dict[NetworkSpec, dict[int, tuple[int, ...]]] = {}
    for place, spec in enumerate(specs):
        places = found.setdefault(replace(spec, training=replace(spec.training, save_at=None)), {})
        epoch = spec.training.num_epochs
        places[epoch] = (*places.get(epoch, ()), place)
    return [Trajectory(spec, places) for spec, places in found.items()]
