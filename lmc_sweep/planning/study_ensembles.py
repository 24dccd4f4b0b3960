"""The items of the study ``ensembles``: a pair of networks and a method."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from lmc_sweep.config.ensembles_study import EnsemblesStudy, obstacle
from lmc_sweep.planning.identity import identify
from lmc_sweep.planning.item_classes import NetworkItem, StudyItem
from lmc_sweep.planning.search_cost import alignment_seconds
from lmc_sweep.planning.workload import FLOAT_BYTES, rate, workload
from workers.alignment.methods import FunctionalDifference
from workers.datasets.definitions import define
from workers.ensembles.specs import ByFunctionalDifference, EnsembleSpec, SubspaceFunctionalDifference
from workers.specs import NetworkSpec

LINE_STEPS = 2.0
"""Seconds of a line's step over those of a network's: 1.3 to 1.9 measured on MNIST, widths 32 to 1024."""

LINE_COPIES = 14  # two ends with as much again for the optimizer, point, gradient, what is made of them
STEP_OVERHEAD_SECONDS = 5e-6
EVALUATED_EXAMPLES = 1000  # whose activations are in memory at a time


@dataclass(frozen=True)
class EnsembleItem(StudyItem):
    """One ensemble. It waits for both networks, also where a line starts from their initializations."""

    members: tuple[NetworkItem, ...] = ()
    kind: ClassVar[str] = "ensemble"
    spec_class: ClassVar[type[EnsembleSpec]] = EnsembleSpec

    @classmethod
    def of(cls, spec: EnsembleSpec, networks: Mapping[str, NetworkItem]) -> Self:
        """The item of a spec, given the items of its networks by id."""
        members = tuple(networks[key] for key in spec.networks)
        named = cls.named(spec, members[0].cell_id, spec.networks, members[0].spec)
        return replace(named, members=members)

    @classmethod
    def searches(cls, spec: EnsembleSpec) -> tuple[str, ...]:
        """Functional difference, where the second network is permuted."""
        return (FunctionalDifference().method,) if spec.method.permutes else ()

    @property
    def pair_id(self) -> str:
        """Of the two networks, the same as in the study ``barriers``."""
        return identify("pair", {"world": "real", "networks": self.spec.networks})

    @property
    def group(self) -> tuple[object, ...]:
        """Data set, architecture and method; where lines are learned, what a stack must share."""
        assert self.cell is not None
        training = self.cell.training if isinstance(self.cell, NetworkSpec) else None
        shared = (training.batch_size, training.precision) if training and self._learns else ()
        return (
            self.cell.data,
            self.cell.label_noise,
            self.cell.architecture,
            self.spec.method,
            self.spec.splits,
            *shared,
        )

    @property
    def words(self) -> str:
        """The method, and what the networks are."""
        assert self.cell is not None
        width = self.cell.architecture.width
        sized = f" of width {width}" if width is not None else ""
        return f"{self.spec.method.method} of two {self.cell.architecture.name}{sized} on {self.cell.dataset}"

    def seconds(self, flops_per_second: float) -> float:
        """Of the search, the training where a line is learned, and the evaluation."""
        cell, method = self.cell, self.spec.method
        assert cell is not None
        work, definition = workload(cell.architecture, cell.data), define(cell.data)
        operations = rate(work, flops_per_second)
        examples = sum(definition.num_examples(split) for split in self.spec.splits)
        seconds = examples * 2 * (2 * work.endpoint_products + 3 * work.products) / operations
        if isinstance(method, ByFunctionalDifference | SubspaceFunctionalDifference):
            matching = FunctionalDifference(assignment=method.assignment, num_examples=method.num_examples)
            seconds += alignment_seconds(matching, cell, 2, flops_per_second)
        if self._learns and isinstance(cell, NetworkSpec):
            steps = -(-definition.num_train // cell.training.batch_size) * cell.training.num_epochs
            step = STEP_OVERHEAD_SECONDS + 6 * cell.training.batch_size * work.all_products / operations
            seconds += LINE_STEPS * steps * step
        return seconds

    def stored_bytes(self) -> int:
        """Of one row, and the ends of a line."""
        assert self.cell is not None
        ends = 2 * FLOAT_BYTES * workload(self.cell.architecture, self.cell.data).num_parameters
        return 1500 + (ends if self._learns else 0)

    def working_bytes(self) -> int:
        """Weights, what an optimizer remembers, activations."""
        assert self.cell is not None
        work = workload(self.cell.architecture, self.cell.data)
        copies = LINE_COPIES if self._learns else 6
        return FLOAT_BYTES * (copies * work.num_parameters + 3 * EVALUATED_EXAMPLES * work.activations)

    @property
    def _learns(self) -> bool:
        """Whether a line is learned."""
        learns: bool = self.spec.method.learns_line
        return learns


def items(study: EnsemblesStudy, cells: Sequence[Sequence[NetworkItem]]) -> Iterator[EnsembleItem]:
    """Every pair of every cell by every method that serves the cell's networks."""
    for cell in cells:
        spec = cell[0].spec
        training = spec.training if isinstance(spec, NetworkSpec) else None
        methods = [
            method for method in study.methods if obstacle(method, spec.architecture, training) is None
        ]
        for k in range(study.num_pairs(len(cell))):
            first, second = cell[2 * k : 2 * k + 2]
            by_id = {first.id: first, second.id: second}
            for method in methods:
                asked = EnsembleSpec(networks=(first.id, second.id), method=method, splits=study.splits)
                yield EnsembleItem.of(asked, by_id)
