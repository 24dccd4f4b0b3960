"""What ``lmc-sweep plot`` says beside what it draws."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmc_sweep.cli.plot import plot_command
from lmc_sweep.errors import SweepError
from lmc_sweep.figures.registry import FIGURES
from lmc_sweep.store.store import Store


@pytest.fixture
def empty(tmp_path: Path) -> str:
    """A store without results."""
    Store.create(tmp_path / "store")
    return str(tmp_path / "store")


def test_the_list_names_every_figure_and_option_with_its_default_first(
    empty: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a few lines for each figure, and with the way to what they mean."""
    plot_command(empty)
    told = capsys.readouterr().out
    lines = told.splitlines()
    for figure in FIGURES.values():
        assert f"{figure.name}: {figure.summary}" in lines
        assert all(f"{option.name}={option.default}" in told for option in figure.options)
    assert "  by=width|depth" in lines
    assert len(lines) <= 4 * len(FIGURES)
    assert lines[-1].endswith(f"lmc-sweep plot {empty} FIGURE --options")


def test_options_of_one_figure_are_told_with_what_they_mean(
    empty: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of that figure alone; an unknown one is refused with those that there are."""
    plot_command(empty, "density", explain=True)
    told = capsys.readouterr().out.splitlines()
    assert 1 + len(FIGURES["density"].options) == len(told)
    assert (
        "  --set points=rank (rank, cell)  one point per cell and pair rank, or per cell: its means" in told
    )
    with pytest.raises(SweepError, match=r"unknown figure .densty.\. Known figures: density, "):
        plot_command(empty, "densty", explain=True)


def test_a_figure_without_anything_to_show_says_so_and_why(
    empty: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is written all the same, as scripts expect."""
    target = tmp_path / "layers.png"
    plot_command(empty, "layers", output=target)
    told = " ".join(capsys.readouterr().err.split())
    assert "layers.png, which has nothing to show. Not shown: no " in told
    assert target.exists()
