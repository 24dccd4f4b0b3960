"""The items of the study ``canonical``: the networks of one cell under one treatment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from lmc_sweep.config.canonical_study import CanonicalStudy
from lmc_sweep.planning.item_classes import Item, NetworkItem, StudyItem
from lmc_sweep.planning.search_cost import alignment_seconds
from lmc_sweep.planning.workload import EFFICIENCY, FLOAT_BYTES, rate, workload
from workers.alignment.methods import NodeSort, WeightMatching
from workers.canonical_forms.specs import CanonicalSpec, Matched, Merged, Raw, Sorted, Treatment
from workers.datasets.definitions import define

READ_SECONDS = 1.5e-9  # per byte of a network that is read and copied
SORT_SECONDS = 4e-6  # per hidden unit
TYPICAL_SWEEPS = 8  # of a merge before it stops
KEPT_BYTES = 1e9  # of all networks of a cell, if they are kept in memory
BLOCK_BYTES = 5e8  # of those whose distances are taken at a time
BYTES_OF_NETWORK = 150  # of a row, for each network that it names
BYTES_OF_ROW = 8000  # of everything else, histograms included
_SEARCHES: dict[type[Treatment], tuple[str, ...]] = {
    Raw: (),
    Sorted: ("node_sort",),
    Matched: ("weight_matching",),
    Merged: ("weight_matching",),
}
"""Methods of alignment by which a treatment finds its orders."""


@dataclass(frozen=True)
class CanonicalFormItem(StudyItem):
    """One cell under one treatment; it requires the networks."""

    kind: ClassVar[str] = "canonical_form"
    spec_class: ClassVar[type[CanonicalSpec]] = CanonicalSpec

    @classmethod
    def of(cls, spec: CanonicalSpec, networks: Mapping[str, NetworkItem]) -> Self:
        """The item of a spec."""
        first = networks[spec.networks[0]]
        return cls.named(spec, first.cell_id, spec.networks, first.spec)

    @classmethod
    def searches(cls, spec: CanonicalSpec) -> tuple[str, ...]:
        """What sorts, matches or merges the networks."""
        return _SEARCHES[type(spec.treatment)]

    @property
    def group(self) -> tuple[object, ...]:
        """What costs alike: the architecture, the examples, how many networks, and what is asked."""
        assert self.cell is not None
        asked = replace(self.spec, networks=())
        return (self.cell.data, self.cell.label_noise, self.cell.architecture, len(self.networks), asked)

    @property
    def words(self) -> str:
        """How many networks, and how their units are ordered."""
        treatment = self.spec.treatment
        key = f" by {treatment.key} key" if isinstance(treatment, Sorted) else ""
        return f"{len(self.networks)} networks {treatment.treatment}{key}"

    def seconds(self, flops_per_second: float) -> float:
        """Of reading, ordering, distances of all pairs before and after, and averages."""
        num, size = len(self.networks), self._network_bytes()
        passes = 1 if isinstance(self.spec.treatment, Raw) else 2
        parameters = size / FLOAT_BYTES
        distances = passes * num**2 * parameters / (EFFICIENCY * flops_per_second / 2)
        seconds = (
            READ_SECONDS * size * num * (2 + 2 * passes) + distances + self._order(num, flops_per_second)
        )
        for averaged in self.spec.averages:
            groups = min(self.spec.groups, num // averaged)
            seconds += groups * READ_SECONDS * size * averaged * 2
            seconds += groups * len(self.spec.splits) * self._evaluation(flops_per_second)
            if isinstance(self.spec.treatment, Matched):
                groups -= 1  # of the first group, all networks were matched to its first
            if isinstance(self.spec.treatment, Matched | Merged):
                seconds += groups * self._order(averaged, flops_per_second)
        return seconds

    def stored_bytes(self) -> int:
        """Of its row, and those of its averages."""
        averages: int = len(self.spec.averages) * self.spec.groups * len(self.spec.splits)
        return BYTES_OF_NETWORK * len(self.networks) + BYTES_OF_ROW + 300 * averages

    def working_bytes(self) -> int:
        """Of the networks that are kept, and of two blocks of them."""
        of_all = len(self.networks) * self._network_bytes()
        return round((of_all if of_all <= KEPT_BYTES else 0) + min(10 * of_all, BLOCK_BYTES))

    def _network_bytes(self) -> int:
        assert self.cell is not None
        work = workload(self.cell.architecture, self.cell.data)
        return FLOAT_BYTES * int(work.num_parameters)

    def _order(self, num: int, flops_per_second: float) -> float:
        """Of finding the orders of so many networks."""
        assert self.cell is not None
        treatment = self.spec.treatment
        if isinstance(treatment, Sorted):
            units = workload(self.cell.architecture, self.cell.data).hidden_units
            return num * (
                SORT_SECONDS * units + alignment_seconds(NodeSort(), self.cell, 1, flops_per_second)
            )
        if isinstance(treatment, Matched):
            method = WeightMatching(restarts=treatment.restarts)
            return (num - 1) * alignment_seconds(method, self.cell, 2, flops_per_second)
        if isinstance(treatment, Merged):
            sweeps = min(TYPICAL_SWEEPS, treatment.max_sweeps)
            once = alignment_seconds(WeightMatching(restarts=1), self.cell, 2, flops_per_second)
            return num * (1 + sweeps) * (once + 10 * READ_SECONDS * self._network_bytes())
        return 0.0

    def _evaluation(self, flops_per_second: float) -> float:
        """Of one network on one split, in the mean."""
        assert self.cell is not None
        work, definition = workload(self.cell.architecture, self.cell.data), define(self.cell.data)
        examples = sum(definition.num_examples(split) for split in self.spec.splits) / len(self.spec.splits)
        return 2 * work.all_products * examples / rate(work, flops_per_second)


def items(study: CanonicalStudy, cells: Sequence[Sequence[NetworkItem]]) -> Iterator[Item]:
    """Every cell under every treatment."""
    for cell in cells:
        members = cell[: study.networks]
        ids = tuple(member.id for member in members)
        for treatment in study.treatments:
            spec = CanonicalSpec(
                networks=ids,
                treatment=treatment,
                epsilons=study.epsilons,
                averages=study.averages,
                groups=study.groups,
                splits=study.splits,
            )
            yield CanonicalFormItem.named(spec, members[0].cell_id, ids, members[0].spec)
