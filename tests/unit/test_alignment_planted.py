"""Planted copies: what they depend on, and what they leave alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from workers.alignment.planted import Planting, perturbed, planted_start, recovered, undone
from workers.device import threads
from workers.permutation import permute
from workers.permutation.spec import PermutationSpec, Segment

SPEC = PermutationSpec(
    groups={"a": 5, "b": 3},
    axes={("w", 0): (Segment("a", 5),), ("w", 1): (Segment("b", 3),)},
)


def stack(num_networks: int = 3) -> dict[str, Tensor]:
    """Networks with one matrix, one bias and one buffer."""
    stream = torch.Generator().manual_seed(0)
    return {
        "w": torch.randn((num_networks, 50, 40), generator=stream),
        "bias": torch.randn((num_networks, 7), generator=stream),
        "norm.running_mean": torch.randn((num_networks, 7), generator=stream),
    }


def planting(noise: float = 0.2, k: int = 0, member: int = 1, network: str = "one") -> Planting:
    """What decides one copy."""
    return Planting(network, k, member, noise)


def copy(params: dict[str, Tensor], *plantings: Planting) -> dict[str, Tensor]:
    """The perturbed copies; ``w`` and ``bias`` are the parameters."""
    return perturbed(params, plantings, {"w", "bias"})


def test_noise_is_in_standard_deviations_of_each_tensor() -> None:
    """The noise of each parameter has the standard deviation asked for; buffers stay, inputs too."""
    params = stack(1)
    before = {name: tensor.clone() for name, tensor in params.items()}
    made = copy(params, planting(0.2))
    ratio = (made["w"] - params["w"]).std() / params["w"].std()
    assert float(ratio) == pytest.approx(0.2, rel=0.05)
    assert not torch.equal(made["bias"], params["bias"])
    assert torch.equal(made["norm.running_mean"], params["norm.running_mean"])
    assert all(torch.equal(before[name], params[name]) for name in params)


def test_levels_scale_the_same_draws() -> None:
    """Twice the noise is twice the difference, and none is the network itself, bit for bit."""
    params = stack(1)
    one, two, none = (copy(params, planting(noise)) for noise in (0.1, 0.2, 0.0))
    torch.testing.assert_close(2 * (one["w"] - params["w"]), two["w"] - params["w"], rtol=1e-4, atol=1e-6)
    assert all(torch.equal(none[name], params[name]) for name in params)


def test_a_copy_is_the_same_in_any_batch_and_on_any_threads() -> None:
    """A row's bits depend on its network, pair, member and noise alone."""
    params = stack(3)
    plantings = [planting(0.1), planting(0.3, k=2), planting(0.2, network="two")]
    together = copy(params, *plantings)
    for row, own in enumerate(plantings):
        with threads(2):
            alone = copy({name: tensor[row : row + 1] for name, tensor in params.items()}, own)
        assert all(torch.equal(together[name][row], alone[name][0]) for name in params)


def test_pairs_members_and_networks_have_draws_of_their_own() -> None:
    """No two of them share their noise."""
    params = {name: tensor.expand(4, *tensor.shape[1:]) for name, tensor in stack(1).items()}
    made = copy(params, planting(), planting(k=1), planting(member=2), planting(network="two"))
    differences = made["w"] - params["w"]
    correlations = torch.corrcoef(differences.flatten(1)) - torch.eye(4)
    assert float(correlations.abs().max()) < 0.1


def test_the_answer_undoes_what_was_planted() -> None:
    """Start and answer compose to the identity: every unit is recovered; without it, few are."""
    starts = [
        permute.identity(SPEC, 2),
        *(
            {
                group: torch.stack([planted_start(SPEC, "one", k, member)[group] for k in range(2)])
                for group in SPEC.groups
            }
            for member in (1, 2)
        ),
    ]
    found = undone(starts, SPEC, 2)
    assert ["planted", "planted"] == found.outcome
    totals = [permute.compose(a, b) for a, b in zip(starts, found.permutations, strict=True)]
    assert [1.0, 1.0] == recovered(totals[1:]).tolist()
    assert float(recovered(starts[1:]).max()) < 1.0


def test_recovery_counts_units_over_members() -> None:
    """Two of eight units out of place in one of two members: 14 of 16 are back."""
    still, swapped = permute.identity(SPEC, 1), permute.identity(SPEC, 1)
    swapped["a"] = torch.tensor([[1, 0, 2, 3, 4]])
    assert [14 / 16] == recovered([still, swapped]).tolist()
