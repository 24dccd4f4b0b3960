"""Initialization, batch order, minibatches and learning rates."""

from __future__ import annotations

import pytest
import torch
from toy_networks import network, toy

from workers.architectures import build
from workers.seeding import generator
from workers.training.minibatches import minibatches
from workers.training.schedule import learning_rate
from workers.training.streams import epoch_orders, initial_params


def drawn(seed: int, epoch: int, num_examples: int = 40) -> torch.Tensor:
    """The order that the stream of a seed and an epoch gives."""
    return torch.randperm(num_examples, generator=generator("order", seed, epoch))


def test_networks_of_one_seed_share_the_order_across_cells() -> None:
    """The order depends on seed and epoch alone."""
    specs = [network(3), network(3, learning_rate=0.5, noise=0.1), network(4), network(9, order_seed=3)]
    orders = epoch_orders(specs, [2, 2, 2, 2], 40)
    assert torch.equal(drawn(3, 2), orders[0])
    assert torch.equal(orders[0], orders[1])
    assert torch.equal(orders[0], orders[3])
    assert not torch.equal(orders[0], orders[2])


@pytest.mark.parametrize(
    ("step", "num_shared"), [(0, 0), (5, 0), (6, 8), (7, 16), (9, 32), (10, 40), (99, 40)]
)
def test_a_spawn_switches_streams_at_its_step(step: int, num_shared: int) -> None:
    """Of epoch 1 with five batches of eight, those of global steps below k are from the shared stream."""
    order = epoch_orders([network(3, batch_size=8, spawn_at_step=step)], [1], 40)[0]
    assert torch.equal(drawn(0, 1)[:num_shared], order[:num_shared])
    assert torch.equal(drawn(3, 1)[num_shared:], order[num_shared:])


def test_seeds_replace_the_networks_own_in_one_stream_each() -> None:
    """``init_seed`` decides the initialization, 0 included; spawned networks start from 0."""
    program = build(network(0).architecture, toy().definition)

    def start(**options: int) -> torch.Tensor:
        return initial_params(program, network(5, **options))["layers.0.weight"]

    zero = initial_params(program, network(0))["layers.0.weight"]
    assert torch.equal(zero, start(init_seed=0))
    assert torch.equal(zero, start(spawn_at_step=4))
    assert torch.equal(start(), start(order_seed=0))
    assert not torch.equal(zero, start())


def test_minibatches_hold_every_example_once_in_order() -> None:
    """Batches follow the order, the last one is smaller, and padding repeats a batch's first example."""
    order = torch.stack([torch.randperm(23), torch.randperm(23)])
    labels = torch.randint(5, (2, 23))
    seen: list[list[int]] = [[], []]
    sizes = []
    for part in minibatches(order, labels, 6, num_classes=5):
        for rows, picks in zip(part.rows, part.picks, strict=True):
            sizes.append(part.size)
            batch = rows.view(2, part.padded_size)
            assert torch.equal(batch[:, :1].expand(-1, part.padded_size - part.size), batch[:, part.size :])
            network_index, place = picks // (5 * part.padded_size), picks % (5 * part.padded_size)
            assert network_index.view(2, -1).tolist() == [[n] * part.padded_size for n in range(2)]
            assert (place % part.padded_size).view(2, -1).tolist() == [list(range(part.padded_size))] * 2
            for n in range(2):
                chosen = batch[n, : part.size]
                assert torch.equal(
                    labels[n][len(seen[n]) : len(seen[n]) + part.size],
                    (place // part.padded_size).view(2, -1)[n, : part.size],
                )
                seen[n] += chosen.tolist()
    assert [6, 6, 6, 5] == sizes
    assert order.tolist() == seen


def test_the_cosine_starts_at_the_rate_and_halves_midway() -> None:
    """learning_rate / 2 * (1 + cos(pi * epoch / max_epochs)); constant stays."""
    cosine = network(learning_rate=0.2, schedule="cosine", max_epochs=10).training
    assert learning_rate(cosine, 0) == pytest.approx(0.2)
    assert learning_rate(cosine, 5) == pytest.approx(0.1)
    assert learning_rate(network(learning_rate=0.2).training, 7) == 0.2
