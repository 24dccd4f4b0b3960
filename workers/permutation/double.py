"""Keeps a forward pass in double precision that would round on its way."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

SHORTER = (torch.float32, torch.float16, torch.bfloat16)


class DoublePrecision(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While it is active, casts to shorter types and new tensors of such types are of float64."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: torch would import its compiler for it, which takes seconds."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """The operation's result."""
        asked = dict(kwargs or {})
        if asked.get("dtype") in SHORTER:
            asked["dtype"] = torch.float64
        result = func(*args, **asked)
        if isinstance(result, Tensor) and result.dtype in SHORTER and not func._schema.is_mutable:
            return result.double()
        return result
