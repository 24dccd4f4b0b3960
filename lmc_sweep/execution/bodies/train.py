"""Training a batch of networks."""

from __future__ import annotations

from collections.abc import Sequence

from lmc_sweep import data
from lmc_sweep.execution.bodies.inputs import program_of
from lmc_sweep.planning.identity import canonical_json
from lmc_sweep.planning.items import NetworkItem
from lmc_sweep.store.store import Store
from workers.params import num_parameters, row
from workers.training.train import train


def train_batch(store: Store, items: Sequence[NetworkItem], device: str) -> None:
    """Trains networks of one architecture as one stack."""
    first = items[0].spec
    program, _ = program_of(first)
    trained = train(program, [item.spec for item in items], data.load(first.dataset), device=device)
    checkpoint = store.write_tensors("networks", trained.params, None)
    size = num_parameters(row(trained.params, 0))
    rows = [
        {
            "network_id": item.id,
            "cell_id": item.cell_id,
            "dataset": item.spec.dataset,
            "architecture": item.spec.architecture.name,
            "width": item.spec.architecture.width,
            "depth": item.spec.architecture.depth,
            "seed": item.spec.seed,
            "label_noise": item.spec.label_noise,
            "learning_rate": item.spec.training.learning_rate,
            "batch_size": item.spec.training.batch_size,
            "max_epochs": item.spec.training.max_epochs,
            "epochs_trained": trained.epochs_trained[k],
            "stop_reason": trained.stop_reason[k],
            "train_loss": trained.train_loss[k],
            "train_error": trained.train_error[k],
            "test_loss": trained.test_loss[k],
            "test_error": trained.test_error[k],
            "num_parameters": size,
            "checkpoint": checkpoint,
            "row": k,
            "train_seconds": trained.train_seconds[k],
            "device": device,
            "spec_json": canonical_json(item.spec),
        }
        for k, item in enumerate(items)
    ]
    store.commit("networks", rows)
