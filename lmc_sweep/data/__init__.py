"""Data sets on disk: where they lie, reading them once, keeping their tensors, fetching them.

Nothing here imports torch before ``load`` or ``fetch`` is called.
"""

from lmc_sweep.data.fetching import fetch
from lmc_sweep.data.loading import load
from lmc_sweep.data.locations import KnownDataset, data_root, known, present, require

__all__ = ["KnownDataset", "data_root", "fetch", "known", "load", "present", "require"]
