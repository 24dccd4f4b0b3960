"""Every study beside ``barriers`` at once, on a private Ray cluster and in one process."""

from __future__ import annotations

from pathlib import Path

import pytest
from chaos_processes import finish, in_peace, said
from every_study import SWEEP, numbers

from lmc_sweep.kinds import KINDS
from lmc_sweep.store.schema import TABLE_OF_KIND
from lmc_sweep.store.store import Store

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(1800)]


def test_ray_and_one_process_give_the_same_rows_of_every_study(tmp_path: Path) -> None:
    """Every kind has items, ids are the same, and numbers are equal bit for bit; a rerun does nothing."""
    alone = in_peace(tmp_path / "alone", SWEEP)
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    assert 0 == finish(tmp_path, "run", "sweep.yaml"), said(tmp_path)[-2000:]
    expected, found = numbers(alone), numbers(tmp_path / "store")
    assert set(KINDS) == {kind for kind, table in TABLE_OF_KIND.items() if found[table.name]}
    assert expected == found
    assert 0 == finish(tmp_path, "run", "sweep.yaml"), said(tmp_path)[-2000:]
    assert "Everything is there" in said(tmp_path) or "nothing to do" in said(tmp_path)
    assert [] == Store(tmp_path / "store").nondeterminism()
