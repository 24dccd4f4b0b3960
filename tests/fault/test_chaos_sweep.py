"""A sweep on Ray goes on while workers, nodes, drivers, compactions and records die at random beside it.

About a minute of it here; ``CHAOS_MINUTES=20`` for longer (``make test-long``), ``CHAOS_SEED`` to repeat.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chaos import SWEEP, Chaos
from chaos_processes import in_peace, left_behind
from ray_machines import RAY_TEST_SECONDS

from lmc_sweep.store.store import Store

MINUTES = float(os.environ.get("CHAOS_MINUTES", "0.5"))
SEED = int(os.environ.get("CHAOS_SEED", time.time_ns() % 2**32))
ROUND_SECONDS = 180.0

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.fault,
    pytest.mark.timeout(RAY_TEST_SECONDS + 600 * MINUTES),
]


def test_whatever_dies_the_sweep_ends_with_the_undisturbed_numbers(
    tmp_path: Path, measured_tables: Callable[[Path], dict[str, list[tuple[Any, ...]]]]
) -> None:
    """No id is ever shown twice, none that was there vanishes, and the end is that of a run in peace."""
    sys.stdout.write(f"CHAOS_SEED={SEED} CHAOS_MINUTES={MINUTES:g}\n")
    chance = random.Random(SEED)
    sweep = SWEEP.format(seeds=4 if MINUTES < 5 else 12)
    undisturbed = measured_tables(in_peace(tmp_path / "peace", sweep))
    left, num_deeds, number = 60 * MINUTES, 0, 0
    while left > 0:
        folder = tmp_path / f"round-{number}"
        folder.mkdir()
        (folder / "sweep.yaml").write_text(sweep)
        chaos = Chaos(folder, chance)
        try:
            left -= chaos.disturb(min(left, ROUND_SECONDS))
            chaos.settle()
        finally:
            chaos.watcher.end()
            remains = left_behind(folder)
        assert ([], [], []) == (chaos.complaints, chaos.watcher.complaints, remains)
        store = Store(folder / "store")
        assert undisturbed == measured_tables(store.path)
        assert [] == store.nondeterminism()
        assert [] == store.failures().fetchall()
        if chaos.damaged:
            chaos.beside("verify", str(store.path), "--repair")
        assert 0 == chaos.beside("verify", str(store.path))
        assert undisturbed == measured_tables(store.path)
        num_deeds, number = num_deeds + len(chaos.deeds), number + 1
    sys.stdout.write(f"{num_deeds} deeds in {number} rounds\n")
    assert num_deeds >= 3 * MINUTES
