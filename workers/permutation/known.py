"""What is known of the tensors of a forward pass."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils.weak import WeakTensorKeyDictionary

from workers.permutation.axes import AxisUnion, pinned
from workers.permutation.operations import held, labels_of, rule_for, tensors_in
from workers.permutation.rules.call import Labeled


@dataclass(frozen=True)
class Known:
    """Axes of a tensor, whether its entries are unknown, and the names of the state it was made of."""

    label: Labeled
    varies: bool
    sources: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _Made:
    """How a tensor came about whose axes are looked at once it is used, if ever.

    ``known`` is what was known of its sources at the time, by their ids: they may be transposed since.
    """

    func: Any
    arguments: dict[str, Any]
    num_results: int
    index: int
    known: dict[int, Known]


@dataclass(frozen=True)
class _Views:
    """What is known of tensors that share their memory; while it is referred to, no other gets its number."""

    memory: StorageWeakRef
    known: dict[object, Known] = field(default_factory=dict)


class KnownTensors:
    """Lives for one forward pass.

    A constant has no entry: along an axis on which it repeats itself any permutation changes nothing,
    and so each use of it gets axes of its own, lest its users be tied. Once a constant or a view of it
    is written into, it is a tensor like any other.
    """

    def __init__(self, union: AxisUnion) -> None:
        self.union = union
        self._known = WeakTensorKeyDictionary()
        self._shared: dict[int, _Views] = {}
        self._made = WeakTensorKeyDictionary()

    def adopt(self, tensor: Tensor) -> None:
        """Notes a tensor that came about unseen, as ``nn.Parameter`` and ``as_subclass`` make them.

        It shares its entries with one that is known, and its axes where they are the same.
        """
        if tensor in self._known or tensor in self._made or tensor.layout != torch.strided:
            return
        views = self._shared.get(tensor.untyped_storage()._cdata)
        if views is None:
            return
        if _view(tensor) in views.known:
            self._known[tensor] = views.known[_view(tensor)]
            return
        for known in views.known.values():
            self.union.pin(*known.label.axes, *known.label.places_on)
        sources = frozenset[str]().union(*(known.sources for known in views.known.values()))
        self.set(tensor, Known(held(tensor), any(known.varies for known in views.known.values()), sources))

    def set(self, tensor: Tensor, known: Known) -> None:
        """Notes what is known of a tensor."""
        self._known[tensor] = known
        if tensor.layout == torch.strided:
            memory = tensor.untyped_storage()
            views = self._shared.setdefault(memory._cdata, _Views(StorageWeakRef(memory)))  # type: ignore[no-untyped-call]
            views.known[_view(tensor)] = known

    def lasting(self, tensor: Tensor) -> Known | None:
        """What is known of a tensor; None for a constant."""
        if tensor in self._known:
            found: Known = self._known[tensor]
            return found
        if tensor not in self._made:
            return None
        sources = tensors_in(self._made[tensor].arguments)
        return self._follow(tensor) if any(self.lasting(source) for source in sources) else None

    def of(self, tensor: Tensor) -> Known:
        """What is known of a tensor for one use of it."""
        return self.lasting(tensor) or self._constant(tensor)

    def write(self, tensor: Tensor) -> Known:
        """What is known of a tensor about to be written into, a constant no longer."""
        found = self.lasting(tensor)
        if found is not None:
            return found
        if tensor in self._made:
            for source in tensors_in(self._made[tensor].arguments):
                self.write(source)
            return self._follow(tensor)
        known = self._constant(tensor)
        self.set(tensor, known)
        return known

    def defer(self, func: Any, arguments: dict[str, Any], results: list[Any]) -> None:
        """Notes how tensors were made, to apply the rule when one is used.

        Views of constants, in case somebody writes into either; stacks, since the last states of a
        recurrent network are stacked, and so tied, whether anyone wants them or not.
        """
        known: dict[int, Known] = {
            id(source): self._known[source] for source in tensors_in(arguments) if source in self._known
        }
        for index, tensor in enumerate(results):
            self._made[tensor] = _Made(func, arguments, len(results), index, known)

    def _follow(self, tensor: Tensor) -> Known:
        """What follows for a tensor from those that it was made of."""
        made: _Made = self._made[tensor]

        def at_the_time(source: Tensor) -> Known:
            return made.known.get(id(source)) or self.of(source)

        known = [at_the_time(source) for source in tensors_in(made.arguments)]
        # the other views made at the same time have their own turn
        results = [tensor] * made.num_results
        rule = None if made.num_results > 1 else rule_for(made.func, made.arguments)
        labels, _ = labels_of(
            made.func, rule, made.arguments, lambda one: at_the_time(one).label, results, self.union
        )
        found = Known(
            labels[made.index],
            any(one.varies for one in known),
            frozenset[str]().union(*(one.sources for one in known)),
        )
        self.set(tensor, found)
        return found

    def _constant(self, tensor: Tensor) -> Known:
        """A tensor that the forward pass brought along or made of nothing."""
        if tensor.requires_grad or tensor.layout != torch.strided:
            return Known(held(tensor), tensor.requires_grad)
        axes = tuple(
            self.union.fresh(num_units) if _repeats(tensor, axis) else pinned(num_units)
            for axis, num_units in enumerate(tensor.shape)
        )
        return Known(Labeled(tuple(tensor.shape), axes), False)


def _view(tensor: Tensor) -> object:
    """Which entries of their memory tensors show, and where."""
    return tuple(tensor.shape), tensor.stride(), tensor.storage_offset()


def _repeats(tensor: Tensor, axis: int) -> bool:
    """Whether all places along the axis hold the same."""
    return bool((tensor == tensor.narrow(axis, 0, min(1, tensor.shape[axis]))).all())
