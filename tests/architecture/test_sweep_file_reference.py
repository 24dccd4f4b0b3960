"""docs/sweep-file.md names every key of the sweep file, with its default."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from lmc_sweep.config.initialization_study import InitializationStudy
from lmc_sweep.config.sweep import BarriersStudy, Execution, Interpolation
from workers.alignment.methods import METHODS
from workers.permutation_points.point_specs import PermutationPointsSpec
from workers.permutation_points.specs import RandomTeacher
from workers.specs import ARCHITECTURES, TrainingSpec

TEXT = (Path(__file__).parents[2] / "docs" / "sweep-file.md").read_text()
TABLES = {
    "training": TrainingSpec,
    "barriers": BarriersStudy,
    "interpolation": Interpolation,
    "initialization": InitializationStudy,
    "teachers": RandomTeacher,
    "permutation_points": PermutationPointsSpec,
    "execution": Execution,
}


@pytest.mark.parametrize("name", TABLES)
def test_every_key_is_named(name: str) -> None:
    """Each field of the section stands in the reference."""
    missing = [field.name for field in fields(TABLES[name]) if not re.search(rf"{field.name}[`.]", TEXT)]
    assert [] == missing


@pytest.mark.parametrize("name", [*METHODS, *ARCHITECTURES])
def test_every_method_and_architecture_is_named_with_its_options(name: str) -> None:
    """Each name, and each option of it, stands in the reference."""
    cls = {**METHODS, **ARCHITECTURES}[name]
    assert f"`{name}`" in TEXT
    options = [field.name for field in fields(cls) if field.name not in ("method", "name")]
    assert [] == [option for option in options if option not in TEXT]


def test_defaults_of_training_are_those_of_the_program() -> None:
    """The table of training shows the defaults that the program has."""
    for field in fields(TrainingSpec):
        if field.default is MISSING or field.default is None:
            continue
        (row,) = [line for line in TEXT.splitlines() if line.startswith(f"| `{field.name}` |")]
        shown = row.split("|")[2].strip().strip("`")
        assert str(field.default) == shown


@pytest.mark.parametrize("name", METHODS)
def test_defaults_of_methods_are_those_of_the_program(name: str) -> None:
    """Numbers in the table of methods are the defaults."""
    for field in fields(METHODS[name]):
        if isinstance(field.default, int | float):
            shown = str(field.default) if isinstance(field.default, int) else f"{field.default:g}"
            assert f"`{field.name}: {shown}`" in TEXT
