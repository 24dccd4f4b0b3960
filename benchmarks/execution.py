"""The quickstart on Ray against the same batches inline, and a rerun that finds everything there."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
ALLOWED_MORE_SECONDS = 15.0
ALLOWED_RERUN_SECONDS = 10.0


def rows() -> list[dict[str, Any]]:
    """Whole-process seconds. Targets are allowances in seconds, told as baseline plus allowance over ours."""
    with tempfile.TemporaryDirectory() as folder:
        inline = _seconds("--inline", "--store", f"{folder}/inline")
        ray = _seconds("--store", f"{folder}/ray")
        rerun = _seconds("--store", f"{folder}/ray")
    return [
        {
            "name": "quickstart on Ray, against inline plus 15 s",
            "ours": ray,
            "baseline": inline + ALLOWED_MORE_SECONDS,
            "ratio": (inline + ALLOWED_MORE_SECONDS) / ray,
            "target": 1.0,
            "unit": "s",
        },
        {
            "name": "quickstart again, against 10 s",
            "ours": rerun,
            "baseline": ALLOWED_RERUN_SECONDS,
            "ratio": ALLOWED_RERUN_SECONDS / rerun,
            "target": 1.0,
            "unit": "s",
        },
    ]


def _seconds(*arguments: str) -> float:
    command = [str(Path(sys.executable).with_name("lmc-sweep")), "run", "configs/quickstart.yaml", *arguments]
    start = time.perf_counter()
    subprocess.run(command, check=True, cwd=ROOT, stderr=subprocess.DEVNULL, env=os.environ)
    return time.perf_counter() - start
