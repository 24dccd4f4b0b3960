"""The driver: from a sweep file to a plan, its execution, a store, and what is read from it.

``Store`` opens a store for reading in a notebook; ``run`` executes a sweep. Both are imported on first
use, so that the command line answers at once.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmc_sweep.execution.run import run
    from lmc_sweep.store.store import Store

__version__ = "0.1.0"

_HOME = {"Store": "lmc_sweep.store.store", "run": "lmc_sweep.execution.run"}
__all__ = ["Store", "__version__", "run"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'lmc_sweep' has no attribute {name!r}")
