"""The items of the study ``permutation_paths``: one network, two neurons of it, one way to merge them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import combinations, pairwise
from typing import ClassVar, Self

from lmc_sweep.config.pair_choices import PairChoice
from lmc_sweep.config.permutation_paths_study import AskedPaths, PermutationPathsStudy, mlp_sizes
from lmc_sweep.planning.identity import identify
from lmc_sweep.planning.item_classes import Item, NetworkItem, StudyItem
from lmc_sweep.planning.workload import EFFICIENCY
from workers.datasets.definitions import define
from workers.permutation_points.specs import PermutationPathSpec
from workers.specs import MLPSpec

_EVALUATIONS_PER_PARAMETER = {True: 8, False: 5}
"""Of one minimization of a short vector, with ReLU and with a smooth activation."""
_SPENT = 0.9
"""Share of ``max_evaluations`` that minimization of a long vector takes: it goes on slowly."""
_EVALUATION_SECONDS = {True: 1e-4, False: 1.5e-4}  # of a path in a stack, beside products: short, long
_ACTIVATION_SECONDS = 2e-9  # of one activation and its slope
_POINT_SECONDS = 3.0  # of a Hessian's eigenvalues and what else is measured at a permutation point
_MEMORY = 100  # vectors as long as the network that minimization keeps
_DENSE = 256  # parameters up to which a whole inverse Hessian is kept
_ROOTS = 2.5  # times that what curvature is formed from is there at once
_PART_BYTES = 64e6
"""Activations that are in memory at a time."""


class PermutationPathItem(StudyItem):
    """One path."""

    kind: ClassVar[str] = "permutation_path"
    spec_class: ClassVar[type[PermutationPathSpec]] = PermutationPathSpec
    spec: PermutationPathSpec

    @classmethod
    def of(cls, spec: PermutationPathSpec, networks: Mapping[str, NetworkItem]) -> Self:
        """The item of a spec, given the item of its network, where it has one."""
        if spec.teacher is None:
            network = networks[spec.networks[0]]
            return cls.named(spec, network.cell_id, (network.id,), network.spec)
        shared = {name: value for name, value in asdict(spec.teacher).items() if name != "seed"}
        return cls.named(spec, identify("cell", {"random_teacher": shared}))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Neurons of every layer."""
        if self.spec.teacher is not None:
            return self.spec.teacher.sizes
        assert self.cell is not None
        return mlp_sizes(self.cell)

    @property
    def _num_parameters(self) -> int:
        """Weights and biases."""
        return sum((below + 1) * above for below, above in pairwise(self.sizes))

    @property
    def activation(self) -> str:
        """Of the hidden layers."""
        return "relu" if self.spec.teacher is None else self.spec.teacher.activation

    @property
    def num_examples(self) -> int:
        """Examples of the loss."""
        if self.spec.teacher is not None:
            return self.spec.teacher.num_points
        assert self.cell is not None
        return self.spec.num_examples or define(self.cell.data).num_train

    @property
    def group(self) -> tuple[object, ...]:
        """All but the network, where others have its shape and examples, and the pair."""
        teacher = None if self.spec.teacher is None else replace(self.spec.teacher, seed=0)
        spec = replace(self.spec, teacher=teacher, networks=(), pair=None, rule=None, rank=None)
        cell = self.cell
        return (spec, None if cell is None else (cell.data, cell.label_noise, cell.architecture))

    @property
    def words(self) -> str:
        """Activation, neurons and layer, and the data set of trained networks."""
        where = "" if self.cell is None else f"{self.cell.dataset}, "
        return f"{where}{self.activation} {'-'.join(map(str, self.sizes))}, layer {self.spec.layer}"

    def seconds(self, flops_per_second: float) -> float:
        """Of all minimizations, and of measuring every point of the path."""
        sizes, examples, products = self.sizes, self.num_examples, self._num_parameters
        bits = 1.0 if self.spec.precision == "float32" else 2.0
        evaluation = 6 * products * examples * bits / (EFFICIENCY * flops_per_second)
        evaluation += examples * sum(sizes[1:]) * _ACTIVATION_SECONDS
        is_short = products <= _DENSE
        evaluation += _EVALUATION_SECONDS[is_short]
        one = _SPENT * self.spec.max_evaluations
        if is_short:
            one = min(one, _EVALUATIONS_PER_PARAMETER[self.activation == "relu"] * products)
        evaluations = (self.spec.num_steps + 1) * (one + 4)
        return evaluations * evaluation + (_POINT_SECONDS if self.spec.points is not None else 0.0)

    def stored_bytes(self) -> int:
        """Of one row: eight lists over the points of the path, three over its stages."""
        return 8 * 22 * self.spec.num_steps + 1500

    def working_bytes(self) -> int:
        """The path's networks, what minimization remembers, the targets."""
        size = 4 if self.spec.precision == "float32" else 8
        parameters = self._num_parameters
        remembered = parameters if parameters <= _DENSE else _MEMORY
        kept: float = parameters * (remembered + self.spec.num_steps + 20)
        if parameters > _DENSE:  # roots of the loss's curvature, at every neuron and example
            kept += _ROOTS * self.sizes[-1] * max(self.sizes[1:]) * self.num_examples
        return int(size * (kept + 3 * self.sizes[-1] * self.num_examples) + _PART_BYTES / 16)


def items(study: PermutationPathsStudy, cells: Sequence[Sequence[NetworkItem]]) -> Iterator[Item]:
    """Every pair of every network, for every point of the grids."""
    for asked in study.asked:
        teacher = asked.spec.teacher
        if teacher is not None:
            for seed in asked.seeds:
                spec = replace(asked.spec, teacher=replace(teacher, seed=seed))
                yield from _of_network(asked, spec, teacher.sizes, {})
            continue
        for cell in cells:
            if not isinstance(cell[0].spec.architecture, MLPSpec):
                continue
            for network in cell:
                spec = replace(asked.spec, networks=(network.id,))
                yield from _of_network(asked, spec, mlp_sizes(network.spec), {network.id: network})


def _of_network(
    asked: AskedPaths,
    spec: PermutationPathSpec,
    sizes: tuple[int, ...],
    networks: Mapping[str, NetworkItem],
) -> Iterator[PermutationPathItem]:
    """The paths of all pairs of one network."""
    chosen: Sequence[PairChoice]
    if asked.pairs == "all":
        chosen = [PairChoice(pair=pair) for pair in combinations(range(sizes[spec.layer]), 2)]
    else:
        chosen = asked.pairs
    for choice in chosen:
        one = replace(spec, pair=choice.pair, rule=choice.rule, rank=choice.rank)
        yield PermutationPathItem.of(one, networks)
