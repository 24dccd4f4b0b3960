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
World = Literal["real", "model", "planted"]
Moving = Literal["all", "each", "cumulative"]
Correction = Literal["none", "reset_bn", "repair"]
StopReason = Literal["loss_reached", "max_epochs", "diverged"]


STATISTICS_EXAMPLES = 2048
"""Training examples that population statistics are measured on, or all where there are fewer.

A channel's mean over so many is known to a fortieth of its standard deviation even where an image
gives a single value; most channels have hundreds of values per image.
"""


_SAME = object()


def neutral(value: Any, *, default: Any = _SAME) -> Any:
    """A field that is left out of identities at ``value`` for ever, whatever its default.

    The neutral value is what results were before the field existed; the default may move on.
    """
    return field(default=value if default is _SAME else default, metadata={"neutral": value})


@dataclass(frozen=True, kw_only=True)
class MLPSpec:
    """A multilayer perceptron: ``depth`` hidden layers of ``width`` ReLU units each, biases everywhere."""

    name: Literal["mlp"] = "mlp"
    width: Annotated[int, Ge(1)]
    depth: Annotated[int, Ge(1)] = 1


@dataclass(frozen=True, kw_only=True)
class ShallowCNNSpec:
    """``depth`` convolutions of ``width`` channels with ReLU and biases, no pooling, no batch norm."""

    name: Literal["shallow_cnn"] = "shallow_cnn"
    width: Annotated[int, Ge(1)]
    depth: Literal[2, 4, 6, 8] = 2


@dataclass(frozen=True, kw_only=True)
class VGGSpec:
    """VGG with batch norm and five max-pools; the stages have width x {1, 2, 4, 8, 8} channels."""

    name: Literal["vgg"] = "vgg"
    width: Annotated[int, Ge(1)] = 64
    depth: Literal[11, 13, 16, 19] = 16


@dataclass(frozen=True, kw_only=True)
class ResNetSpec:
    """ResNet with a 3x3 stem; the four stages have width x {1, 2, 4, 8} channels."""

    name: Literal["resnet"] = "resnet"
    width: Annotated[int, Ge(1)] = 64
    depth: Literal[18, 34, 50] = 18


@dataclass(frozen=True, kw_only=True)
class ResNet20Spec:
    """ResNet-20 of the CIFAR kind: three stages of 16 x ``width_multiplier`` x {1, 2, 4} channels."""

    name: Literal["resnet20"] = "resnet20"
    width_multiplier: Annotated[float, Gt(0)] = 1.0
    norm: Literal["batch", "layer"] = "batch"

    @property
    def width(self) -> int:
        """Channels of the first stage."""
        return max(1, round(16 * self.width_multiplier))

    @property
    def depth(self) -> int:
        """Layers with weights along the longest path."""
        return 20


Argument = str | int | float | bool | None


@dataclass(frozen=True, kw_only=True, eq=False)
class ModuleSpec:
    """A module of the user's own: what ``pkg.module:function`` returns for these arguments.

    ``source_sha256`` is that of the file that defines the function, so that an edited module is another
    architecture. Two are equal if they are written alike: to a function, 1, 1.0 and true may differ.
    """

    name: str
    arguments: tuple[tuple[str, Argument], ...] = ()
    source_sha256: str

    @property
    def width(self) -> int | None:
        """Its argument of that name, if that is a whole number."""
        return self._count("width")

    @property
    def depth(self) -> int | None:
        """Its argument of that name, if that is a whole number."""
        return self._count("depth")

    def _count(self, name: str) -> int | None:
        value = dict(self.arguments).get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ModuleSpec) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))


ArchitectureSpec = MLPSpec | ShallowCNNSpec | VGGSpec | ResNetSpec | ResNet20Spec | ModuleSpec
ARCHITECTURES: dict[str, type[ArchitectureSpec]] = {
    "mlp": MLPSpec,
    "shallow_cnn": ShallowCNNSpec,
    "vgg": VGGSpec,
    "resnet": ResNetSpec,
    "resnet20": ResNet20Spec,
}
"""The families that have a name of their own; any other name is ``pkg.module:function``."""


