"""A sweep file and the frozen values that come out of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lmc_sweep.config import Execution, Resources, Sweep, load_sweep, parse_sweep
from workers.alignment.methods import Identity, SimulatedAnnealing, WeightMatching
from workers.specs import MLPSpec, TrainingSpec

SMALLEST = """
name: tiny
store: runs/tiny
networks:
  - {dataset: digits, architecture: {name: mlp, width: 8}, seeds: 4}
"""
STUDY = SMALLEST + "barriers: {alignments: [{method: identity}]}\n"


def with_networks(entry: str) -> Sweep:
    """The sweep of one entry."""
    return parse_sweep(f"name: tiny\nstore: runs/tiny\nnetworks:\n  - {entry}\n")


def test_defaults_come_from_the_specs() -> None:
    """What a file leaves out has the default of the frozen dataclass that holds it."""
    sweep = parse_sweep(SMALLEST)
    (cell,) = sweep.networks
    assert MLPSpec(width=8) == cell.architecture
    assert TrainingSpec() == cell.training
    assert (0, 1, 2, 3) == cell.seeds
    assert (cell.label_noise, cell.dataset, cell.origin) == (0.0, "digits", "networks[0]")
    assert sweep.barriers is None
    assert Execution() == sweep.execution


def test_study_defaults() -> None:
    """A study asks both worlds, eleven alphas and both splits, of as many pairs as the seeds allow."""
    study = parse_sweep(STUDY).barriers
    assert study is not None
    assert (("real", "model"), None, 2) == (study.worlds, study.pairs, study.networks_per_alignment)
    assert pytest.approx([index / 10 for index in range(11)], abs=0) == list(study.interpolation.alphas)
    assert (("train", "test"), ("none",)) == (study.interpolation.splits, study.interpolation.corrections)
    assert study.num_pairs(num_seeds=5) == 2


def test_quickstart() -> None:
    """The quickstart is four cells of ten networks, five pairs, three methods, eleven alphas."""
    sweep = load_sweep(Path(__file__).resolve().parents[2] / "configs" / "quickstart.yaml")
    assert ("quickstart", "runs/quickstart") == (sweep.name, sweep.store)
    assert [MLPSpec(width=width) for width in (4, 16, 64, 256)] == [
        cell.architecture for cell in sweep.networks
    ]
    assert {tuple(range(10))} == {cell.seeds for cell in sweep.networks}
    assert sweep.barriers is not None
    assert sweep.barriers.pairs == 5
    annealing = SimulatedAnnealing(objective="midpoint_error", steps=2000)
    assert (Identity(), WeightMatching(), annealing) == sweep.barriers.alignments


def test_text_is_the_file_itself(tmp_path: Path) -> None:
    """Without overrides the recorded text is the file's, comments included."""
    file = tmp_path / "sweep.yaml"
    file.write_text("# why\n" + SMALLEST)
    assert "# why\n" + SMALLEST == load_sweep(file).text


def test_text_after_overrides_says_the_same() -> None:
    """The text recorded after overrides parses to the same sweep without them."""
    overridden = parse_sweep(
        STUDY, overrides=["networks[0].seeds=[7, 9]", "name=1e3x", "execution.max_stack_bytes=1e9"]
    )
    assert parse_sweep(overridden.text) == overridden
    assert overridden.networks[0].seeds == (7, 9)


def test_every_list_is_an_axis_but_seeds() -> None:
    """An entry stands for every combination of its lists, the last axis of the file fastest."""
    sweep = with_networks(
        "{dataset: [digits, mnist], architecture: {name: mlp, width: [4, 8]}, "
        "training: {momentum: [0, 0.9]}, seeds: [3, 1]}"
    )
    points = [(cell.dataset, cell.architecture.width, cell.training.momentum) for cell in sweep.networks]
    expected = [(data, width, mom) for data in ("digits", "mnist") for width in (4, 8) for mom in (0.0, 0.9)]
    assert expected == points
    assert {(3, 1)} == {cell.seeds for cell in sweep.networks}


def test_alternatives_of_a_section() -> None:
    """A list of mappings is an axis whose points have axes of their own."""
    sweep = with_networks(
        "{dataset: digits, seeds: 1, "
        "architecture: [{name: mlp, width: [4, 8]}, {name: mlp, width: 4, depth: 2}]}"
    )
    assert [(4, 1), (8, 1), (4, 2)] == [
        (cell.architecture.width, cell.architecture.depth) for cell in sweep.networks
    ]


def test_grids_of_methods() -> None:
    """A list inside an entry of ``alignments`` is an axis."""
    study = "barriers: {alignments: [{method: simulated_annealing, steps: [10, 20]}]}"
    sweep = parse_sweep(SMALLEST + study)
    assert sweep.barriers is not None
    assert (SimulatedAnnealing(steps=10), SimulatedAnnealing(steps=20)) == sweep.barriers.alignments


def test_one_cell_from_two_entries() -> None:
    """Two entries may ask the same cell for different seeds."""
    entry = "{dataset: digits, architecture: {name: mlp, width: 8}, seeds: "
    sweep = with_networks(f"{entry} 4}}\n  - {entry} [4, 5]}}")
    assert ["networks[0]", "networks[1]"] == [cell.origin for cell in sweep.networks]


@pytest.mark.parametrize(
    ("alphas", "expected"),
    [
        ("2", (0.0, 0.5, 1.0)),
        ("5", (0.0, 0.25, 0.5, 0.75, 1.0)),
        ("[0, 0.1, 1]", (0.0, 0.1, 0.5, 1.0)),
        ("[0, 0.5, 1]", (0.0, 0.5, 1.0)),
    ],
)
def test_alphas_hold_the_midpoint(alphas: str, expected: tuple[float, ...]) -> None:
    """A count is evenly spaced, a list is kept, and 1/2 is always among them, once."""
    study = parse_sweep(STUDY, overrides=[f"barriers.interpolation.alphas={alphas}"]).barriers
    assert study is not None
    assert expected == study.interpolation.alphas


@pytest.mark.parametrize(("worlds", "expected"), [(("real", "model"), 2), (("real",), 2), (("model",), 3)])
def test_pairs_that_seeds_allow(worlds: tuple[str, ...], expected: int) -> None:
    """Five seeds make two real pairs; the fifth still has a permutation of itself."""
    study = parse_sweep(STUDY, overrides=[f"barriers.worlds={json.dumps(worlds)}"]).barriers
    assert study is not None
    assert expected == study.most_pairs(5)


def test_resources_of_a_kind() -> None:
    """A kind takes its own figure where it has one, else the sweep's."""
    sweep = parse_sweep(SMALLEST, overrides=["execution.num_cpus=2", "execution.kinds.network.num_gpus=0.25"])
    assert Resources(num_gpus=0.25) == sweep.execution.kinds.network
    assert (2.0, 0.25) == sweep.execution.resources("network")
    assert (2.0, 0.0) == sweep.execution.resources("barrier")


def test_minus_zero_is_zero() -> None:
    """Minus zero is read as zero, so that it names the same networks."""
    (cell,) = parse_sweep(SMALLEST, overrides=["networks[0].label_noise=-0.0"]).networks
    assert str(cell.label_noise) == "0.0"


def test_reading_imports_no_torch() -> None:
    """A sweep file is read without torch or ray, and imported without pydantic."""
    program = (
        "import sys, lmc_sweep.config as config; early = 'pydantic' in sys.modules; "
        f"config.parse_sweep({STUDY!r}); print([early, 'torch' in sys.modules, 'ray' in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[False, False, False]"
