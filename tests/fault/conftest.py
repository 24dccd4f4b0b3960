"""Shared by the tests of faults: the sweep that they disturb, left in peace once."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of ``ray_machines.SWEEP``, run inline and left in peace; not to be changed."""
    from ray_machines import in_peace

    return in_peace(tmp_path_factory.mktemp("undisturbed"))
