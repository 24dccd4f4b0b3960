"""What an architecture is like, told from its spec; free of torch unless the module is the user's own."""

from __future__ import annotations

from functools import cache

from workers.specs import ArchitectureSpec, ModuleSpec, ResNet20Spec, ResNetSpec, VGGSpec


@cache
def has_batch_norm(spec: ArchitectureSpec) -> bool:
    """Whether its networks carry batch-norm statistics. A module of the user's own is built to find out."""
    if isinstance(spec, ModuleSpec):
        from torch.nn.modules.batchnorm import _BatchNorm

        from workers.architectures.build import user_module
        from workers.seeding import with_global_seed

        layers = with_global_seed(0, lambda: user_module(spec)).modules()
        return any(isinstance(layer, _BatchNorm) and layer.running_mean is not None for layer in layers)
    return isinstance(spec, VGGSpec | ResNetSpec) or (isinstance(spec, ResNet20Spec) and spec.norm == "batch")
