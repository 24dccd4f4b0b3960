"""The distance table of 1,000 networks (784, 512, 10): memory, and time against pairs taken one by one.

The networks are random, in files of a store of their own; the table is made by the body of the task that a
sweep runs, sorted by the lexicographic key, in a process of its own, whose largest resident size is told.
The baseline of the memory is the bound that must hold. That of the time forms every distance from the
difference of two networks in memory, in double precision, as scripts do: measured on a few pairs, times
all of them, before and after.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

NUM_NETWORKS = 1000
NUM_STACKS = 20
NUM_TIMED_PAIRS = 100
BOUND_BYTES = 2e9
SWEEP = f"""
name: many
store: unused
networks:
  - dataset: mnist
    architecture: {{name: mlp, width: 512, depth: 1}}
    training: {{max_epochs: 0}}
    seeds: {NUM_NETWORKS}
canonical:
  treatments: [{{treatment: sorted}}]
"""


def rows() -> list[dict[str, Any]]:
    """Largest resident bytes of the process; seconds of the table."""
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder) / "store")
        command = [sys.executable, "-m", "benchmarks.canonical_forms", f"{folder}/store"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    name = f"distances of {NUM_NETWORKS:,} networks (784, 512, 10)"
    pairs = 2 * math.comb(NUM_NETWORKS, 2)
    by_pairs = pairs * told["pair_seconds"]
    return [
        {
            "name": f"{name}: resident memory",
            "ours": told["bytes"],
            "baseline": BOUND_BYTES,
            "ratio": BOUND_BYTES / told["bytes"],
            "target": 1.0,
            "unit": "bytes",
        },
        {
            "name": f"{name}: raw and sorted",
            "ours": told["seconds"],
            "baseline": by_pairs,
            "ratio": by_pairs / told["seconds"],
            "target": 1.0,
            "unit": "seconds",
        },
    ]


def _write(path: Path) -> None:
    """A store with random networks, a stack at a time."""
    import torch

    from lmc_sweep.config import parse_sweep
    from lmc_sweep.planning.items import items
    from lmc_sweep.store.schema import TABLES
    from lmc_sweep.store.store import Store
    from workers.seeding import generator

    store = Store.create(path)
    networks = items(parse_sweep(SWEEP))["network"]
    shapes = {
        "layers.0.weight": (512, 784),
        "layers.0.bias": (512,),
        "layers.1.weight": (10, 512),
        "layers.1.bias": (10,),
    }
    each = NUM_NETWORKS // NUM_STACKS
    needed = {column.name: None for column in TABLES["networks"].columns if column.nullable}
    for number in range(NUM_STACKS):
        stream = generator("benchmark", "canonical_forms", number)
        stack = {name: 0.03 * torch.randn(each, *shape, generator=stream) for name, shape in shapes.items()}
        checkpoint = store.write_tensors("networks", stack)
        store.commit(
            "networks",
            [
                {
                    **needed,
                    **{"network_id": item.id, "cell_id": item.cell_id, "dataset": "mnist"},
                    **{"architecture": "mlp", "seed": number * each + row, "label_noise": 0.0},
                    **{"num_parameters": 407_050, "checkpoint": checkpoint, "row": row},
                    **{"device": "cpu", "spec_json": "{}"},
                }
                for row, item in enumerate(networks[number * each : (number + 1) * each])
            ],
        )


def _measure(path: str) -> dict[str, float]:
    """Makes the table, and tells how long it took and how much memory."""
    import resource

    from lmc_sweep.config import parse_sweep
    from lmc_sweep.execution.bodies import BODIES
    from lmc_sweep.execution.task import Machine
    from lmc_sweep.planning.items import items
    from lmc_sweep.store.store import Store

    sweep = parse_sweep(SWEEP)
    asked = items(sweep)["canonical_form"]
    store = Store(path)
    start = time.perf_counter()
    BODIES["canonical_form"](store, asked, Machine("cpu", sweep.execution.max_stack_bytes))
    seconds = time.perf_counter() - start
    largest = 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ((num_pairs,),) = store.sql("SELECT num_pairs FROM canonical_forms").fetchall()
    assert num_pairs == math.comb(NUM_NETWORKS, 2)
    return {"seconds": seconds, "bytes": largest, "pair_seconds": _pair_seconds(store)}


def _pair_seconds(store: Any) -> float:
    """Seconds of one pair's distances, tensor by tensor, the networks in memory."""
    ids = [key for (key,) in store.sql("SELECT network_id FROM networks LIMIT 20").fetchall()]
    stack = store.load_networks(ids)
    start = time.perf_counter()
    for pair in range(NUM_TIMED_PAIRS):
        first, second = pair % 20, (pair * 7 + 1) % 20
        for tensor in stack.values():
            (tensor[first].double() - tensor[second].double()).norm()
    return (time.perf_counter() - start) / NUM_TIMED_PAIRS


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_measure(sys.argv[1])))
