"""Which networks are the same, by a digest of all their numbers."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

import torch

from workers.canonical_forms.reading import Reader, in_turn
from workers.params import Params, row


def digest(network: Params) -> str:
    """SHA-256 of every tensor with its name, type and shape; -0.0 counts as 0.0."""
    found = hashlib.sha256()
    for name in sorted(network):
        tensor = network[name].detach().cpu()
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
        if tensor.is_floating_point():
            tensor = tensor + 0.0
        found.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def equal_networks(read: Reader, members: Sequence[int]) -> list[list[int]]:
    """Classes of networks that are the same in all numbers, those alone left out; in order."""
    classes: defaultdict[str, list[int]] = defaultdict(list)
    for chunk in in_turn(read, members):
        networks = read(chunk)
        for k, member in enumerate(chunk):
            classes[digest(row(networks, k))].append(member)
    return [of_one for of_one in classes.values() if len(of_one) > 1]
