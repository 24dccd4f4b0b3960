"""The table of the study ``ensembles``: averages of two networks, in weights and in predictions."""

from __future__ import annotations

from lmc_sweep.store.columns import Column, count, real, text
from lmc_sweep.store.study_columns import CELL_COLUMNS, study_table

_PREDICTORS = {
    "first": "of the first network, or of the end of a line at alpha 0",
    "second": "of the second network, or of the end at alpha 1",
    "weight_average": "of the network whose weights are the mean of both",
    "prediction_average": "of the mean of both networks' class probabilities",
}
_NO = "null if not asked for or not finite"


def _measured(split: str) -> tuple[Column, ...]:
    """What is measured on one split."""
    figures = [
        real(f"{split}_{name}_{quantity}", f"{what} on {split} {told}; {_NO}", unit)
        for name, told in _PREDICTORS.items()
        for quantity, what, unit in (("loss", "mean cross-entropy", "nats"), ("error", "error", "fraction"))
    ]
    disagreement = real(
        f"{split}_disagreement",
        f"share of the examples of {split} that the two networks predict differently; {_NO}",
        "fraction",
    )
    return (*figures, disagreement)


ENSEMBLES = study_table(
    "ensembles",
    "ensemble_id",
    "ensemble",
    (
        text("pair_id", "identity of the pair, the same as in `barriers` of world real"),
        text("method", "independent, functional_difference, subspace or subspace_functional_difference"),
        text("method_json", "the method with all its options, as JSON"),
        *CELL_COLUMNS,
        text("network_a", "network_id of the first network of the pair"),
        text("network_b", "network_id of the second network"),
        count("seed_a", "seed of the first network"),
        count("seed_b", "seed of the second network"),
        *_measured("train"),
        *_measured("test"),
        real("cosine", "cosine of all weights of the two networks, biases left out; null if not finite"),
        count(
            "epochs_trained", "epochs of the line's training; null without a line", "epochs", nullable=True
        ),
        text(
            "stop_reason", "loss_reached, max_epochs or diverged, of the line; null likewise", nullable=True
        ),
        real("align_seconds", "time of the search for permutations; 0 without", "s"),
        real("train_seconds", "the line's share of the time of training; 0 without", "s"),
        text(
            "checkpoint",
            "file of the lines' ends, relative to the store: names of the state dict after `first.` and "
            "`second.`; null without a line",
            nullable=True,
        ),
        count("row", "index of the line on the first axis of that file; null likewise", nullable=True),
    ),
    artifact="checkpoint",
)
