"""The sweep files that ship with the project."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from lmc_sweep.config import load_sweep
from lmc_sweep.planning.items import AlignmentItem, items
from lmc_sweep.planning.plan import make_plan
from workers.alignment.methods import Identity

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
CLAIMS = "claims.yaml"
"""What is no sweep file, and lies beside those that measure it."""

SWEEPS = sorted(file for file in CONFIGS.rglob("*.yaml") if file.name != CLAIMS)
PAPER = [file for file in SWEEPS if file.parent.name == "entezari"]


@pytest.mark.parametrize("file", SWEEPS, ids=lambda file: file.stem)
def test_every_config_loads(file: Path) -> None:
    """Every file in ``configs/`` is a valid sweep, named after its file."""
    sweep = load_sweep(file)
    assert file.stem == sweep.name
    assert sweep.networks or sweep.studies


def test_quickstart_is_there() -> None:
    """The sweep that the README begins with exists."""
    assert (CONFIGS / "quickstart.yaml").is_file()


@pytest.mark.parametrize("file", PAPER, ids=lambda file: file.stem)
def test_the_papers_files_plan_on_any_machine(file: Path) -> None:
    """The full-scale files are planned without their data sets; they share one store."""
    sweep = load_sweep(file)
    assert "runs/entezari" == sweep.store
    plan = make_plan(sweep, None, num_slots=2)
    assert plan.num_to_do("network") == sum(len(cell.seeds) for cell in sweep.networks)
    assert plan.seconds() > (3600 if sweep.networks else 60)


def test_the_papers_files_share_its_3528_networks() -> None:
    """The 168 cells of 21 networks, each trained once; noisy labels and cells of a hundred come on top."""
    further = ("figure16_label_noise", "figure18_all_pairs", "figure18_one_frame", "figure18_pairs")
    asked = {file.stem: items(load_sweep(file))["network"] for file in PAPER}
    shared = {item.id: item.cell_id for name, of in asked.items() if name not in further for item in of}
    assert 3528 == len(shared)
    assert {21} == set(Counter(shared.values()).values())
    assert 168 == len(set(shared.values()))
    assert set(shared) == {item.id for item in asked["figure10_density"]}
    assert 168 * 2 * 10 == len({item.id for item in density_pairs()})


def density_pairs() -> list[AlignmentItem]:
    """The pairs of all cells in both worlds, each once: those before any search."""
    every = items(load_sweep(CONFIGS / "entezari" / "figure10_density.yaml"))["alignment"]
    return [item for item in every if isinstance(item, AlignmentItem) and item.method == Identity()]
