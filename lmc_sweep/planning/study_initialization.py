"""The items of the study ``initialization``: pairs of random networks of one width, with one matching."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import ClassVar, Self

from lmc_sweep.config.initialization_study import InitializationStudy
from lmc_sweep.planning.identity import identify
from lmc_sweep.planning.item_classes import Item, NetworkItem, StudyItem
from workers.initialization.specs import InitializationSpec

_BYTES = 8  # of a float64
_UNIT_SECONDS = 2.5e-9
"""Of one hidden activation between its two products."""
_DRAW_SECONDS = 8e-9
"""Of one random number."""
_DEVIATION_SECONDS = 2.5e-9
_ASSIGNMENT_SECONDS = 5e-11
"""Of an assignment, times the cube of the units; measured for 1,024 to 4,096."""
_DISTANCE_SECONDS = 5e-9
_GRID_SECONDS = 2e-6
"""Of one unit in a grid, over all grids that are tried."""


class InitializationItem(StudyItem):
    """Two random networks, and how far from linear they are once their hidden units are matched."""

    kind: ClassVar[str] = "initialization"
    spec_class: ClassVar[type[InitializationSpec]] = InitializationSpec
    spec: InitializationSpec

    @classmethod
    def of(cls, spec: InitializationSpec, networks: Mapping[str, NetworkItem]) -> Self:
        """The item of a spec; it reads no networks."""
        shared = {name: value for name, value in asdict(spec).items() if name != "seed"}
        return cls.named(spec, identify("cell", {"initialization": shared}))

    @property
    def group(self) -> tuple[object, ...]:
        """All but the seed: pairs of one shape and matching are one stack."""
        return (replace(self.spec, seed=0),)

    @property
    def words(self) -> str:
        """Sizes and matching."""
        inputs = "1 input" if self.spec.input_dim == 1 else f"{self.spec.input_dim} inputs"
        units = "1 unit" if self.spec.width == 1 else f"{self.spec.width} units"
        return f"{inputs}, {units}, {self.spec.matching}"

    def seconds(self, flops_per_second: float) -> float:
        """Of draws, matching, and outputs at every position; products are in double precision."""
        spec, doubles_per_second = self.spec, flops_per_second / 2
        draws = 2 * spec.width * (spec.input_dim + spec.num_draws) * _DRAW_SECONDS
        hidden = (len(spec.alphas) + 2) * spec.num_inputs * spec.width
        products = 2 * hidden * (spec.input_dim + spec.num_draws) / doubles_per_second
        deviations = len(spec.alphas) * spec.num_inputs * spec.num_draws * _DEVIATION_SECONDS
        return draws + products + hidden * _UNIT_SECONDS + deviations + self._matching_seconds()

    def _matching_seconds(self) -> float:
        spec = self.spec
        if spec.matching == "hungarian" and spec.input_dim > 1:  # of one, they are sorted
            return _ASSIGNMENT_SECONDS * spec.width**3 + _DISTANCE_SECONDS * spec.input_dim * spec.width**2
        return _GRID_SECONDS * spec.width if spec.matching == "grid" else 0.0

    def stored_bytes(self) -> int:
        """Of one row."""
        return 2 * _BYTES * len(self.spec.alphas) + 600

    def working_bytes(self) -> int:
        """Weights as drawn and as matched, deviations, and the distances of an assignment."""
        spec = self.spec
        weights = 6 * spec.width * (spec.input_dim + spec.num_draws)
        deviations = 4 * spec.num_inputs * spec.num_draws
        distances = 3 * spec.width**2 if spec.matching == "hungarian" and spec.input_dim > 1 else 0
        return _BYTES * (weights + deviations + distances)


def items(study: InitializationStudy, _cells: Sequence[Sequence[NetworkItem]]) -> Iterator[Item]:
    """A pair of networks for every point of the grid and every seed."""
    grid = itertools.product(study.activation, study.input_dims, study.widths, study.matchings)
    for activation, input_dim, width, matching in grid:
        for cells in study.grid_cells if matching == "grid" else (None,):
            for seed in study.seeds:
                yield InitializationItem.of(
                    InitializationSpec(
                        input_dim=input_dim,
                        width=width,
                        matching=matching,
                        seed=seed,
                        grid_cells=cells,
                        alphas=study.alphas,
                        num_inputs=study.num_inputs,
                        num_draws=study.num_draws,
                        activation=activation,
                        delta=study.delta,
                    ),
                    {},
                )
