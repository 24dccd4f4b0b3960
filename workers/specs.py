"""What is asked of a worker: frozen values, free of torch.

Every field is checked where a sweep file is read (``lmc_sweep.config``), by the constraints written
beside it. ``neutral`` in a field's metadata is the value at which the field is left out of an
identity. It is frozen when the field is introduced and never follows a changed default, so that a
new option cannot orphan old results.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Lt

Split = Literal["train", "test"]
World = Literal["real", "model"]
Correction = Literal["none"]
StopReason = Literal["loss_reached", "max_epochs", "diverged"]


def neutral(value: Any) -> Any:
    """A field whose default is ``value``, and which is left out of identities at that value for ever."""
    return field(default=value, metadata={"neutral": value})


@dataclass(frozen=True, kw_only=True)
class MLPSpec:
    """A multilayer perceptron: ``depth`` hidden layers of ``width`` ReLU units each, biases everywhere."""

    name: Literal["mlp"] = "mlp"
    width: Annotated[int, Ge(1)]
    depth: Annotated[int, Ge(1)] = 1


ArchitectureSpec = MLPSpec  # becomes a union as families are added
ARCHITECTURES: dict[str, type[ArchitectureSpec]] = {"mlp": MLPSpec}


@dataclass(frozen=True, kw_only=True)
class TrainingSpec:
    """How one network is trained.

    The last four fields choose which random streams networks share. ``init_seed`` and ``order_seed``
    replace the network's own seed in one stream each. ``spawn_at_step`` lets all networks of a cell
    share initialization and batch order up to that step, after which each follows its own order: the
    instability analysis of Frankle et al. 2020. ``permute_init`` permutes the hidden units of the
    initialization at random, by that number, and leaves the batch order alone: the middle panel of
    figure 1 in Entezari et al. 2021.
    """

    optimizer: Literal["sgd"] = "sgd"
    learning_rate: Annotated[float, Gt(0)] = 0.01
    momentum: Annotated[float, Ge(0), Lt(1)] = 0.9
    weight_decay: Annotated[float, Ge(0)] = 0.0
    batch_size: Annotated[int, Ge(1)] = 64
    schedule: Literal["constant", "cosine"] = "constant"
    max_epochs: Annotated[int, Ge(0)] = 200
    stop_train_loss: Annotated[float, Gt(0)] | None = 0.01
    init_seed: Annotated[int, Ge(0)] | None = neutral(None)
    order_seed: Annotated[int, Ge(0)] | None = neutral(None)
    spawn_at_step: Annotated[int, Ge(0)] | None = neutral(None)
    permute_init: Annotated[int, Ge(0)] | None = neutral(None)


@dataclass(frozen=True, kw_only=True)
class NetworkSpec:
    """One network: everything that decides its weights."""

    dataset: str
    label_noise: Annotated[float, Ge(0), Lt(1)] = neutral(0.0)
    architecture: ArchitectureSpec
    training: TrainingSpec
    seed: Annotated[int, Ge(0)]
