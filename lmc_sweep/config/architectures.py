"""The architecture that an entry of ``networks`` names: a family, or a module of the user's own."""

from __future__ import annotations

from lmc_sweep.config import fields, user_code
from lmc_sweep.config.grid import Located
from lmc_sweep.config.refusals import Refusal, shown, unknown
from workers.architectures.shapes import smallest_side
from workers.architectures.traits import has_batch_norm
from workers.datasets.definitions import define
from workers.specs import (
    ARCHITECTURES,
    ArchitectureSpec,
    DataSpec,
    ModuleSpec,
    ResNet20Spec,
)


def read(point: Located, data: DataSpec) -> ArchitectureSpec:
    """The architecture at the key ``architecture``, checked against the examples that it is to take."""
    asked = point.value["architecture"]
    name = asked.value.get("name") if isinstance(asked.value, dict) else None
    if name is not None and user_code.is_name(name.plain()):
        return module(asked)
    if name is not None and name.plain() not in ARCHITECTURES:
        known = [*ARCHITECTURES, "pkg.module:function"]
        raise Refusal(asked.at("name"), unknown("architecture", name.plain(), known, "architectures"))
    spec = fields.chosen(ARCHITECTURES, asked, "name", "architecture", "architectures")
    if isinstance(spec, ResNet20Spec) and 16 * spec.width_multiplier != spec.width:
        raise Refusal(
            asked.at("width_multiplier"),
            f"16 x {spec.width_multiplier:g} channels is no whole number. Choose a multiple of 1/16",
        )
    _check_size(spec, data, point)
    return spec


def module(asked: Located, key: str = "name") -> ModuleSpec:
    """The user's module that a name, or a mapping with its arguments, asks for."""
    values = asked.value if isinstance(asked.value, dict) else {key: asked}
    if key not in values:
        raise Refusal(asked.path, f"'{key}' is missing: pkg.module:function")
    name = values[key].plain()
    if not user_code.is_name(name):
        raise Refusal(asked.at(key), f"should be pkg.module:function, not {shown(name)}")
    arguments = []
    for argument, value in values.items():
        if argument == key:
            continue
        if isinstance(value.value, dict):
            raise Refusal(value.path, "an argument is a number, a text, true, false or null, no mapping")
        arguments.append((argument, value.plain()))
    return ModuleSpec(
        name=name,
        arguments=tuple(sorted(arguments)),
        source_sha256=user_code.source_sha256(name, asked.at(key)),
    )


def is_normed(spec: ArchitectureSpec, origin: str) -> bool:
    """Whether networks have batch norm; a module of the user's own that cannot be built is refused."""
    try:
        return has_batch_norm(spec)
    except ValueError as error:
        raise Refusal(origin, str(error)) from error


def _check_size(spec: ArchitectureSpec, data: DataSpec, point: Located) -> None:
    """Refuses images that are too small for a family."""
    least, (_, height, width) = smallest_side(spec), define(data).shape
    if min(height, width) < least:
        raise Refusal(
            point.at("architecture"),
            f"{spec.name} takes images of {least}x{least} or more, and those of {data.dataset} are "
            f"{height}x{width}. Set input_size: 32",
        )
