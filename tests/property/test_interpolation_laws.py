"""Laws of the curves between networks, on random stacks of random shapes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from workers.architectures.mlp import MLPProgram
from workers.device import threads
from workers.evaluation import evaluate
from workers.interpolation.barriers import barrier, midpoint_barrier
from workers.interpolation.interpolate import Curves, interpolate
from workers.params import ParamStack, row, rows, stack
from workers.seeding import generator

GRID = tuple(k / 10 for k in range(11))


@dataclass(frozen=True)
class Scene:
    """A program, two stacks of pairs, examples and labels, made when they are asked for."""

    width: int
    depth: int
    num_inputs: int
    num_pairs: int
    num_examples: int

    @cached_property
    def program(self) -> MLPProgram:
        """The architecture."""
        return MLPProgram(self.num_inputs, self.width, self.depth, num_classes=10)

    @cached_property
    def a(self) -> ParamStack:
        """The networks at alpha 0."""
        return self._networks(range(self.num_pairs))

    @cached_property
    def b(self) -> ParamStack:
        """The networks at alpha 1."""
        return self._networks(range(100, 100 + self.num_pairs))

    @cached_property
    def inputs(self) -> Tensor:
        """The examples."""
        stream = generator("test", "inputs", self.num_inputs, self.num_examples)
        return torch.randn((self.num_examples, self.num_inputs), generator=stream)

    @cached_property
    def labels(self) -> Tensor:
        """Their labels."""
        return torch.randint(
            10, (self.num_examples,), generator=generator("test", "labels", self.num_examples)
        )

    def _networks(self, seeds: range) -> ParamStack:
        """Networks larger than at initialization, so that predictions are confident and curves are high."""
        made = stack([self.program.initialize(seed) for seed in seeds])
        return {name: 3 * tensor for name, tensor in made.items()}

    def curves(self, a: ParamStack, b: ParamStack, alphas: tuple[float, ...] = GRID) -> Curves:
        """Curves between two stacks on the scene's examples."""
        return interpolate(self.program, a, b, alphas, self.inputs, self.labels)


scenes = st.builds(
    Scene,
    width=st.sampled_from([1, 4, 5, 16, 33, 64]),
    depth=st.integers(1, 3),
    num_inputs=st.sampled_from([3, 64]),
    num_pairs=st.integers(1, 5),
    num_examples=st.sampled_from([1, 7, 300, 512, 530, 1100]),
)
quick = settings(max_examples=25)


def grid(curves: Curves) -> Tensor:
    """The alphas as the barriers take them."""
    return torch.tensor(curves.alphas, dtype=torch.float64)


@quick
@given(scenes)
def test_a_network_has_no_barrier_with_itself(scene: Scene) -> None:
    """Every point of the segment is the network bit for bit, so both barriers are 0 and not merely small."""
    curves = scene.curves(scene.a, scene.a)

    for figures in (curves.losses, curves.errors):
        assert torch.equal(torch.zeros(len(figures), dtype=torch.float64), barrier(figures, grid(curves)))
        assert torch.equal(
            torch.zeros(len(figures), dtype=torch.float64), midpoint_barrier(figures, grid(curves))
        )
    assert torch.equal(torch.zeros_like(curves.endpoint_disagreement), curves.endpoint_disagreement)


@quick
@given(scenes)
def test_swapping_the_networks_mirrors_the_curve(scene: Scene) -> None:
    """theta(alpha) from A to B is theta(1 - alpha) from B to A."""
    there, back = scene.curves(scene.a, scene.b), scene.curves(scene.b, scene.a)

    assert torch.allclose(there.losses, back.losses.flip(1), rtol=1e-5, atol=1e-6)
    # a logit that is nearly a tie may fall either way
    assert torch.allclose(there.errors, back.errors.flip(1), rtol=0, atol=2 / there.num_examples)
    assert torch.equal(there.endpoint_disagreement, back.endpoint_disagreement)


