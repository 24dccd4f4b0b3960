"""Random streams. Every draw of the program comes from a generator made here.

A stream is named by a purpose and the values it depends on. Its 64-bit seed is the head of a
SHA-256, so streams of different names are independent for all practical ends, and a network's
draws depend on nothing but its own name: not on which others share its stack, not on the worker,
not on the order, not on a retry.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import torch

T = TypeVar("T")


def derive_seed(purpose: str, *parts: str | int | float) -> int:
    """Seed of the stream ``(purpose, *parts)``, in [0, 2**63)."""
    text = json.dumps([purpose, *parts], separators=(",", ":"), ensure_ascii=True)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(purpose: str, *parts: str | int | float) -> torch.Generator:
    """A CPU generator for the stream ``(purpose, *parts)``."""
    import torch

    made = torch.Generator()
    made.manual_seed(derive_seed(purpose, *parts))
    return made


def with_global_seed(seed: int, make: Callable[[], T], device: torch.device | None = None) -> T:
    """What ``make()`` returns when torch's global generators start from ``seed``; their state is restored.

    The generator of the CPU, and that of a CUDA device where one is given. The one place that touches
    global generators, since initializers of ``nn.Module`` and dropout draw from them.
    """
    import torch

    on_cuda = device is not None and device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if on_cuda else []):
        torch.default_generator.manual_seed(seed)
        if on_cuda:
            with torch.cuda.device(device):
                torch.cuda.default_generators[torch.cuda.current_device()].manual_seed(seed)
        return make()
