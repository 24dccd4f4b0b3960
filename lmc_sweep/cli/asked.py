"""What the options of ``align`` and ``spec`` ask for, checked before torch is imported or a file opened."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lmc_sweep.errors import SweepError

if TYPE_CHECKING:
    from lmc_sweep.config.grid import Located
    from workers.alignment.methods import Method
    from workers.specs import ArchitectureSpec, DataSpec

Sections = Mapping[str, Mapping[str, Any]]
"""Section to key to value: what the options ``--set section.key=value`` say."""

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Asked:
    """The module that checkpoints load into, and the examples that it is to take.

    ``data`` is None where no data set is named; ``shape`` is that of ``--input-shape``.
    """

    architecture: ArchitectureSpec
    data: DataSpec | None
    label_noise: float
    shape: Shape | None


@contextmanager
def refusing(command: str) -> Iterator[None]:
    """Turns what the configuration and the numeric floor refuse into an error of one line for people."""
    from lmc_sweep.config.refusals import Refusal

    try:
        yield
    except SweepError:
        raise
    except (Refusal, ValueError) as error:
        raise SweepError(f"{command}: {' '.join(str(error).split())}") from error


def sections(changes: Sequence[str], allowed: Mapping[str, str]) -> Sections:
    """The options ``--set`` by section.

    Args:
        changes: ``architecture.width=64`` and the like, YAML values; the last of several counts.
        allowed: The sections that have an effect; under those that have none here, what they need.
    """
    from lmc_sweep.config import overrides
    from lmc_sweep.config.refusals import Refusal, shown, unknown

    found: dict[str, dict[str, Any]] = {}
    for change in changes:
        keys, value = overrides.parse(change)
        section = str(keys[0])
        if section not in allowed:
            raise Refusal(f"--set {change}", unknown("section", section, list(allowed), "sections"))
        if allowed[section]:
            raise Refusal(f"--set {change}", f"has no effect without {allowed[section]}. Leave it out")
        if len(keys) != 2 or isinstance(value, dict | list):
            text = f"should be {section}.KEY=VALUE with a single value, not {shown(value)}"
            raise Refusal(f"--set {change}", text)
        found.setdefault(section, {})[str(keys[1])] = value
    return found


def asked(
    module: str | None,
    architecture: str | None,
    dataset: str | None,
    input_shape: str | None,
    given: Sections,
) -> Asked:
    """The module and the examples that the options name.

    Raises:
        Refusal: For a module or a family that is not there, keys or values that it does not take.
    """
    from lmc_sweep.config import architectures, examples
    from lmc_sweep.config.grid import Located
    from lmc_sweep.config.refusals import Refusal, refuse_unknown_keys
    from workers.specs import ARCHITECTURES

    if (module is None) == (architecture is None):
        raise Refusal(
            "", f"needs either --module pkg.module:function or --architecture ({', '.join(ARCHITECTURES)})"
        )
    shape = None if input_shape is None else _shape(input_shape)
    data, noise = None, 0.0
    if dataset is not None:
        options = given.get("dataset", {})
        refuse_unknown_keys(options, [key for key in examples.KEYS if key != "dataset"], "dataset")
        data, noise = examples.read(located({"dataset": dataset, **options}, "dataset"))
        if shape is not None:
            raise Refusal(
                "--input-shape",
                f"the data set {dataset} has a shape. Leave it out, or resize: --set dataset.input_size=32",
            )
    if module is not None:
        wanted = architectures.module(
            located({"module": module, **given.get("module", {})}, "module"), "module"
        )
        return Asked(wanted, data, noise, shape)
    named = located({"name": architecture, **given.get("architecture", {})}, "architecture")
    fitting = data or data_of_shape((3, 32, 32) if shape is None else image_shape(shape), 10)
    spec = architectures.read(Located({"architecture": named}, ""), fitting)
    return Asked(spec, data, noise, shape)


def method(name: str, values: Mapping[str, Any], wanted: Asked) -> Method:
    """The alignment method of that name with these options, for two networks."""
    from lmc_sweep.config import alignments, searches
    from lmc_sweep.config.applicability import too_many
    from lmc_sweep.config.refusals import Refusal
    from workers.alignment.methods import BruteForce, Oracle
    from workers.specs import ModuleSpec

    point = located({"method": name, **values}, "method")
    made = alignments.method_of(point)
    if isinstance(made, Oracle):
        raise Refusal("--method", "oracle undoes what a sweep planted, and knows nothing of these networks")
    for option, reason in searches.inert(made, ()).items():
        raise Refusal(point.at(option), f"has no effect: {reason}")
    if made.needs_examples:
        if wanted.data is None:
            raise Refusal(
                "--method", f"{name} looks at what networks compute: name the examples by --dataset"
            )
        searches.check_examples(made, point, [wanted.data])
    if isinstance(made, BruteForce) and wanted.data and not isinstance(wanted.architecture, ModuleSpec):
        excess = too_many(made, wanted.architecture, wanted.data)
        if excess is not None:
            raise Refusal("--method", f"{excess}. Raise method.max_permutations, or choose another method")
    return made


def located(values: Mapping[str, Any], path: str) -> Located:
    """A mapping of single values as the reader of sweep files takes it."""
    from lmc_sweep.config.grid import unroll

    (point,) = unroll(dict(values), path)
    return point


def data_of_shape(shape: tuple[int, int, int], num_classes: int) -> DataSpec:
    """Examples of which nothing is known but their shape and the number of classes."""
    from workers.specs import DataSpec, UserDataset

    channels = shape[0]
    return DataSpec(
        dataset="x".join(map(str, shape)),
        user=UserDataset(
            sha256="",
            shape=shape,
            num_classes=num_classes,
            num_train=1,
            num_test=1,
            mean=(0.0,) * channels,
            std=(1.0,) * channels,
        ),
    )


def image_shape(shape: Shape) -> tuple[int, int, int]:
    """A shape as channels, height, width; a number of inputs as one row of pixels."""
    if len(shape) == 3:
        return shape[0], shape[1], shape[2]
    if len(shape) == 1:
        return 1, 1, shape[0]
    from lmc_sweep.config.refusals import Refusal

    raise Refusal("--input-shape", "a family takes images: channels, height, width, as in 3,32,32")


def _shape(text: str) -> Shape:
    """``3,32,32`` as numbers."""
    from lmc_sweep.config.refusals import Refusal, shown

    parts = re.split(r"\s*[,x]\s*", text.strip())
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise Refusal(
            "--input-shape", f"should be the lengths of one example's axes, as in 3,32,32, not {shown(text)}"
        )
    return tuple(int(part) for part in parts)
