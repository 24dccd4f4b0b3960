"""Weights of one network, or of one end of a line, as a plain PyTorch state dict."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lmc_sweep.errors import StoreError
from lmc_sweep.store.artifacts import serialize
from lmc_sweep.store.publish import publish
from lmc_sweep.store.store import Store

if TYPE_CHECKING:
    from torch import Tensor


End = Literal["first", "second"]
"""Of a line: at alpha 0, at alpha 1."""

_OF_LINE = ("method", "network_a", "network_b", "checkpoint", "row")


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
    _check_output(output)
    try:
        weights = store.load_network(network_id)
    except KeyError:
        if network_id in store.ids("ensemble"):
            raise StoreError(
                f"{network_id} is an ensemble, no network. Of one that learned a line, --end first and "
                "--end second write the two ends"
            ) from None
        raise StoreError(
            f"{store.uri}: no network {network_id!r}. "
            f"`lmc-sweep query {store.uri} 'SELECT network_id FROM networks'` lists them."
        ) from None
    (row,) = store.fetch("networks", [network_id], ["spec_json"])
    if loads is not None:
        loads(json.loads(row["spec_json"]), weights)
    metadata = {"format": "pt", "network_id": network_id, "spec": row["spec_json"]}
    publish(output, serialize(weights, metadata), replace=True)


def export_end(store: Store, ensemble_id: str, end: End, output: Path) -> None:
    """Writes the state dict of one end of a line of the study ``ensembles``, as ``export_network`` does.

    Args:
        store: Where the line is.
        ensemble_id: As in the table ``ensembles``, of a method that learns a line.
        end: Which of the two.
        output: The file; it ends in ``.safetensors``.
    """
    _check_output(output)
    try:
        (row,) = store.fetch("ensembles", [ensemble_id], [*_OF_LINE, "spec_json"])
    except KeyError:
        raise StoreError(
            f"{store.uri}: no ensemble {ensemble_id!r}. "
            f"`lmc-sweep query {store.uri} 'SELECT ensemble_id FROM ensembles'` lists them."
        ) from None
    if row["checkpoint"] is None:
        raise StoreError(
            f"ensemble {ensemble_id}: method {row['method']} learns no line, and only lines are stored. "
            f"Its networks are {row['network_a']} and {row['network_b']}: export them by their ids"
        )
    prefix = f"{end}."
    held = store.load_rows([(row["checkpoint"], row["row"])])
    weights = {name.removeprefix(prefix): held[name][0] for name in held if name.startswith(prefix)}
    metadata = {"format": "pt", "ensemble_id": ensemble_id, "end": end, "spec": row["spec_json"]}
    publish(output, serialize(weights, metadata), replace=True)


def _check_output(output: Path) -> None:
    """Refuses a file of another kind, or in a directory that is not there."""
    if output.suffix != ".safetensors":
        raise StoreError(
            f"{output}: weights are written as safetensors. Name a file that ends in .safetensors."
        )
    if not output.parent.is_dir():
        raise StoreError(f"{output}: there is no directory {output.parent}. Make it, or choose another.")
