"""The tensors of a store as methods: weights of networks, and permutations. Only they import torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lmc_sweep.store.files import Files

if TYPE_CHECKING:
    from torch import Tensor

    from workers.params import Params, ParamStack


class Loading(ABC):
    """What loads tensors, over ``fetch``, which knows the records that name them."""

    files: Files

    @abstractmethod
    def fetch(self, table: str, ids: Sequence[str], columns: Sequence[str]) -> list[dict[str, Any]]:
        """The named columns of the rows with these ids, in their order; KeyError names a missing id."""

    def load_networks(self, network_ids: Sequence[str]) -> ParamStack:
        """The networks' weights (and statistics) as one stack on the CPU, in the order given."""
        return self.load_rows(self.origins(network_ids))

    def origins(self, network_ids: Sequence[str]) -> list[tuple[str, int]]:
        """Checkpoint and row of each network, in the order given; KeyError names a missing id."""
        return [
            (row["checkpoint"], row["row"])
            for row in self.fetch("networks", network_ids, ["checkpoint", "row"])
        ]

    def load_rows(self, origins: Sequence[tuple[str, int]]) -> ParamStack:
        """The weights that lie at these checkpoints and rows, as one stack on the CPU."""
        from lmc_sweep.store.weights import load_rows

        return load_rows(self.files, origins)

    def load_network(self, network_id: str) -> Params:
        """One network's state dict on the CPU, tied tensors under all their names."""
        from lmc_sweep.store.weights import aliases, load_rows

        origins = self.origins([network_id])
        state = {name: tensor[0] for name, tensor in load_rows(self.files, origins).items()}
        further = aliases(self.files, origins[0][0])
        return {**state, **{name: state[first] for name, first in further.items()}}

    def load_permutations(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """``member<k>.<group>`` to int64 (len(rows), units), of rows with ``permutations`` and ``row``."""
        from lmc_sweep.store.weights import load_permutations

        return load_permutations(self.files, rows)
