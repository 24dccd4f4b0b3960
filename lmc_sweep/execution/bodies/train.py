"""Training a batch of networks, or bringing in networks that were trained elsewhere."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lmc_sweep import checkpoints
from lmc_sweep.errors import SweepError
from lmc_sweep.execution.bodies.inputs import dataset_of, finite, inputs_of, labels_of, on_device, program_of
from lmc_sweep.execution.task import Machine
from lmc_sweep.planning.identity import canonical_json
from lmc_sweep.planning.items import NetworkItem
from lmc_sweep.store.store import Store
from workers.architectures import StackedProgram
from workers.datasets.definitions import define
from workers.evaluation import evaluate
from workers.params import ParamStack, num_parameters, row
from workers.specs import CheckpointSpec, NetworkSpec, Split
from workers.training.train import train


def train_batch(store: Store, items: Sequence[NetworkItem], machine: Machine) -> None:
    """Trains networks of one architecture as one stack; those from files are read and evaluated."""
    if isinstance(items[0].spec, CheckpointSpec):
        return _import_batch(store, items, machine.device)
    specs = [item.spec for item in items if isinstance(item.spec, NetworkSpec)]
    program = program_of(specs[0])
    trained = train(program, specs, dataset_of(specs[0].data, machine.device), device=machine.device)
    checkpoint = _write(store, program, trained.params)
    rows = [
        {
            **_described(item, program, trained.params),
            "learning_rate": spec.training.learning_rate,
            "batch_size": spec.training.batch_size,
            "max_epochs": spec.training.max_epochs,
            "epochs_trained": trained.epochs_trained[k],
            "stop_reason": trained.stop_reason[k],
            "train_loss": trained.train_loss[k],
            "train_error": trained.train_error[k],
            "test_loss": trained.test_loss[k],
            "test_error": trained.test_error[k],
            "checkpoint": checkpoint,
            "row": k,
            "train_seconds": trained.train_seconds[k],
            "device": machine.device,
            "optimizer": spec.training.optimizer,
            "save_at": spec.training.save_at,
        }
        for k, (item, spec) in enumerate(zip(items, specs, strict=True))
    ]
    store.commit("networks", rows)
    return None


def _import_batch(store: Store, items: Sequence[NetworkItem], device: str) -> None:
    """Networks from files: the weights are copied into the store and evaluated in full."""
    begun = time.perf_counter()
    kind = items[0].spec
    program = program_of(kind)
    files = [Path(item.source or "") for item in items]
    for file, item in zip(files, items, strict=True):
        assert isinstance(item.spec, CheckpointSpec)
        if checkpoints.sha256(file) != item.spec.sha256:
            raise SweepError(f"{file}: its weights have changed since the sweep was planned. Run it again")
    params = checkpoints.load_many(files, program)
    checkpoint = _write(store, program, params)
    figures: list[dict[str, Any]] = [{} for _ in items]
    splits: tuple[Split, ...] = ("train", "test")
    for split in splits:
        labels = labels_of(kind.data, split, kind.label_noise, device)
        found = evaluate(program, on_device(params, device), inputs_of(kind, split, device), labels)
        for k, of_network in enumerate(figures):
            of_network[f"{split}_loss"] = finite(found.losses[k])
            of_network[f"{split}_error"] = finite(found.errors[k])
    seconds = (time.perf_counter() - begun) / len(items)
    rows = [
        {
            **_described(item, program, params),
            **figures[k],
            "learning_rate": None,
            "batch_size": None,
            "max_epochs": None,
            "epochs_trained": None,
            "stop_reason": None,
            "checkpoint": checkpoint,
            "row": k,
            "train_seconds": seconds,
            "device": device,
            "optimizer": None,
            "save_at": None,
        }
        for k, item in enumerate(items)
    ]
    store.commit("networks", rows)


def _write(store: Store, program: StackedProgram, params: ParamStack) -> str:
    """Writes the stack, with the further names that its state dict has for some of its tensors."""
    aliases = getattr(program, "aliases", {})
    return store.write_tensors("networks", params, {"aliases": json.dumps(aliases)} if aliases else None)


def _described(item: NetworkItem, program: StackedProgram, params: ParamStack) -> dict[str, Any]:
    """The columns that say what a network is."""
    spec = item.spec
    held = {name: tensor for name, tensor in row(params, 0).items() if name not in program.buffers}
    return {
        "network_id": item.id,
        "cell_id": item.cell_id,
        "dataset": spec.dataset,
        "architecture": spec.architecture.name,
        "width": spec.architecture.width,
        "depth": spec.architecture.depth,
        "seed": spec.seed,
        "label_noise": spec.label_noise,
        "num_parameters": num_parameters(held),
        "spec_json": canonical_json(spec),
        "input_size": spec.input_size,
        "num_train": define(spec.data).num_train,
        "num_test": define(spec.data).num_test,
    }
