"""What is said where Ray does not start."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from lmc_sweep.errors import SweepError
from lmc_sweep.execution.ray_connect import _initialized


def ray_that_raises(error: Exception) -> SimpleNamespace:
    """What stands for the ray module."""

    def init(**options: object) -> None:
        raise error

    names = {name: type(name, (Exception,), {}) for name in ("AuthenticationError", "RayError")}
    return SimpleNamespace(init=init, exceptions=SimpleNamespace(**names))


def test_a_node_that_comes_up_too_late_is_told_in_one_line() -> None:
    """Ray gives a node 30 s and then raises Exception itself."""
    late = ray_that_raises(Exception("The current node timed out during startup."))
    with pytest.raises(SweepError, match=r"within its 30 s.*timed out.*run the same command again"):
        _initialized(late, "local", {})


def test_errors_of_our_own_making_are_not_told_as_rays() -> None:
    """A defect keeps its traceback."""
    with pytest.raises(KeyError):
        _initialized(ray_that_raises(KeyError("defect")), "local", {})