@quick
@given(scenes)
def test_the_ends_of_a_curve_are_the_endpoints_bit_for_bit(scene: Scene) -> None:
    """At alpha 0 and 1 the figures are those of the networks evaluated by themselves."""
    curves = scene.curves(scene.a, scene.b)

    for position, params in ((0, scene.a), (-1, scene.b)):
        alone = evaluate(scene.program, params, scene.inputs, scene.labels)
        assert torch.equal(alone.losses, curves.losses[:, position])
        assert torch.equal(alone.errors, curves.errors[:, position])


@quick
@given(scene=scenes, data=st.data())
def test_a_pair_has_the_same_curve_in_any_company(scene: Scene, data: st.DataObject) -> None:
    """Any choice of pairs, in any order, on any number of threads, gives the same rows bit for bit."""
    chosen = data.draw(st.lists(st.integers(0, scene.num_pairs - 1), min_size=1, max_size=4))
    num_threads = data.draw(st.integers(1, 3))
    whole = scene.curves(scene.a, scene.b)

    with threads(num_threads):
        part = scene.curves(rows(scene.a, chosen), rows(scene.b, chosen))

    assert torch.equal(whole.losses[chosen], part.losses)
    assert torch.equal(whole.errors[chosen], part.errors)
    assert torch.equal(whole.endpoint_disagreement[chosen], part.endpoint_disagreement)


@quick
@given(scenes)
def test_curves_are_those_of_a_plain_loop_over_modules(scene: Scene) -> None:
    """A loop of load_state_dict, forward pass and cross_entropy gives the same figures up to rounding."""
    curves = scene.curves(scene.a, scene.b)
    module = scene.program.module.to_empty(device="cpu")

    predictions = {}
    for pair in range(len(curves.losses)):
        for position, alpha in enumerate(GRID):
            ends = row(scene.a, pair), row(scene.b, pair)
            module.load_state_dict(
                {name: (1 - alpha) * ends[0][name] + alpha * ends[1][name] for name in ends[0]}
            )
            with torch.no_grad():
                logits = module(scene.inputs)
            predictions[position] = logits.argmax(1)
            expected = functional.cross_entropy(logits, scene.labels).item()
            assert expected == pytest.approx(curves.losses[pair, position].item(), rel=1e-5, abs=1e-6)
            wrong = (predictions[position] != scene.labels).double().mean().item()
            assert wrong == pytest.approx(curves.errors[pair, position].item(), abs=2 / len(scene.labels))
        differing = (predictions[0] != predictions[len(GRID) - 1]).double().mean().item()
        assert differing == pytest.approx(
            curves.endpoint_disagreement[pair].item(), abs=2 / len(scene.labels)
        )


@quick
@given(scenes)
def test_the_networks_and_the_examples_are_left_unchanged(scene: Scene) -> None:
    """Nothing that was passed in is written to."""
    passed = [*scene.a.values(), *scene.b.values(), scene.inputs, scene.labels]
    before = [tensor.clone() for tensor in passed]

    scene.curves(scene.a, scene.b)

    assert all(torch.equal(old, new) for old, new in zip(before, passed, strict=True))


@pytest.mark.parametrize(("width", "depth"), [(3, 1), (8, 2)])
def test_pairs_that_begin_at_one_network_have_the_figures_of_each_alone(width: int, depth: int) -> None:
    """Bit for bit, in runs of one network and of several, though the first layer's product is shared."""
    program = MLPProgram(width=width, depth=depth, num_inputs=64, num_classes=10)
    networks = stack([program.initialize(seed) for seed in range(6)])
    inputs = torch.randn((700, 64), generator=generator("test", width))
    labels = torch.arange(700) % 10
    firsts, seconds = [0, 0, 0, 1, 1, 2, 0], [1, 2, 3, 2, 3, 3, 4]
    alphas = (0.0, 0.25, 0.5, 1.0)
    found = interpolate(program, rows(networks, firsts), rows(networks, seconds), alphas, inputs, labels)
    for k, (first, second) in enumerate(zip(firsts, seconds, strict=True)):
        alone = interpolate(
            program, rows(networks, [first]), rows(networks, [second]), alphas, inputs, labels
        )
        assert torch.equal(alone.losses[0], found.losses[k])
        assert torch.equal(alone.errors[0], found.errors[k])
