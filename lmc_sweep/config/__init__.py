"""The sweep file: reading, overriding and checking it. See ``lmc_sweep.config.sweep`` for what comes out."""

from lmc_sweep.config.loading import load_sweep, parse_sweep
from lmc_sweep.config.sweep import (
    BarriersStudy,
    Cell,
    Execution,
    Interpolation,
    Kind,
    Resources,
    Sweep,
)

__all__ = [
    "BarriersStudy",
    "Cell",
    "Execution",
    "Interpolation",
    "Kind",
    "Resources",
    "Sweep",
    "load_sweep",
    "parse_sweep",
]
