"""The precision of products in training."""

from __future__ import annotations

from contextlib import nullcontext

import torch

from workers.specs import TrainingSpec


def check_precision(training: TrainingSpec, device: torch.device) -> None:
    """Raises ValueError for a precision that the device does not have."""
    if training.precision == "tf32" and device.type != "cuda":
        raise ValueError(
            f"precision tf32 is one of CUDA devices, and this network trains on {device.type}. "
            "Use float32 or bfloat16, or give its batches a GPU (execution.num_gpus)"
        )


def products(precision: str, device: torch.device) -> torch.autocast | nullcontext[None]:
    """A context in which forward passes form their products so; for this thread alone."""
    if precision == "bfloat16":
        return torch.autocast(device.type, torch.bfloat16, cache_enabled=False)
    return nullcontext()
