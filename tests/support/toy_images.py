"""Convolutional networks on the toy data, and the plain PyTorch loop that they are held against."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from workers.architectures import build
from workers.datasets.normalization import normalize
from workers.datasets.tensors import Dataset
from workers.params import Params
from workers.seeding import derive_seed, generator, with_global_seed
from workers.specs import ArchitectureSpec, NetworkSpec, ResNet20Spec, ShallowCNNSpec, TrainingSpec
from workers.statistics import statistics_examples

CNN = ShallowCNNSpec(width=3)
RESNET = ResNet20Spec(width_multiplier=0.125)


def image_network(
    architecture: ArchitectureSpec, seed: int = 0, noise: float = 0.0, **training: Any
) -> NetworkSpec:
    """A spec on the toy data of 8x8 pixels; two epochs unless said otherwise."""
    options: dict[str, Any] = {
        "batch_size": 16,
        "max_epochs": 2,
        "stop_train_loss": None,
        "learning_rate": 0.05,
        **training,
    }
    return NetworkSpec(
        dataset="toy",
        label_noise=noise,
        architecture=architecture,
        training=TrainingSpec(**options),
        seed=seed,
    )


def plain_images_loop(spec: NetworkSpec, dataset: Dataset, dtype: torch.dtype) -> Params:
    """The state after training one module by ``torch.optim``, statistics measured on the stated examples."""
    program: Any = build(spec.architecture, dataset.definition)
    module: nn.Module = with_global_seed(derive_seed("init", spec.seed), program.make).to(dtype)
    options = spec.training
    rate, decay = options.learning_rate, options.weight_decay
    optimizer: torch.optim.Optimizer = (
        torch.optim.SGD(module.parameters(), lr=rate, momentum=options.momentum, weight_decay=decay)
        if options.optimizer == "sgd"
        else torch.optim.Adam(
            module.parameters(), lr=rate, betas=(options.momentum, 0.999), weight_decay=decay
        )
    )
    images = normalize(dataset.train_images, dataset.definition)  # type: ignore[arg-type]
    inputs, labels = images.to(dtype), dataset.labels("train", spec.label_noise)
    for epoch in range(options.num_epochs):
        if options.schedule == "cosine":
            optimizer.param_groups[0]["lr"] = rate / 2 * (1 + math.cos(math.pi * epoch / options.max_epochs))
        order = torch.randperm(len(inputs), generator=generator("order", spec.seed, epoch))
        for chosen in order.split(options.batch_size):
            optimizer.zero_grad()
            nn.functional.cross_entropy(module(inputs[chosen]), labels[chosen]).backward()
            optimizer.step()
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
            layer.momentum = None
    with torch.no_grad():
        for chosen in statistics_examples(len(inputs), spec.dataset):
            module(inputs[chosen])
    state = {name: tensor.detach() for name, tensor in module.state_dict().items()}
    return {name: state[name] for name in state if not name.endswith("num_batches_tracked")}
