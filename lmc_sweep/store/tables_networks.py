"""The table of trained networks."""

from __future__ import annotations

from lmc_sweep.store.columns import CREATED_AT, ENVIRONMENT, Table, count, real, text

NETWORKS = Table(
    "networks",
    (
        text("network_id", "identity of the network: data set, architecture, training, seed"),
        text("cell_id", "identity of the cell: all of the network's identity but its seed"),
        text("dataset", "data set that it was trained on"),
        text("architecture", "family of architectures"),
        count("width", "units of a hidden layer, where the family has a width", "units", nullable=True),
        count("depth", "hidden layers, where the family has a depth", "layers", nullable=True),
        count("seed", "seed of its random streams"),
        real("label_noise", "share of training labels that were replaced", "fraction", nullable=False),
        real("learning_rate", "learning rate at the start of the schedule; null if trained elsewhere"),
        count("batch_size", "examples of a minibatch; null likewise", "examples", nullable=True),
        count("max_epochs", "epochs after which training stops; null likewise", "epochs", nullable=True),
        count("epochs_trained", "epochs that were trained; null likewise", "epochs", nullable=True),
        text("stop_reason", "loss_reached, max_epochs or diverged; null likewise", nullable=True),
        real("train_loss", "mean cross-entropy on all training examples; null if it diverged", "nats"),
        real("train_error", "error on all training examples; null if it diverged", "fraction"),
        real("test_loss", "mean cross-entropy on all test examples; null if it diverged", "nats"),
        real("test_error", "error on all test examples; null if it diverged", "fraction"),
        count("num_parameters", "parameters of the network", "parameters"),
        text("checkpoint", "file of the stack that holds its weights, relative to the store"),
        count("row", "its index on the network axis of that stack"),
        real("train_seconds", "its share of the stack's training time", "s"),
        text("device", "device that trained it"),
        CREATED_AT,
        text("spec_json", "everything that decides its weights, as JSON"),
        ENVIRONMENT,
        text("optimizer", "sgd or adam; null if trained elsewhere", nullable=True),
        count(
            "save_at", "epoch after which it was saved; null for the end of training", "epochs", nullable=True
        ),
        count("input_size", "side to which images were resized; null if they were not", "px", nullable=True),
        count("num_train", "training examples", "examples", nullable=True),
        count("num_test", "test examples", "examples", nullable=True),
    ),
    key="network_id",
    artifact="checkpoint",
    kind="network",
)
