"""A folder of the program's name in the working directory stands in nobody's way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(1200)]

SWEEP = """
name: small
store: store
networks: [{dataset: digits, architecture: {name: mlp, width: 4}, training: {max_epochs: 1}, seeds: 2}]
"""


def test_a_clone_in_the_working_directory_shadows_nothing(tmp_path: Path) -> None:
    """Workers on Ray import the program, not the folder ``lmc_sweep`` that lies where the run was started."""
    (tmp_path / "lmc_sweep" / "lmc_sweep").mkdir(parents=True)
    (tmp_path / "workers").mkdir()
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lmc-sweep")), "run", "sweep.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert 0 == done.returncode, done.stderr
