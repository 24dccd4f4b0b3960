"""Where a method has a meaning: which worlds and networks it is planned for, told before anything runs."""

from __future__ import annotations

import math

from workers.alignment.methods import BruteForce, Method, Oracle
from workers.architectures.shapes import hidden_units
from workers.datasets.definitions import define
from workers.specs import ArchitectureSpec, DataSpec, ModuleSpec, World

STATE_SECONDS = 2e-6
"""Of one incremental energy, beside its examples: the call and the draws."""

EXAMPLE_SECONDS = 6e-9
"""Of one example in an incremental energy of an MLP of depth 1, on one thread: measured 0.36 ms at 60,000."""

_YEAR_SECONDS = 3.156e7


def obstacle(method: Method, world: World, architecture: ArchitectureSpec, data: DataSpec) -> str | None:
    """Why a method is not planned for networks in a world; None where it is."""
    if isinstance(method, Oracle) and world == "real":
        return "it undoes what was planted, and in world real nothing is"
    if isinstance(method, BruteForce) and not isinstance(architecture, ModuleSpec):
        return too_many(method, architecture, data)
    return None


def too_many(method: BruteForce, architecture: ArchitectureSpec, data: DataSpec) -> str | None:
    """That networks have more permutations than the method tries, with number and time; None where not.

    The groups of a module of the user's own are known once it is traced; the search refuses them then.
    """
    digits = log10_permutations(hidden_units(architecture))
    if digits <= math.log10(method.max_permutations) + 1e-9:
        return None
    examples = method.num_examples or define(data).num_train
    log_seconds = digits + math.log10(STATE_SECONDS + EXAMPLE_SECONDS * examples)
    return (
        f"{described(architecture)} has {_power(digits)} permutations, more than max_permutations "
        f"({method.max_permutations}): at {examples} examples they would take about {_duration(log_seconds)}"
    )


def log10_permutations(groups: tuple[int, ...]) -> float:
    """Decimal logarithm of the product of the groups' factorials."""
    return sum(math.lgamma(units + 1) for units in groups) / math.log(10)


def described(architecture: ArchitectureSpec) -> str:
    """An architecture in words: ``mlp of width 16 and depth 1``."""
    sizes = [f"{key} {value}" for key in ("width", "depth") if (value := getattr(architecture, key, None))]
    return f"{architecture.name} of {' and '.join(sizes)}" if sizes else architecture.name


def _power(digits: float) -> str:
    """A number given by its logarithm: 720, 2.1e+13, 1e+40000."""
    if digits < 6:
        return str(round(10**digits))
    whole = math.floor(digits)
    return f"{10 ** (digits - whole):.2g}e+{whole}"


def _duration(log_seconds: float) -> str:
    """Seconds, days or years, given by the logarithm of the seconds."""
    for unit, seconds in (("years", _YEAR_SECONDS), ("days", 86400.0)):
        if log_seconds > math.log10(2 * seconds):
            return f"{_power(log_seconds - math.log10(seconds))} {unit}"
    return f"{10**log_seconds:.0f} s"
