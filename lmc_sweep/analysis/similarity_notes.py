"""What a comparison of the worlds could not compare, in words."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from lmc_sweep.analysis.density_rows import CONTROLS
from lmc_sweep.analysis.margins import Margin
from lmc_sweep.analysis.world_pairs import Measured


def not_compared(
    measured: Sequence[Measured], labels: dict[str, str], margin: Margin, num_null: int
) -> Iterable[str]:
    """Sentences on what could not be compared."""
    if num_null:
        yield f"{num_null} barrier{'s' * (num_null > 1)} left out because a network diverged"
    present = {world for of in measured for cell in of.cells for world in set(cell.is_real.tolist())}
    if len(present) == 1:
        absent = "model" if True in present else "real"
        yield f"no barriers of world {absent}: a sweep file asks for both by worlds: [real, model]"
        return
    for of in measured:
        lacking = sum(not (cell.is_comparable or cell.is_solved) for cell in of.cells)
        if lacking:
            yield (
                f"{labels[of.method_json]}, {of.split}, {of.correction}: {lacking} of {len(of.cells)} cells "
                "have fewer than two pairs that share no network in one of the worlds"
            )
    methods = {json.loads(of.method_json)["method"] for of in measured}
    if measured and margin.is_relative and not methods & set(CONTROLS):
        yield (
            "no margin: it is relative to the barrier before search, and no method here is identity or "
            "random. Give one in units of the barrier: --margin 0.01"
        )
