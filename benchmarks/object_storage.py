"""The quickstart with its store on an S3 server of this machine, against a directory of this machine.

In one process (``--inline``), where every commit is waited for. The server is moto's, a process of its own
that shares the cores with the sweep: what it takes is in the figure too. A network is not.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
ALLOWED_RATIO = 1.5
ROUNDS = 2  # the best of each counts
SWEEP = "configs/quickstart.yaml"


def rows() -> list[dict[str, Any]]:
    """Whole-process seconds, and those of the same command again, which finds everything there."""
    sys.path.insert(0, str(ROOT / "tests" / "support"))
    from s3_server import fresh_uri, serving

    with tempfile.TemporaryDirectory() as folder, serving() as server:
        environment = {**os.environ, **server.environment(), "LMC_SWEEP_CACHE": f"{folder}/cache"}
        environment.pop("AWS_ENDPOINT_URL_S3", None)
        found: dict[str, dict[str, list[float]]] = {"quickstart": {}, "quickstart again": {}}
        for number in range(ROUNDS):
            places = {"ours": fresh_uri(), "baseline": f"{folder}/round-{number}"}
            for seconds in found.values():
                for whose, store in places.items():
                    seconds.setdefault(whose, []).append(_seconds(store, environment))
    return [_row(name, min(s["ours"]), min(s["baseline"])) for name, s in found.items()]


def _row(name: str, ours: float, baseline: float) -> dict[str, Any]:
    """One line: seconds on S3, and those that a directory allows."""
    return {
        "name": f"{name}, store on S3 (loopback), against {ALLOWED_RATIO:g} times a directory",
        "ours": ours,
        "baseline": ALLOWED_RATIO * baseline,
        "ratio": ALLOWED_RATIO * baseline / ours,
        "target": 1.0,
        "unit": "s",
    }


def _seconds(store: str, environment: dict[str, str]) -> float:
    """How long the quickstart takes into a store."""
    command = [str(Path(sys.executable).with_name("lmc-sweep")), "run", SWEEP, "--inline", "--store", store]
    start = time.perf_counter()
    subprocess.run(command, check=True, cwd=ROOT, stderr=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - start
