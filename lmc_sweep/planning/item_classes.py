"""What a sweep asks for, item by item: networks, alignments, barriers, and the questions of other studies."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from lmc_sweep.planning.identity import identify, searched
from workers.alignment.methods import Method
from workers.specs import CheckpointSpec, Correction, NetworkKind, NetworkSpec, Split, World


@dataclass(frozen=True)
class NetworkItem:
    """One network to train, or to bring in from the file ``source``."""

    id: str
    cell_id: str
    spec: NetworkSpec | CheckpointSpec
    source: str | None = None
    kind: ClassVar[str] = "network"

    @property
    def requires(self) -> tuple[str, ...]:
        """Ids of the items that must exist before."""
        return ()


@dataclass(frozen=True)
class AlignmentItem:
    """A group of networks to align by one method. ``cell`` is what its members are."""

    id: str
    cell_id: str
    pair_id: str
    pair_index: int
    world: World
    networks: tuple[str, ...]
    seeds: tuple[int, ...]
    method: Method
    cell: NetworkKind
    planted_noise: float | None = None
    """Of world ``planted``, in standard deviations of each parameter tensor."""
    kind: ClassVar[str] = "alignment"

    @property
    def requires(self) -> tuple[str, ...]:
        """Ids of the networks that it aligns."""
        return tuple(dict.fromkeys(self.networks))


@dataclass(frozen=True)
class BarrierItem:
    """A curve to measure: two members of an alignment, one split, one correction, the layers that move.

    ``layers`` is None where all move, else ``each:NAME`` or ``cumulative:NAME``.
    """

    id: str
    alignment: AlignmentItem
    member_a: int
    member_b: int
    split: Split
    correction: Correction
    alphas: tuple[float, ...]
    layers: str | None = None
    kind: ClassVar[str] = "barrier"

    @property
    def cell_id(self) -> str:
        """The cell of the alignment."""
        return self.alignment.cell_id

    @property
    def requires(self) -> tuple[str, ...]:
        """Ids of the alignment that it measures, and of its networks, whose weights it reads."""
        return (self.alignment.id, *self.alignment.requires)


@dataclass(frozen=True)
class StudyItem(ABC):
    """One question of a study other than ``barriers``; a subclass for each kind says what it costs.

    ``spec`` is a frozen dataclass, of the class ``spec_class``: all that decides the answer, the ids of the
    networks that are looked at included (``networks``, where there are any). ``cell`` is what those are.
    """

    id: str
    cell_id: str
    spec: Any
    requires: tuple[str, ...] = ()
    cell: NetworkKind | None = None
    kind: ClassVar[str]
    spec_class: ClassVar[type[Any]]

    @classmethod
    @abstractmethod
    def of(cls, spec: Any, networks: Mapping[str, NetworkItem]) -> Self:
        """The item of a spec.

        Args:
            spec: Of the class ``spec_class``.
            networks: The items of its networks, by id.
        """

    @classmethod
    def named(
        cls, spec: Any, cell_id: str, requires: tuple[str, ...] = (), cell: NetworkKind | None = None
    ) -> Self:
        """The item of a spec, named by its hash and the versions of the methods that it searches by."""
        value = searched(spec, *cls.searches(spec))
        return cls(identify(cls.kind, value), cell_id, spec, requires, cell)

    @classmethod
    def searches(cls, spec: Any) -> tuple[str, ...]:
        """Names of the methods of alignment by which an item of this spec searches inside."""
        return ()

    @property
    def networks(self) -> tuple[str, ...]:
        """Ids of the networks whose weights it reads, in order."""
        return tuple(getattr(self.spec, "networks", ()))

    @property
    @abstractmethod
    def group(self) -> tuple[object, ...]:
        """What the items of one batch have in common."""

    @property
    @abstractmethod
    def words(self) -> str:
        """What it is, as progress shows it: "tanh 2-5-1, layer 1"."""

    @abstractmethod
    def seconds(self, flops_per_second: float) -> float:
        """Modeled seconds on one thread of a machine of that matrix-product rate."""

    @abstractmethod
    def stored_bytes(self) -> int:
        """Bytes that it adds to the store."""

    @abstractmethod
    def working_bytes(self) -> int:
        """Memory that it takes while its batch runs, data sets left out."""


Item = NetworkItem | AlignmentItem | BarrierItem | StudyItem


def trajectory(item: Item) -> object:
    """What items have in common that are computed in one go: networks saved along one run of training."""
    if isinstance(item, NetworkItem) and isinstance(item.spec, NetworkSpec):
        return replace(item.spec, training=replace(item.spec.training, save_at=None))
    return item.id
