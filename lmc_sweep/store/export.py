"""One network's weights as a plain PyTorch state dict."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmc_sweep.errors import StoreError
from lmc_sweep.store.artifacts import serialize
from lmc_sweep.store.publish import publish
from lmc_sweep.store.store import Store

if TYPE_CHECKING:
    from torch import Tensor


def export_network(
    store: Store,
    network_id: str,
    output: Path,
    loads: Callable[[Mapping[str, Any], Mapping[str, Tensor]], None] | None = None,
) -> None:
    """Writes the network's state dict as ``.safetensors``, replacing ``output`` in one step.

    Every name of the module's state dict is there, tied tensors and counters of batches included. Its
    metadata name the network and hold its spec: data set, architecture, training, seed. No code that the
    spec names is imported.

    Args:
        store: Where the network is.
        network_id: As in the table ``networks``.
        output: The file; it ends in ``.safetensors``.
        loads: Called with the spec and the state dict before anything is written; it raises where the
            module does not load it.
    """
    if output.suffix != ".safetensors":
        raise StoreError(
            f"{output}: weights are written as safetensors. Name a file that ends in .safetensors."
        )
    if not output.parent.is_dir():
        raise StoreError(f"{output}: there is no directory {output.parent}. Make it, or choose another.")
    try:
        weights = store.load_network(network_id)
    except KeyError:
        raise StoreError(
            f"{store.uri}: no network {network_id!r}. "
            f"`lmc-sweep query {store.uri} 'SELECT network_id FROM networks'` lists them."
        ) from None
    (row,) = store.fetch("networks", [network_id], ["spec_json"])
    if loads is not None:
        loads(json.loads(row["spec_json"]), weights)
    metadata = {"format": "pt", "network_id": network_id, "spec": row["spec_json"]}
    publish(output, serialize(weights, metadata), replace=True)
