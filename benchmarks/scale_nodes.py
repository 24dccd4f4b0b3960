"""Batches that sleep, on 1, 2, 4 and 8 Ray nodes of this machine: what the driver keeps busy.

Sleeping costs no processor, so eight nodes fit two cores; what is measured is whether every slot of every
node always has work, not how fast anything computes.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.scale_batches import PretendingExecutor, body, one_item_plan
from benchmarks.whole_process import printed
from lmc_sweep.config.sweep import Execution
from lmc_sweep.execution.driver import Driver
from lmc_sweep.execution.progress import StopRequest
from lmc_sweep.execution.run import SilentReporter
from lmc_sweep.store.store import Store

NODES = (1, 2, 4, 8)
CPUS_PER_NODE = 2
SLEEP_SECONDS = 1.0
ROUNDS = 15
"""Batches of each slot."""
LEAST_SHARE = 0.9


def rows() -> list[dict[str, Any]]:
    """Batches per second on n nodes, against n times those on one."""
    rates = {num_nodes: printed("benchmarks.scale_nodes", num_nodes, ROUNDS) for num_nodes in NODES}
    return [
        {
            "name": f"batches that sleep, {num_nodes} nodes, against {num_nodes} x one",
            "ours": rates[num_nodes],
            "baseline": num_nodes * rates[1],
            "ratio": rates[num_nodes] / (num_nodes * rates[1]),
            "target": LEAST_SHARE,
            "unit": "batches per second",
        }
        for num_nodes in NODES[1:]
    ]


def rate(num_nodes: int, rounds: int) -> float:
    """Batches per second of a driver on so many nodes, whose workers have been started before."""
    slots = num_nodes * CPUS_PER_NODE
    with cluster(num_nodes) as address, tempfile.TemporaryDirectory() as folder:
        executor = PretendingExecutor(address, Execution(), body(SLEEP_SECONDS))
        try:
            _run(f"{folder}/first", executor, _multiple(4 * slots), slots)
            num_batches = _multiple(rounds * slots)
            return num_batches / _run(f"{folder}/second", executor, num_batches, slots)
        finally:
            executor.close()


@contextmanager
def cluster(num_nodes: int) -> Iterator[str]:
    """Address of a private cluster of so many nodes, which ends afterwards with all its processes."""
    own = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_USAGE_STATS_ENABLED": "0"}
    before = {name: os.environ.get(name) for name in own}
    os.environ.update(own)
    node = {"num_cpus": CPUS_PER_NODE, "object_store_memory": 80 * 2**20, "include_dashboard": False}
    made = None
    try:
        from ray.cluster_utils import Cluster  # reads the environment when it is imported

        made = Cluster(initialize_head=True, head_node_args=node)
        for _ in range(num_nodes - 1):
            made.add_node(num_cpus=CPUS_PER_NODE, object_store_memory=80 * 2**20)
        made.wait_for_nodes()
        yield made.address
    finally:
        if made is not None:
            made.shutdown()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _run(store: str, executor: PretendingExecutor, num_batches: int, slots: int) -> float:
    """Seconds that a driver takes for so many batches."""
    plan = one_item_plan(num_batches, slots)
    driver = Driver(plan, Store.create(store), executor, SilentReporter(), StopRequest())
    start = time.perf_counter()
    driver.run()
    seconds = time.perf_counter() - start
    done = driver.progress().kinds["network"].done
    if done != num_batches:
        raise RuntimeError(f"{done} of {num_batches} batches were done")
    return seconds


def _multiple(number: int) -> int:
    """The next multiple of five."""
    return -(-number // 5) * 5


if __name__ == "__main__":
    print(json.dumps(rate(int(sys.argv[1]), int(sys.argv[2]))))
