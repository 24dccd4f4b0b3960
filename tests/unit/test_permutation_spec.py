"""What specs and permutations refuse, and what random ones are."""

from __future__ import annotations

import pytest
import torch

from workers.permutation import permute
from workers.permutation.spec import PermutationSpec, Segment

SPEC = PermutationSpec(
    groups={"a": 4, "b": 4},
    axes={
        ("w", 0): (Segment("a", 4),),
        ("w", 1): (Segment("b", 4, 2), Segment(None, 1)),
        ("c", 0): (Segment("b", 4),),
    },
)
SHAPES = {"w": (4, 9), "c": (4,)}


def test_validate_accepts_what_fits() -> None:
    """A spec whose segments cover its parameters is valid, and so are uniform draws for it."""
    SPEC.validate(SHAPES)
    permute.validate(permute.identity(SPEC, 3), SPEC, 3)


@pytest.mark.parametrize(
    ("shapes", "complaint"),
    [
        ({"w": (4, 9)}, "'c', which is not a parameter"),
        ({"w": (4, 8), "c": (4,)}, "w, axis 1: the segments cover 9 of 8"),
        ({"w": (4, 9), "c": ()}, "c has 0 axes"),
    ],
)
def test_validate_refuses_what_does_not_fit(shapes: dict[str, tuple[int, ...]], complaint: str) -> None:
    """A parameter or an axis that is missing, or one of another length, is named."""
    with pytest.raises(ValueError, match=complaint):
        SPEC.validate(shapes)


def test_a_group_without_parameters_is_refused() -> None:
    """Every group must act somewhere."""
    spec = PermutationSpec(groups={"a": 4, "idle": 2}, axes={("c", 0): (Segment("a", 4),)})
    with pytest.raises(ValueError, match="'idle' acts on no parameter"):
        spec.validate({"c": (4,)})


@pytest.mark.parametrize(
    "segment", [Segment("a", 3), Segment("unknown", 4), Segment(None, 0), Segment("a", 4, 0)]
)
def test_a_segment_must_fit_its_group(segment: Segment) -> None:
    """Sizes that differ from the group's, unknown groups, and empty segments are refused."""
    with pytest.raises(ValueError, match="c, axis 0"):
        PermutationSpec(groups={"a": 4}, axes={("c", 0): (segment,)})


@pytest.mark.parametrize("text", ["{}", '{"groups": {}, "axes": [{"parameter": "w"}]}', "[]", "nonsense"])
def test_json_of_something_else_is_refused(text: str) -> None:
    """Text that is no spec is a ValueError, never a KeyError."""
    with pytest.raises(ValueError):
        PermutationSpec.from_json(text)


@pytest.mark.parametrize(
    ("index", "complaint"),
    [
        (torch.tensor([[0, 1, 2, 2]]), "rows \\[0\\]"),
        (torch.tensor([[0, 1, 2, 4]]), "rows \\[0\\]"),
        (torch.tensor([[0, 1, 2, -1]]), "rows \\[0\\]"),
        (torch.tensor([[0, 1, 2]]), "shape \\(1, 3\\)"),
        (torch.arange(4).repeat(2, 1), "shape \\(2, 4\\)"),
        (torch.arange(4).unsqueeze(0).to(torch.int32), "int64"),
    ],
)
def test_what_is_no_permutation_is_refused(index: torch.Tensor, complaint: str) -> None:
    """Repeated or foreign units, wrong shapes and wrong types are named."""
    with pytest.raises(ValueError, match=complaint):
        permute.validate({"a": index}, SPEC, 1)


def test_apply_refuses_unknown_groups_and_other_counts() -> None:
    """A misspelled group or another number of networks never passes in silence."""
    params = {"w": torch.zeros(2, 4, 9), "c": torch.zeros(2, 4)}
    with pytest.raises(ValueError, match="unknown group 'x'"):
        permute.apply(params, {"x": torch.arange(4).repeat(2, 1)}, SPEC)
    with pytest.raises(ValueError, match="shape \\(1, 4\\)"):
        permute.apply(params, permute.identity(SPEC, 1), SPEC)


def test_a_block_moves_as_one() -> None:
    """Unit i of a block of two takes entries 2i and 2i + 1 with it; pinned entries stay."""
    params = {"w": torch.arange(9.0).repeat(1, 4, 1), "c": torch.zeros(1, 4)}
    moved = permute.apply(params, {"b": torch.tensor([[3, 0, 1, 2]])}, SPEC)
    assert [6.0, 7.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 8.0] == moved["w"][0, 0].tolist()


def test_groups_of_equal_size_are_drawn_independently() -> None:
    """In 200 draws, two groups of four agree about as often as chance has it, 1 in 24."""
    draws = [permute.random(SPEC, "test", k) for k in range(200)]
    equal = sum(bool(torch.equal(draw["a"], draw["b"])) for draw in draws)
    assert 1 <= equal <= 22
    assert len({tuple(draw["a"].tolist()) for draw in draws}) == 24


def test_a_draw_depends_on_its_name_alone() -> None:
    """The same purpose and parts give the same permutation, others another."""
    spec = PermutationSpec(groups={"a": 30}, axes={("c", 0): (Segment("a", 30),)})
    assert permute.random(spec, "p", 1)["a"].tolist() == permute.random(spec, "p", 1)["a"].tolist()
    assert permute.random(spec, "p", 1)["a"].tolist() != permute.random(spec, "p", 2)["a"].tolist()
