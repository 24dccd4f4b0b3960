"""Pairs that are searched side by side, each on a thread of its own."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from workers.alignment.batch import Batch, Finding, result_of
from workers.alignment.outcome import AlignmentResult, PairAlignment
from workers.device import map_on_threads, threads
from workers.params import Params, row

Search = Callable[[Params, Params, str], PairAlignment]
"""Both networks of a pair and its name to what was found; it must not differentiate."""


def pairs_side_by_side(
    search: Search, batch: Batch, objective: str, bytes_per_pair: float = 0.0
) -> AlignmentResult:
    """The results of a search on every pair; the first member stays.

    As many pairs at once as torch has threads and the batch's ``max_bytes`` has room for, at least one.
    Each is searched on one thread, so that no result depends on what else runs.

    Args:
        search: What is done with one pair.
        batch: The pairs.
        objective: Its name.
        bytes_per_pair: Memory that the search of one pair takes, in bytes.
    """

    def searched(index: int) -> Finding:
        start = time.perf_counter()
        first, second = (row(member, index) for member in batch.members)
        found = search(first, second, batch.names[index])
        return found.finding(batch.spec, time.perf_counter() - start)

    return result_of(groups_side_by_side(searched, batch, bytes_per_pair), objective, batch.spec)


def groups_side_by_side(
    search: Callable[[int], Finding], batch: Batch, bytes_per_group: float
) -> list[Finding]:
    """What a search finds for every group of networks, by number; as many at once as there is room for."""
    num_threads = torch.get_num_threads()
    fitting = max(1, int(batch.max_bytes // bytes_per_group)) if bytes_per_group else num_threads
    with threads(min(num_threads, fitting)):
        return map_on_threads(search, range(batch.num_groups))
