"""Single networks, as modules or as state dicts, in the form that alignment takes: stacks of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from workers.params import Params, ParamStack
from workers.permutation.derive import derive_permutation_spec
from workers.permutation.spec import PermutationSpec

Network = nn.Module | Mapping[str, Tensor]
"""One network: a module, or the state dict of one."""


def stacks_of_one(networks: Sequence[Network]) -> list[ParamStack]:
    """The networks' states, each as a stack; the tensors are theirs.

    A tensor that a module holds under several names is taken once, and so it is from the state dicts
    beside that module.

    Raises:
        ValueError: If names or shapes differ between the networks.
    """
    states = [dict(state_of(network)) for network in networks]
    held = [_held_once(network) for network in networks if isinstance(network, nn.Module)]
    for k, state in enumerate(states[1:], start=1):
        _check_alike(states[0], state, k)
    names = held[0] if held else states[0].keys()
    return [{name: state[name].unsqueeze(0) for name in names} for state in states]


def spec_of(networks: Sequence[Network], example_input: Tensor | None) -> PermutationSpec:
    """The spec of the first module among the networks, proved on that module.

    Raises:
        ValueError: If there is no module, it cannot be traced, or nothing in it can be permuted.
    """
    from workers.permutation.check import check_spec

    module = next((network for network in networks if isinstance(network, nn.Module)), None)
    if module is None:
        raise ValueError(
            "a permutation spec is derived from a module, and all networks are state dicts: "
            "give one of them as its module, or give the spec"
        )
    spec = derive_permutation_spec(module, example_input)
    check_spec(module, spec, example_input)
    return spec


def state_of(network: Network) -> Mapping[str, Tensor]:
    """The state dict of a network, without gradients."""
    state = network.state_dict() if isinstance(network, nn.Module) else network
    return {name: tensor.detach() for name, tensor in state.items()}


def _held_once(module: nn.Module) -> list[str]:
    """Names of the state dict, of tied tensors the first."""
    tensors: dict[int, str] = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        tensors.setdefault(id(tensor), name)
    return list(tensors.values())


def _check_alike(first: Params, other: Params, k: int) -> None:
    """Raises ValueError unless two networks have the same tensors."""
    lacking = [*(first.keys() - other.keys()), *(other.keys() - first.keys())]
    if lacking:
        raise ValueError(
            f"networks of one architecture are aligned: networks 0 and {k} do not both have "
            f"{', '.join(sorted(lacking)[:5])}"
        )
    for name, tensor in first.items():
        if tensor.shape != other[name].shape:
            raise ValueError(
                f"networks of one architecture are aligned: {name} is {tuple(tensor.shape)} in network 0 "
                f"and {tuple(other[name].shape)} in network {k}"
            )
