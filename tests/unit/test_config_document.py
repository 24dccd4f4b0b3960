"""YAML text and the plain values it stands for."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmc_sweep.config import document, overrides
from lmc_sweep.config.grid import unroll

texts = st.text(st.characters(categories=["L", "N", "P", "S"], include_characters=" "), max_size=12).filter(
    str.isprintable
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
    | st.sampled_from(
        ["2e9", "1:30", "no", "on", "~", "0x10", "010", "2024-01-01", "<<", "=", "1_000", "- a", "null"]
    )
)
values = st.recursive(
    scalars, lambda part: st.lists(part, max_size=4) | st.dictionaries(texts, part, max_size=4), max_leaves=12
)


@given(values)
def test_what_is_written_is_read(value: Any) -> None:
    """Reading what was written gives the same value, of the same types, whatever its texts look like."""
    read = document.read(document.write(value))
    assert value == read
    assert repr(value).replace("-0.0", "0.0") == repr(read)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2e9", 2e9),
        ("1E-3", 1e-3),
        ("-.5", -0.5),
        ("010", 10),
        ("0x1F", 31),
        ("1:30", "1:30"),
        ("no", "no"),
        ("2024-01-01", "2024-01-01"),
        ("1_000", "1_000"),
        ("true", True),
        ("~", None),
        ("", None),
        ("&a {x: 1}", {"x": 1}),
        ("{a: &m {x: 1, y: 2}, b: {<<: *m, x: 3}}", {"a": {"x": 1, "y": 2}, "b": {"x": 3, "y": 2}}),
    ],
)
def test_scalars_by_the_core_schema(text: str, expected: Any) -> None:
    """Scalars are read by YAML 1.2's core schema; merged keys yield to a mapping's own."""
    assert (expected, type(expected)) == (document.read(text), type(document.read(text)))


def test_overrides_leave_their_input_alone() -> None:
    """Applying overrides changes no part of the value they are applied to."""
    value = {"a": [{"b": 1}]}
    before = copy.deepcopy(value)
    changed = overrides.apply(value, ["a[0].b=2", "a[0].c.d=[1, 2]", "e=x"])
    assert before == value
    assert {"a": [{"b": 2, "c": {"d": [1, 2]}}], "e": "x"} == changed


def test_later_overrides_win() -> None:
    """Of two overrides of one key the later one stands."""
    assert {"a": 2} == overrides.apply({"a": 0}, ["a=1", "a=2"])


@given(st.dictionaries(st.sampled_from("abcd"), st.lists(st.integers(), min_size=1, max_size=4, unique=True)))
def test_grid_is_the_product_of_its_axes(axes: dict[str, list[int]]) -> None:
    """A grid has every combination once, and every value tells where it stands."""
    points = [point.plain() for point in unroll(axes, "x")]
    expected = 1
    for axis in axes.values():
        expected *= len(axis)
    assert expected == len(points) == len({tuple(point.items()) for point in points})
    for point in unroll(axes, "x"):
        for (key,), path in point.leaves():
            assert path == f"x.{key}[{axes[key].index(point.plain()[key])}]"
