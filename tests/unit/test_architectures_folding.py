"""Batch norms that evaluation folds into the layers before them."""

from __future__ import annotations

import pytest
import torch
from small_convolutions import CLASSES, MODULES, PROGRAMS, SHAPE, examples, networks
from torch import Tensor, nn
from torch.func import functional_call

from workers.architectures.module_program import ModuleProgram
from workers.params import row


class ReadTwice(nn.Module):
    """The norm and a skip connection both read the convolution's output."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(2, 5, 3), nn.BatchNorm2d(5), nn.Linear(5, CLASSES)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits."""
        made = self.conv(inputs)
        return self.head(torch.relu(made + self.norm(made)).mean((2, 3)))


class Peeking(nn.Module):
    """The forward pass reads a parameter of the norm by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(2, 5, 3), nn.BatchNorm2d(5), nn.Linear(5, CLASSES)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits."""
        return self.head(torch.relu(self.norm(self.conv(inputs))).mean((2, 3)) * self.norm.weight)


def after_activation() -> nn.Module:
    """A norm behind an activation that works in place, on the convolution's own memory."""
    return nn.Sequential(
        nn.Conv2d(2, 5, 3),
        nn.ReLU(inplace=True),
        nn.BatchNorm2d(5),
        nn.Flatten(),
        nn.Linear(80, CLASSES),
    )


@pytest.mark.parametrize(
    ("name", "folds"),
    [
        ("plain", []),
        ("batch_normed", [("0", "1"), ("3", "4")]),
        ("bare_norms", [("0", "1")]),
        ("residual", [("stem", "stem_norm"), ("inner", "inner_norm"), ("outer", "outer_norm")]),
    ],
)
def test_norms_right_behind_a_layer_are_folded(name: str, folds: list[tuple[str, str]]) -> None:
    """Batch norms alone; layer norms have no fixed statistics."""
    assert folds == [(fold.product, fold.norm) for fold in PROGRAMS[name].folds]


@pytest.mark.parametrize("make", [ReadTwice, Peeking, after_activation])
def test_a_norm_is_left_where_folding_would_change_the_function(make: type[nn.Module]) -> None:
    """Something else reads what would be changed or taken away, or stands in between."""
    assert () == ModuleProgram(make, SHAPE, CLASSES).folds


@pytest.mark.parametrize("name", list(MODULES))
def test_evaluation_computes_what_the_module_does(name: str) -> None:
    """In double precision to twelve digits, folded or not."""
    program, inputs = PROGRAMS[name], examples(30)
    params = networks(program, range(2))

    actual = program.logits(params, program.prepare(inputs))

    for k in range(2):
        module = MODULES[name]().double().eval()
        with torch.no_grad():
            expected = functional_call(module, row(params, k), (program.prepare(inputs),)).mT
        assert torch.allclose(expected, actual[k], rtol=1e-12, atol=1e-12)
