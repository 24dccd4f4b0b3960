"""One network's weights as a plain PyTorch state dict."""

from __future__ import annotations

from pathlib import Path

from lmc_sweep.errors import StoreError
from lmc_sweep.store.artifacts import serialize
from lmc_sweep.store.publish import publish
from lmc_sweep.store.store import Store


def export_network(store: Store, network_id: str, output: Path) -> None:
    """Writes the network's state dict as ``.safetensors``, replacing ``output`` in one step."""
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
    publish(output, serialize(weights, {"format": "pt", "network_id": network_id}), replace=True)
