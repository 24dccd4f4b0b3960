"""Small modules outside of our families, with the groups that their units form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations


@dataclass(frozen=True)
class Case:
    """A module, its inputs, and what is known of its spec.

    ``indifferent`` are axes that the output does not depend on, so that moving them alone changes
    nothing: the bias of keys, which softmax cancels.
    """

    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    groups: Mapping[str, int]
    indifferent: frozenset[tuple[str, int]] = field(default=frozenset())
    num_tokens: int = 0

    @property
    def example(self) -> Tensor:
        """A batch of two inputs."""
        stream = torch.Generator().manual_seed(0)
        if self.num_tokens:
            return torch.randint(self.num_tokens, (2, *self.shape), generator=stream)
        return torch.randn(2, *self.shape, generator=stream)


class Block(nn.Module):
    """A module whose forward pass is a function of itself and its input."""

    def __init__(self, forward: Callable[..., Tensor], **layers: nn.Module | nn.Parameter | Tensor) -> None:
        super().__init__()
        self.compute = forward
        for name, layer in layers.items():
            if isinstance(layer, nn.Module | nn.Parameter):
                setattr(self, name, layer)
            else:
                self.register_buffer(name, layer)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits."""
        return self.compute(self, inputs)


def shared_layer() -> nn.Module:
    """One layer used three times in a row, its units tied to those that it reads."""

    def forward(m: nn.Module, x: Tensor) -> Tensor:
        x = m.stem(x).tanh()
        for _ in range(3):
            x = m.mix(x).tanh()
        return m.head(x)

    return Block(forward, stem=nn.Linear(5, 6), mix=nn.Linear(6, 6), head=nn.Linear(6, 2))


def gated() -> nn.Module:
    """A gated linear unit by chunk, a product of two layers, and ``glu``."""

    def forward(m: nn.Module, x: Tensor) -> Tensor:
        value, gate = m.both(x).chunk(2, dim=-1)
        hidden = value * functional.silu(gate)
        return m.head(functional.glu(m.last(m.up(hidden) * m.gate(hidden).sigmoid())))

    return Block(
        forward,
        **{"both": nn.Linear(5, 8), "up": nn.Linear(4, 6), "gate": nn.Linear(4, 6)},
        **{"last": nn.Linear(6, 10), "head": nn.Linear(5, 2)},
    )


class Stages(nn.Sequential):
    """A subclass of a container, with shape code of its own, that reads what its stages leave out."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits."""
        rows = inputs.reshape(inputs.size(0), -1)
        if rows.shape[1] % 2:
            rows = functional.pad(rows, (0, 1))
        return super().forward(rows)


def normalized_weights() -> nn.Module:
    """Weights that are computed from others: weight norm and spectral norm."""
    return nn.Sequential(
        parametrizations.weight_norm(nn.Conv1d(2, 5, 3)),
        nn.ReLU(),
        parametrizations.spectral_norm(nn.Conv1d(5, 4, 2)),
        *(nn.Tanh(), nn.Flatten(), parametrizations.weight_norm(nn.Linear(16, 3))),
    )


def unused() -> nn.Module:
    """A layer that never runs, one whose result is dropped, and a counter."""

    def forward(m: nn.Module, x: Tensor) -> Tensor:
        hidden = m.first(x).relu()
        m.dropped(hidden).relu()
        return m.head(hidden) * m.scale

    return Block(
        forward,
        **{"first": nn.Linear(4, 5), "never": nn.Linear(7, 8), "dropped": nn.Linear(5, 6)},
        **{"head": nn.Linear(5, 2), "counter": torch.tensor(3), "scale": nn.Parameter(torch.ones(()))},
    )


def written_in_place() -> nn.Module:
    """A buffer of zeros that layers write parts of."""

    def forward(m: nn.Module, x: Tensor) -> Tensor:
        hidden = x.new_zeros(x.shape[0], 7)
        hidden[:, :4] = m.first(x)
        hidden[:, 4:].copy_(m.second(x)).mul_(2)
        return m.head(hidden.relu_())

    return Block(forward, first=nn.Linear(5, 4), second=nn.Linear(5, 3), head=nn.Linear(7, 2))


def empty_parts() -> nn.Module:
    """Tensors without entries, joined to hidden units: new ones and slices past the end."""

    def forward(m: nn.Module, x: Tensor) -> Tensor:
        hidden = torch.cat([x.new_zeros(x.shape[0], 0), m.first(x).relu()], 1)
        hidden = torch.cat([hidden, hidden[:, 6:], hidden.new_zeros(0)], 1)
        hidden = m.second(hidden) + hidden[:, :0].sum(1, keepdim=True)
        return m.head(hidden.relu())

    return Block(forward, first=nn.Linear(5, 6), second=nn.Linear(6, 5), head=nn.Linear(5, 2))


FEATURES: dict[str, Case] = {
    "shared_layer": Case(shared_layer, (5,), {"stem": 6}),
    "gated": Case(gated, (5,), {"both": 4, "up": 6, "last": 5}),
    "stages": Case(lambda: Stages(nn.Linear(10, 6), nn.ELU(), nn.Linear(6, 2)), (3, 3), {"0": 6}),
    "normalized_weights": Case(normalized_weights, (2, 7), {"0": 5, "2": 4}),
    "unused": Case(unused, (4,), {"first": 5}),
    "empty_parts": Case(empty_parts, (5,), {"first": 6, "second": 5}),
    "written_in_place": Case(written_in_place, (5,), {"first": 4, "second": 3}),
}