@dataclass(frozen=True, kw_only=True)
class UserDataset:
    """What is known of a data set of the user's own without importing what makes it.

    ``sha256`` is that of its arrays; ``mean`` and ``std`` normalize each channel.
    """

    sha256: str
    shape: tuple[int, int, int]
    num_classes: int
    num_train: int
    num_test: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class DataSpec:
    """The examples of a network: a data set, whole or in part, at its own size or resized.

    ``input_size`` resizes images to that many pixels a side. ``num_train`` and ``num_test`` keep so many
    examples, drawn by ``subset_seed``. None means as the data set is.
    """

    dataset: str
    input_size: int | None = None
    num_train: int | None = None
    num_test: int | None = None
    subset_seed: int = 0
    user: UserDataset | None = None


@dataclass(frozen=True, kw_only=True)
class TrainingSpec:
    """How one network is trained.

    ``momentum`` is that of ``torch.optim.SGD``, or Adam's beta1 (its beta2 is 0.999, its epsilon 1e-8).
    ``precision`` is that of the products in training: ``tf32`` and ``bfloat16`` (autocast) round their
    operands; weights and evaluation stay float32. ``save_at`` makes this the network as it was after so
    many epochs, or at its end if that came first; a trajectory of such networks is trained once.

    The fields behind choose which random streams networks share. ``init_seed`` and ``order_seed``
    replace the network's own seed in one stream each. ``spawn_at_step`` lets all networks of a cell
    share initialization and batch order up to that step, after which each follows its own order: the
    instability analysis of Frankle et al. 2020. ``permute_init`` permutes the hidden units of the
    initialization at random, by that number, and leaves the batch order alone: the middle panel of
    figure 1 in Entezari et al. 2021.
    """

    optimizer: Literal["sgd", "adam"] = "sgd"
    learning_rate: Annotated[float, Gt(0)] = 0.01
    momentum: Annotated[float, Ge(0), Lt(1)] = 0.9
    weight_decay: Annotated[float, Ge(0)] = 0.0
    batch_size: Annotated[int, Ge(1)] = 64
    schedule: Literal["constant", "cosine"] = "constant"
    max_epochs: Annotated[int, Ge(0)] = 200
    stop_train_loss: Annotated[float, Gt(0)] | None = 0.01
    precision: Literal["float32", "tf32", "bfloat16"] = neutral("float32")
    save_at: Annotated[int, Ge(0)] | None = neutral(None)
    init_seed: Annotated[int, Ge(0)] | None = neutral(None)
    order_seed: Annotated[int, Ge(0)] | None = neutral(None)
    spawn_at_step: Annotated[int, Ge(0)] | None = neutral(None)
    permute_init: Annotated[int, Ge(0)] | None = neutral(None)

    @property
    def num_epochs(self) -> int:
        """Epochs after which this network is taken at the latest."""
        return self.max_epochs if self.save_at is None else min(self.save_at, self.max_epochs)


@dataclass(frozen=True, kw_only=True)
class NetworkKind:
    """What a network is, however it came about: an architecture, and the examples it is measured on."""

    dataset: str
    input_size: Annotated[int, Ge(1)] | None = neutral(None)
    num_train: Annotated[int, Ge(1)] | None = neutral(None)
    num_test: Annotated[int, Ge(1)] | None = neutral(None)
    subset_seed: Annotated[int, Ge(0)] = neutral(0)
    user_data: UserDataset | None = neutral(None)
    label_noise: Annotated[float, Ge(0), Lt(1)] = neutral(0.0)
    architecture: ArchitectureSpec

    @property
    def data(self) -> DataSpec:
        """The examples, without their label noise."""
        return DataSpec(
            dataset=self.dataset,
            input_size=self.input_size,
            num_train=self.num_train,
            num_test=self.num_test,
            subset_seed=self.subset_seed,
            user=self.user_data,
        )


@dataclass(frozen=True, kw_only=True)
class NetworkSpec(NetworkKind):
    """One network that is trained here: everything that decides its weights."""

    training: TrainingSpec
    seed: Annotated[int, Ge(0)]


@dataclass(frozen=True, kw_only=True)
class CheckpointSpec(NetworkKind):
    """One network that was trained elsewhere: the weights with this content.

    ``seed`` is its place among the files of its entry.
    """

    sha256: str
    seed: Annotated[int, Ge(0)]
