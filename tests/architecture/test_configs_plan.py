"""The sweep files that ship with the project."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmc_sweep.config import load_sweep
from lmc_sweep.planning.plan import make_plan

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


@pytest.mark.parametrize("file", sorted(CONFIGS.rglob("*.yaml")), ids=lambda file: file.stem)
def test_every_config_loads(file: Path) -> None:
    """Every file in ``configs/`` is a valid sweep, named after its file."""
    sweep = load_sweep(file)
    assert file.stem == sweep.name
    assert sweep.networks


def test_quickstart_is_there() -> None:
    """The sweep that the README begins with exists."""
    assert (CONFIGS / "quickstart.yaml").is_file()


@pytest.mark.parametrize("file", sorted((CONFIGS / "entezari").glob("*.yaml")), ids=lambda file: file.stem)
def test_the_papers_files_plan_on_any_machine(file: Path) -> None:
    """The full-scale files are planned without their data sets; they share one store."""
    sweep = load_sweep(file)
    assert "runs/entezari" == sweep.store
    plan = make_plan(sweep, None, num_slots=2)
    assert plan.num_to_do("network") == sum(len(cell.seeds) for cell in sweep.networks)
    assert plan.seconds() > 3600
