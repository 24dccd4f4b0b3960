"""The alignment methods as frozen values, free of torch: what to search, not how.

``METHODS`` is the one place where a name becomes a method. ``joins_all`` says that a method aligns any
number of networks in one search; the others align every network to the first, pair by pair.
``needs_examples`` says that a method, with its options, looks at training examples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt

from workers.specs import neutral


@dataclass(frozen=True, kw_only=True)
class Budgeted:
    """What every search can be bounded by; the best that was found until then is the result.

    ``max_evaluations`` counts what the method's ``num_evaluations`` counts. A search that ``max_seconds``
    stopped may end elsewhere when it is repeated; all others are repeatable.
    """

    max_seconds: Annotated[float, Gt(0)] | None = neutral(None)
    max_evaluations: Annotated[int, Ge(1)] | None = neutral(None)


@dataclass(frozen=True, kw_only=True)
class Identity:
    """No permutation: the control that every other method is compared with."""

    method: Literal["identity"] = "identity"
    joins_all: ClassVar[bool] = True
    needs_examples: ClassVar[bool] = False


@dataclass(frozen=True, kw_only=True)
class Random:
    """An independent uniform permutation of every group of every member but the first."""

    method: Literal["random"] = "random"
    joins_all: ClassVar[bool] = True
    needs_examples: ClassVar[bool] = False


@dataclass(frozen=True, kw_only=True)
class Oracle:
    """The permutation that was planted, undone: the answer that a search in worlds of known answer seeks.

    It is for worlds ``model`` and ``planted``, where the driver knows the answer.
    """

    method: Literal["oracle"] = "oracle"
    joins_all: ClassVar[bool] = True
    needs_examples: ClassVar[bool] = False


@dataclass(frozen=True, kw_only=True)
class WeightMatching(Budgeted):
    """Coordinate descent over groups on the inner product of the weights, one assignment at a time.

    ``restarts`` counts the descents: the first from a permutation grown from the inputs and outputs
    inward, the second from the identity, further ones from random permutations. The first recovered
    planted permutations of MLPs of depth 6 in 100 of 100 trials, one from the identity in 70 at width 3;
    between MLPs of width 512 trained on digits it ended higher than the best of ten from there. No result
    is below the identity.
    ``order`` is that in which a sweep visits the groups: ``random``, or as they lie from input to output
    (``forward``) or back.

    Source: Ainsworth, Hayase, Srinivasa 2022 (Git Re-Basin), algorithm 1.
    """

    method: Literal["weight_matching"] = "weight_matching"
    restarts: Annotated[int, Ge(1)] = 1
    max_sweeps: Annotated[int, Ge(1)] = 100
    tolerance: Annotated[float, Ge(0)] = 1e-12
    order: Literal["random", "forward", "backward"] = neutral("random")
    joins_all: ClassVar[bool] = False
    needs_examples: ClassVar[bool] = False


@dataclass(frozen=True, kw_only=True)
class ActivationMatching(Budgeted):
    """One assignment per group, on how the units' activations go together over examples.

    ``similarity``: ``correlation`` (each unit centered and scaled), or ``inner_product``, as printed in
    the source. ``num_examples`` is the size of a fixed seeded subset of the training examples; None: all.

    Sources: Li et al. 2016 (Convergent learning); Ainsworth, Hayase, Srinivasa 2022, section 3.1.
    """

    method: Literal["activation_matching"] = "activation_matching"
    similarity: Literal["correlation", "inner_product"] = "correlation"
    num_examples: Annotated[int, Ge(2)] | None = 2048
    joins_all: ClassVar[bool] = False
    needs_examples: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class FunctionalDifference(Budgeted):
    """Layer by layer from the input, units whose incoming weights differ least where inputs vary.

    ``assignment``: ``greedy``, the nearest two first, as in the paper; ``hungarian``, the least sum.
    ``num_examples`` is the size of a fixed seeded subset of the training examples; None: all.

    Sources: He et al. 2018 (Multi-task zipping); Entezari et al. 2021, appendix B, equation 2.
    """

    method: Literal["functional_difference"] = "functional_difference"
    assignment: Literal["greedy", "hungarian"] = "greedy"
    num_examples: Annotated[int, Ge(2)] | None = 2048
    joins_all: ClassVar[bool] = False
    needs_examples: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class StraightThrough(Budgeted):
    """Gradient descent on the midpoint's loss over weights that are matched anew at every step.

    ``steps`` are minibatches of ``batch_size`` examples, by Adam with ``learning_rate``.

    Source: Ainsworth, Hayase, Srinivasa 2022 (Git Re-Basin), algorithm 2.
    """

    method: Literal["straight_through"] = "straight_through"
    steps: Annotated[int, Ge(1)] = 300
    learning_rate: Annotated[float, Gt(0)] = 1e-3
    batch_size: Annotated[int, Ge(1)] = 500
    num_examples: Annotated[int, Ge(2)] | None = 10_000
    joins_all: ClassVar[bool] = False
    needs_examples: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class Sinkhorn(Budgeted):
    """Soft permutations by Sinkhorn's iteration, learned by gradients while they harden.

    ``objective``: ``weights`` (the distance of the weights) or ``midpoint_loss`` (on minibatches of
    ``batch_size`` training examples). ``entropy_start`` falls to ``entropy_end`` over ``steps``.

    Sources: Mena et al. 2018 (Gumbel-Sinkhorn); Pena et al. 2023 (Re-basin via implicit Sinkhorn).
    """

    method: Literal["sinkhorn"] = "sinkhorn"
    objective: Literal["weights", "midpoint_loss"] = "weights"
    steps: Annotated[int, Ge(1)] = 300
    learning_rate: Annotated[float, Gt(0)] = 0.1
    entropy_start: Annotated[float, Gt(0)] = 1.0
    entropy_end: Annotated[float, Gt(0)] = 0.01
    batch_size: Annotated[int, Ge(1)] = 500
    num_examples: Annotated[int, Ge(2)] | None = 10_000
    joins_all: ClassVar[bool] = False

    @property
    def needs_examples(self) -> bool:
        """Whether the objective is what networks compute."""
        return self.objective == "midpoint_loss"


@dataclass(frozen=True, kw_only=True)
class NodeSort:
    """Every network's units in a canonical order of their own; no network looks at another.

    It undoes exact permutations, and does not align networks that were trained apart. ``key``:
    ``lexicographic`` by the outgoing weights, or ``power``: their products with 1, p, p^2, ...

    Source: Sorensen 2020, algorithm 1, with columns in the order chosen for the layer above.
    """

    method: Literal["node_sort"] = "node_sort"
    key: Literal["lexicographic", "power"] = "lexicographic"
    power: Annotated[float, Gt(1)] | None = None
    joins_all: ClassVar[bool] = True
    needs_examples: ClassVar[bool] = False


@dataclass(frozen=True, kw_only=True)
class BruteForce(Budgeted):
    """Every permutation there is, and the best of them: exact, for few units.

    More than ``max_permutations`` are refused, with their number and an estimate of the time.
    """

    method: Literal["brute_force"] = "brute_force"
    objective: Literal["midpoint_error", "midpoint_loss"] = "midpoint_error"
    num_examples: Annotated[int, Ge(1)] | None = None
    max_permutations: Annotated[int, Ge(1)] = 4_000_000
    joins_all: ClassVar[bool] = False
    needs_examples: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class CycleConsistent(Budgeted):
    """All networks into one shared frame, by Frank-Wolfe on the sum of all pairs' inner products.

    Source: Crisostomi et al. 2024 (C2M3).
    """

    method: Literal["cycle_consistent"] = "cycle_consistent"
    max_iterations: Annotated[int, Ge(1)] = 200
    tolerance: Annotated[float, Ge(0)] = 1e-7
    restarts: Annotated[int, Ge(1)] = 3
    joins_all: ClassVar[bool] = True
    needs_examples: ClassVar[bool] = False


@dataclass(frozen=True, kw_only=True)
class MergeMany(Budgeted):
    """Each network in turn matched to the mean of the others, until nothing moves.

    Source: Ainsworth, Hayase, Srinivasa 2022 (Git Re-Basin), algorithm 3.
    """

    method: Literal["merge_many"] = "merge_many"
    max_sweeps: Annotated[int, Ge(1)] = 100
    tolerance: Annotated[float, Ge(0)] = 1e-12
    joins_all: ClassVar[bool] = True
    needs_examples: ClassVar[bool] = False


Start = (
    Random
    | WeightMatching
    | ActivationMatching
    | FunctionalDifference
    | StraightThrough
    | Sinkhorn
    | NodeSort
    | CycleConsistent
    | MergeMany
)
"""Methods whose result a search can refine."""


@dataclass(frozen=True, kw_only=True)
class SimulatedAnnealing(Budgeted):
    """Metropolis search over transpositions of units, on what the merged networks do.

    ``objective``, on training examples, minimized:

    - ``midpoint_error``, ``midpoint_loss``: of the network halfway between two;
    - ``average_error``: of the mean of n permuted networks (the paper's SA2);
    - ``pairwise_barrier``: the error barrier at the midpoint, mean over all pairs of n networks (SA1).

    ``moves``: a transposition in one random group, or one in each at a time (``every_group``, the paper's
    listing). ``start``: ``identity``, ``random``, or the result of another method, which is refined.
    ``restarts`` chains run from streams of their own, and the best is returned. ``acceptance``:
    ``metropolis`` (appendix A.4), or ``greedy`` (algorithm 1), which takes improvements alone.
    Temperatures fall exponentially, in units of the energy; ``auto`` measures them at the start.
    ``num_examples`` is the size of a fixed seeded subset of the training examples; without it, all.
    ``engine``: ``batched``, all chains together with incremental energies, or ``simanneal``, the
    reference, one chain with full ones.

    Source: Entezari et al. 2021, section 4.2 and appendix A.4; the first network stays where it is.
    """

    method: Literal["simulated_annealing"] = "simulated_annealing"
    objective: Literal["midpoint_error", "midpoint_loss", "pairwise_barrier", "average_error"] = (
        "midpoint_error"
    )
    steps: Annotated[int, Ge(1)] = 50_000
    moves: Literal["transposition", "every_group"] = neutral("every_group", default="transposition")
    start: Literal["identity", "random"] | Start = "identity"
    restarts: Annotated[int, Ge(1)] = neutral(1)
    acceptance: Literal["metropolis", "greedy"] = neutral("metropolis")
    temperature_start: Annotated[float, Gt(0)] | Literal["auto"] = "auto"
    temperature_end: Annotated[float, Gt(0)] | Literal["auto"] = "auto"
    num_examples: Annotated[int, Ge(1)] | None = None
    engine: Literal["batched", "simanneal"] = neutral("simanneal", default="batched")
    joins_all: ClassVar[bool] = True
    needs_examples: ClassVar[bool] = True


Method = (
    Identity
    | Random
    | Oracle
    | WeightMatching
    | ActivationMatching
    | FunctionalDifference
    | StraightThrough
    | Sinkhorn
    | NodeSort
    | BruteForce
    | CycleConsistent
    | MergeMany
    | SimulatedAnnealing
)

METHODS: dict[str, type[Method]] = {
    "identity": Identity,
    "random": Random,
    "oracle": Oracle,
    "weight_matching": WeightMatching,
    "activation_matching": ActivationMatching,
    "functional_difference": FunctionalDifference,
    "straight_through": StraightThrough,
    "sinkhorn": Sinkhorn,
    "node_sort": NodeSort,
    "brute_force": BruteForce,
    "cycle_consistent": CycleConsistent,
    "merge_many": MergeMany,
    "simulated_annealing": SimulatedAnnealing,
}
