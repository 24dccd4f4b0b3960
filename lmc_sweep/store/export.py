"""One network's weights as a plain PyTorch state dict."""

from __future__ import annotations

from pathlib import Path

from lmc_sweep.errors import StoreError
from lmc_sweep.store.artifacts import serialize
from lmc_sweep.store.publish import publish
from lmc_sweep.store.store import Store


def export_network(store: Store, network_id: str, output: Path) -> None:
    """Writes the network's state dict as ``.safetensors``, replacing ``output`` in one step.

    Its metadata name the network and hold its spec: data set, architecture, training, seed.
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
            f"{store.path}: no network {network_id!r}. "
            f"`lmc-sweep query {store.path} 'SELECT network_id FROM networks'` lists them."
        ) from None
    (row,) = store.fetch("networks", [network_id], ["spec_json"])
    metadata = {"format": "pt", "network_id": network_id, "spec": row["spec_json"]}
    publish(output, serialize(weights, metadata), replace=True)
