"""Sections of large stores made in processes of their own: two of them take nearly all of the time."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from lmc_sweep.report.model import Section
from lmc_sweep.report.scope import Scope

Maker = Callable[[Scope], Section]
Make = Callable[[Scope, str, Maker], Section]

MANY_BARRIERS = 5000
"""Below this, starting processes takes longer than they save."""


def sections_of(
    scope: Scope, makers: Sequence[tuple[str, Maker]], slow: Sequence[Maker], make: Make
) -> tuple[Section, ...]:
    """The sections in order; the slow ones are made beside the others where a store is large.

    Args:
        makers: Name and maker of every section.
        slow: Those that are worth a process.
        make: Makes one section, whatever the store says.
    """
    (found,) = scope.ask(f"SELECT count(*) AS number FROM barriers WHERE {scope.of_sweep('barrier')}")
    if found["number"] < MANY_BARRIERS or (os.cpu_count() or 1) < 2:
        return tuple(make(scope, name, maker) for name, maker in makers)
    # Not forked: threads of DuckDB and Arrow are running here.
    with ProcessPoolExecutor(len(slow), multiprocessing.get_context("spawn")) as pool:
        begun = {name: pool.submit(make, scope, name, maker) for name, maker in makers if maker in slow}
        made = {name: make(scope, name, maker) for name, maker in makers if name not in begun}
        for name, maker in makers:
            if name in begun:
                made[name] = _result(begun[name]) or make(scope, name, maker)
    return tuple(made[name] for name, _ in makers)


def _result(begun: Future[Section]) -> Section | None:
    """A section that was made elsewhere; None where its process died, as where memory ran out."""
    try:
        return begun.result()
    except BrokenProcessPool:
        return None
