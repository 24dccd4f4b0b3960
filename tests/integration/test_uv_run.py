"""``uv run lmc-sweep ...`` as most people will start it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.ray, pytest.mark.slow]

SWEEP = """
name: small
store: store
networks: [{dataset: digits, architecture: {name: mlp, width: 4}, training: {max_epochs: 1}, seeds: 2}]
"""
UV = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))


@pytest.mark.skipif(UV is None, reason="uv is not installed")
def test_a_sweep_runs_under_uv_run(tmp_path: Path) -> None:
    """Workers are the installed ones: Ray would have uv build the environment of a project here anew, which
    names a package that does not exist."""
    assert UV is not None
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "mine"\nversion = "1"\ndependencies = ["lmc-sweep-no-such-package==9"]\n'
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    command = [UV, "run", "--offline", "--no-sync", "--no-project", "--python", sys.executable, "--"]
    command += [str(Path(sys.executable).with_name("lmc-sweep")), "run", "sweep.yaml"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert 0 == done.returncode, done.stderr
    assert "2/2 networks" in done.stderr
