"""Memory that was freed is kept for the next tensor."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest
import torch

from workers.device import keep_freed_memory, map_on_threads, threads

SIZE = 2 << 20
"""Floats of a tensor: 8 MiB, or 2,048 pages."""

IN_FRESH_PROCESS = """
from workers.device import keep_freed_memory
print(keep_freed_memory())
"""


def _use(_: int) -> None:
    """Writes to eight tensors, and frees them all."""
    for tensor in [torch.empty(SIZE) for _ in range(8)]:
        tensor.fill_(1.0)


@pytest.mark.skipif(sys.platform != "linux", reason="a setting of glibc")
def test_the_next_tensor_finds_memory_ready() -> None:
    """Ten rounds of 128 MiB fault fewer pages than a single one has; without the setting, all of them."""
    if not keep_freed_memory():
        pytest.skip("the allocator is another, or set by the environment")
    with threads(1):
        map_on_threads(_use, [0, 1])
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(10):
            map_on_threads(_use, [0, 1])
        assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < 16 * 2048


def test_settings_of_the_environment_are_left_alone() -> None:
    """A process whose environment sets the allocator keeps those settings."""
    environment = {"MALLOC_TRIM_THRESHOLD_": "131072", "PYTHONPATH": ":".join(sys.path)}
    found = subprocess.run(
        [sys.executable, "-c", IN_FRESH_PROCESS], env=environment, capture_output=True, text=True, check=True
    )
    assert "False" == found.stdout.strip()
