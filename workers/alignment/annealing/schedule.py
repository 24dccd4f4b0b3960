"""Temperatures, in units of the energy: given, or measured at the start by a stated rule."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from workers.alignment.methods import SimulatedAnnealing

NUM_PROBES = 100
"""Random moves from the start whose uphill steps set the temperatures."""

ACCEPTED_AT_START = 0.1
"""``temperature_start`` accepts the mean uphill move of the probes with this probability."""

COOLING = 0.01
"""``temperature_end`` over ``temperature_start``."""

REFINED = 0.1
"""By how much a search begins colder that refines what another method found.

At the temperature of the rule it walks away from that start and forgets it. Measured on 10,000 images of
MNIST, error at the midpoint after 50,000 steps, mean of five pairs: the start's .106 and .0187 at widths 16
and 64; from the rule's temperature .069 and .0176; from a tenth of it .068 and .0140.
"""

RULE = (
    f"T_start accepts the mean uphill step of {NUM_PROBES} random moves with probability "
    f"{ACCEPTED_AT_START}; T_end = {COOLING} T_start"
)

REFINING_RULE = f"{RULE}; a refinement begins at {REFINED} of that T_start"


def from_probes(method: SimulatedAnnealing, rises: Iterable[float]) -> tuple[float, float]:
    """Temperatures at the start and the end, from by how much each probe's energy rose.

    Where no move goes uphill, any temperature will do.
    """
    hot, cold = method.temperature_start, method.temperature_end
    if hot != "auto":
        return hot, COOLING * hot if cold == "auto" else cold
    uphill = [rise for rise in rises if 0.0 < rise < math.inf]
    mean = sum(uphill) / len(uphill) if uphill else 1e-3
    measured = mean / -math.log(ACCEPTED_AT_START)
    end = COOLING * measured if cold == "auto" else cold
    is_refinement = not isinstance(method.start, str)
    return max(end, REFINED * measured) if is_refinement else measured, end


def temperatures(hot: float, cold: float, start: int, stop: int, steps: int) -> np.ndarray:
    """T of the steps start + 1 to stop: hot * (cold / hot)^(k / steps)."""
    return hot * (cold / hot) ** (np.arange(start + 1, stop + 1) / steps)


def rule(method: SimulatedAnnealing) -> str:
    """How the temperatures came about, in words."""
    if "auto" not in (method.temperature_start, method.temperature_end):
        return "given"
    return RULE if isinstance(method.start, str) else REFINING_RULE
