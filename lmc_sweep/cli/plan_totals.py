"""What a plan comes to: networks, pairs, GPU-hours, bytes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from lmc_sweep.cli.console import size
from lmc_sweep.kinds import ALWAYS_SHOWN, CPU_KINDS, KIND_NAMES

if TYPE_CHECKING:
    from lmc_sweep.planning.plan import Plan

GPU_FLOPS_PER_SECOND = 10e12
"""Float32 matrix products of the GPU that is assumed: of a V100's peak of 15.7e12, some two thirds."""


@dataclass(frozen=True)
class Totals:
    """A plan in a few numbers.

    Attributes:
        num_networks: All that the sweep asks for, done or not.
        num_pairs: Pairs of networks whose barriers it asks for, each once whatever the methods.
        num_others: Items of other studies, by kind.
        gpu_hours: Of what is left, by the cost model, for a GPU of GPU_FLOPS_PER_SECOND, one item at a time;
            without what computes on CPUs.
        bytes: That what is left adds to the store.
    """

    num_networks: int
    num_pairs: int
    num_others: dict[str, int]
    gpu_hours: float
    bytes: int


def totals(plan: Plan) -> Totals:
    """The totals of a plan; networks are counted at max_epochs until some of their cell have stopped."""
    from lmc_sweep.planning.cost import stored_bytes

    on_gpu = replace(plan.rates, flops_per_second=GPU_FLOPS_PER_SECOND, by_shape={})
    left = [item for batch in plan.batches for item in batch.items]
    pairs = {
        (barrier.alignment.world, barrier.alignment.pair_id, barrier.member_a, barrier.member_b)  # type: ignore[union-attr]
        for barrier in plan.items["barrier"]
    }
    return Totals(
        num_networks=len(plan.items["network"]),
        num_pairs=len(pairs),
        num_others={
            kind: len(of_kind) for kind, of_kind in plan.items.items() if of_kind and kind not in ALWAYS_SHOWN
        },
        gpu_hours=round(sum(on_gpu.seconds(item) for item in left if item.kind not in CPU_KINDS) / 3600, 3),
        bytes=sum(stored_bytes(item) for item in left),
    )


def totals_line(found: Totals) -> str:
    """The totals as a sentence, with what they assume."""
    counts = {"networks": found.num_networks, "pairs": found.num_pairs}
    counts |= {KIND_NAMES[kind]: number for kind, number in found.num_others.items()}
    told = ", ".join(f"{number:,} {name}" for name, number in counts.items() if number)
    on_gpu = (
        f"{_hours(found.gpu_hours)} of a GPU that multiplies at {GPU_FLOPS_PER_SECOND / 1e12:g} TFLOP/s, and "
    )
    left = f"{on_gpu if found.num_networks else ''}{size(found.bytes)} of storage"
    return f"In all {told or 'nothing'}. What is left takes {left}."


def totals_json(found: Totals) -> dict[str, Any]:
    """The totals as plain data, with the assumption."""
    return {**asdict(found), "gpu_flops_per_second": GPU_FLOPS_PER_SECOND}


def _hours(hours: float) -> str:
    """Hours to two digits, since no estimate knows more."""
    return "less than 0.1 hours" if hours < 0.1 else f"some {float(f'{hours:.2g}'):,.10g} hours"
