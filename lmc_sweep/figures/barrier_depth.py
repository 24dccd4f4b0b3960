"""The barrier against depth, by data set and family of architectures.

After figures 3 and 20 of Entezari et al. 2021.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lmc_sweep.figures import barrier_sizes

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store

OPTIONS = barrier_sizes.OPTIONS


def draw(store: Store, sweep: str | None, options: Mapping[str, str]) -> Any:
    """The figure of a store, or of one sweep in it, as a matplotlib ``Figure``."""
    return barrier_sizes.draw_by("barrier_depth", "depth", store, sweep, options)
