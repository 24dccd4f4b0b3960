"""What a sweep file says, once it has been read and checked: frozen values, free of torch and pydantic.

``load_sweep`` makes them. Every grid is unrolled: one ``Cell`` per point of an entry of ``networks``,
one method per point of an entry of ``alignments``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt

from lmc_sweep.kinds import CPU_KINDS
from workers.alignment.methods import Method
from workers.specs import ArchitectureSpec, Correction, DataSpec, Moving, Split, TrainingSpec, World

Kind = Literal[
    "network",
    "alignment",
    "barrier",
    "barrier_matrix",
    "permutation_path",
    "canonical_form",
    "ensemble",
    "initialization",
]
"""The kinds of item whose resources can be set one by one."""


@dataclass(frozen=True)
class CheckpointFile:
    """A file of weights that were trained elsewhere, and the SHA-256 of the weights."""

    path: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Networks that differ in their seed alone, and where the sweep file asks for them (``networks[0]``).

    Of networks that were trained elsewhere, ``training`` is None, ``checkpoints`` are the files, one per
    seed, and ``pattern`` is what the sweep file calls them.
    """

    data: DataSpec
    label_noise: float
    architecture: ArchitectureSpec
    training: TrainingSpec | None
    seeds: tuple[int, ...]
    origin: str
    checkpoints: tuple[CheckpointFile, ...] = ()
    pattern: str | None = None

    @property
    def dataset(self) -> str:
        """Name of the data set."""
        return self.data.dataset


@dataclass(frozen=True, kw_only=True)
class Interpolation:
    """Where and on what the curves are measured; ``alphas`` increase from 0 to 1 and hold 0.5.

    ``layers``: which of them move from one network to the other: ``all``; ``each`` by itself, the others
    staying the first network's; or those from the input up to each (``cumulative``).
    """

    alphas: tuple[float, ...]
    splits: tuple[Split, ...] = ("train", "test")
    corrections: tuple[Correction, ...] = ("none",)
    layers: tuple[Moving, ...] = ("all",)


@dataclass(frozen=True, kw_only=True)
class BarriersStudy:
    """Which networks are paired, aligned and interpolated.

    ``pairs`` counts the groups of ``networks_per_alignment`` networks in each cell and world; None
    stands for as many as the seeds of each cell allow. ``planted_noise`` are the levels of world
    ``planted``, in standard deviations of each parameter tensor.
    """

    worlds: tuple[World, ...] = ("real", "model")
    pairs: Annotated[int, Ge(1)] | None = None
    networks_per_alignment: Annotated[int, Ge(2)] = 2
    planted_noise: tuple[Annotated[float, Ge(0)], ...] = (0.1,)
    alignments: tuple[Method, ...]
    interpolation: Interpolation

    def num_pairs(self, num_seeds: int) -> int:
        """Pairs per world of a cell with that many seeds.

        Group k holds the listed seeds n*k to n*k + n - 1; in worlds ``model`` and ``planted`` it is the
        network of seed n*k and copies of it, so that a last, incomplete group serves where ``real`` is not
        asked.
        """
        return self.most_pairs(num_seeds) if self.pairs is None else self.pairs

    def most_pairs(self, num_seeds: int) -> int:
        """As many pairs per world as that many seeds allow."""
        whole, rest = divmod(num_seeds, self.networks_per_alignment)
        return whole if "real" in self.worlds else whole + bool(rest)


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What one task of a kind reserves; None takes the figure of the whole sweep."""

    num_cpus: Annotated[float, Gt(0)] | None = None
    num_gpus: Annotated[float, Ge(0)] | None = None
    labels: dict[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class KindResources:
    """The resources of each kind of task."""

    network: Resources = Resources()
    alignment: Resources = Resources()
    barrier: Resources = Resources()
    barrier_matrix: Resources = Resources()
    permutation_path: Resources = Resources()
    canonical_form: Resources = Resources()
    ensemble: Resources = Resources()
    initialization: Resources = Resources()


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How the work is run. It never enters an identity.

    ``max_stack_bytes`` bounds the memory of one stack of networks; ``retries`` is how often a batch is
    tried again after its worker was lost; ``min_deadline_seconds`` is the shortest time after which an
    attempt counts as hung, however short its estimate; ``kinds`` overrides the resources kind by kind.
    ``labels`` are those that a machine must have; ``num_pending`` is how many batches may wait for machines
    that are not there yet, None standing for one behind each that runs; ``placement`` is ``measured`` where
    what may run on a GPU goes to CPUs alone wherever that ends earlier.
    """

    num_cpus: Annotated[float, Gt(0)] = 1.0
    num_gpus: Annotated[float, Ge(0)] = 0.0
    max_stack_bytes: Annotated[float, Gt(0)] = 2e9
    retries: Annotated[int, Ge(0)] = 3
    min_deadline_seconds: Annotated[float, Gt(0)] = 300.0
    labels: dict[str, str] = field(default_factory=dict)
    num_pending: Annotated[int, Ge(0)] | None = None
    placement: Literal["reserved", "measured"] = "reserved"
    kinds: KindResources = KindResources()

    def resources(self, kind: Kind) -> tuple[float, float]:
        """CPUs and GPUs that one task of a kind reserves."""
        own: Resources = getattr(self.kinds, kind)
        num_gpus = 0.0 if kind in CPU_KINDS else self.num_gpus
        return (
            self.num_cpus if own.num_cpus is None else own.num_cpus,
            num_gpus if own.num_gpus is None else own.num_gpus,
        )

    def labels_of(self, kind: Kind) -> dict[str, str]:
        """Labels that a machine must have for the tasks of a kind."""
        own: Resources = getattr(self.kinds, kind)
        return self.labels if own.labels is None else own.labels

    def is_placed(self, kind: Kind) -> bool:
        """Whether tasks of a kind go to GPUs or to CPUs alone by what was measured."""
        own: Resources = getattr(self.kinds, kind)
        is_either = own.num_gpus is None and kind not in CPU_KINDS
        return self.placement == "measured" and is_either and self.num_gpus > 0


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A whole sweep file. ``text`` is its YAML after overrides, as it is recorded in the store.

    ``studies`` are the sections of the studies other than ``barriers``, by key.
    """

    name: str
    store: str
    networks: tuple[Cell, ...]
    barriers: BarriersStudy | None
    execution: Execution
    text: str
    studies: dict[str, Any] = field(default_factory=dict)
