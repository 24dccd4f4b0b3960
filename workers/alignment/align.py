"""The verb: permutations for the members of one group of networks, or of many groups at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from workers.alignment.algorithms import algorithm_of
from workers.alignment.batch import DEFAULT_MAX_BYTES, Batch, Finding, result_of, unmoved
from workers.alignment.examples import Examples
from workers.alignment.methods import METHODS, Method, SimulatedAnnealing
from workers.alignment.networks import Network, spec_of, stacks_of_one
from workers.alignment.outcome import AlignmentResult
from workers.alignment.star import align_to_first
from workers.device import tf32
from workers.params import ParamStack, num_networks
from workers.permutation.spec import PermutationSpec

__all__ = ["AlignmentResult", "Examples", "align"]


def align(
    method: Method,
    members: Sequence[ParamStack] | Sequence[Network],
    spec: PermutationSpec | None = None,
    *,
    names: Sequence[str] | None = None,
    examples: Examples | None = None,
    example_input: Tensor | None = None,
    max_bytes: float = DEFAULT_MAX_BYTES,
) -> AlignmentResult:
    """Permutations that bring the members of P groups of n networks together.

    Of two networks, as modules::

        found = align(WeightMatching(), [first, second], example_input=images[:1])
        second.load_state_dict(found.apply(second))  # the same function, its units in first's order

    Any ``nn.Module`` will do whose forward pass can be traced: where its hidden units can be permuted is
    derived from it, and proved by a random permutation. A state dict may stand for a module beside
    another one. Of batch norm, the statistics are permuted along, and do not enter what is matched.

    Of P groups at once, give each member as a stack of P networks, with ``spec`` and ``names``: row p of
    every member is group p. Its result depends on its weights, its name and the method alone, not on
    what shares the batch. Where weights are not finite, the outcome is ``non_finite`` and the identity
    is returned.

    With more than two members, methods that compare two networks align each of the others to the first,
    and every other pair as well: how far the pairs contradict one another is ``cycle_error`` in the
    details.

    Args:
        method: One of ``workers.alignment.methods``.
        members: n modules or state dicts; or, with ``names``, n stacks of P networks. Unchanged.
        spec: Where the groups of units act. It may be left out where a member is a module.
        names: P names, from which the random streams of each group of networks derive. Left out, the
            members are single networks, of a fixed name.
        examples: Training examples, for methods that look at what networks compute.
        example_input: A batch for the module, to derive the spec; values do not matter. It may be left
            out where the first layer with parameters is linear.
        max_bytes: Bound of the memory that a search may take beside the networks and examples, in bytes.

    Raises:
        ValueError: If there are fewer than two members, names or rows are not P, the members differ in
            their tensors, no spec can be derived, the examples are missing or their labels are no
            classes, or the method cannot serve networks like these.
    """
    if names is None or any(isinstance(member, nn.Module) for member in members):
        spec = spec or spec_of(members, example_input)
        members, names = stacks_of_one(members), names or (SINGLE,)
    if spec is None:
        raise ValueError("stacks of networks are aligned by a spec: derive_permutation_spec gives a module's")
    stacks = cast(Sequence[ParamStack], members)
    stacks = [{name: tensor.detach() for name, tensor in member.items()} for member in stacks]
    batch = Batch(stacks, spec, names, examples, max_bytes)
    _check(method, batch)
    with tf32(False):
        return _of_finite(method, batch)


SINGLE = "pair"
"""The name of networks that are aligned alone, and given none."""


def _of_finite(method: Method, batch: Batch) -> AlignmentResult:
    """The method's result for groups of finite networks; the identity for the others."""
    finite = torch.ones(batch.num_groups, dtype=torch.bool)
    for member in batch.members:
        for tensor in member.values():
            finite &= tensor.isfinite().reshape(len(tensor), -1).all(dim=1).cpu()
    searched = finite.nonzero().flatten().tolist()
    search = algorithm_of(method)
    if len(batch.members) > 2 and not method.joins_all:
        search = align_to_first(search)
    if len(searched) == batch.num_groups:
        return search(method, batch)
    if not searched:
        return result_of([_non_finite(batch)] * batch.num_groups, "none", batch.spec)
    found = search(method, batch.rows(searched))
    position = {index: k for k, index in enumerate(searched)}
    return result_of(
        [
            found.finding(position[index]) if index in position else _non_finite(batch)
            for index in range(batch.num_groups)
        ],
        found.objective,
        batch.spec,
    )


def _non_finite(batch: Batch) -> Finding:
    """The identity, for networks that cannot be searched."""
    return Finding(
        permutations=[unmoved(batch.spec) for _ in batch.members],
        objective_start=math.nan,
        objective_end=math.nan,
        num_evaluations=0,
        seconds=0.0,
        outcome="non_finite",
        details={},
    )


def _check(method: Method, batch: Batch) -> None:
    """Raises ValueError for a call that the method cannot serve."""
    if type(method) not in METHODS.values():
        raise ValueError(
            f"a method is a value of workers.alignment.methods, such as WeightMatching(), not {method!r}"
        )
    num_members = len(batch.members)
    if num_members < 2:
        raise ValueError(f"an alignment needs at least 2 members, not {num_members}")
    if isinstance(method, SimulatedAnnealing) and num_members > 2 and method.objective.startswith("midpoint"):
        raise ValueError(
            f"{method.objective} is of two networks, and there are {num_members}: choose average_error "
            "or pairwise_barrier"
        )
    counts = [num_networks(member) for member in batch.members]
    if set(counts) != {batch.num_groups}:
        raise ValueError(f"every member must have one row per name: {batch.num_groups} names, rows {counts}")
    if not batch.num_groups:
        raise ValueError(
            "there is nothing to align: give one name or more, and a row of every member for each"
        )
    if not method.needs_examples:
        return
    if batch.examples is None:
        raise ValueError(f"{method.method} looks at what networks compute: give it examples")
    for name in batch.members[0]:
        kinds = list(dict.fromkeys(str(member[name].dtype) for member in batch.members))
        if len(kinds) > 1:
            raise ValueError(
                f"{method.method} runs the networks together, and they must be of one type: {name} is "
                f"{' and '.join(kinds)}"
            )
    labels, num_classes = batch.examples.labels, batch.examples.program.num_classes
    if not len(labels):
        raise ValueError(f"{method.method} looks at what networks compute: give it one example or more")
    if int(labels.min()) < 0 or int(labels.max()) >= num_classes:
        raise ValueError(
            f"labels must be 0 to {num_classes - 1}, as the networks have {num_classes} classes: "
            f"these are {int(labels.min())} to {int(labels.max())}"
        )
