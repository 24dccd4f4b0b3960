"""What the command line loads, and that every command is documented."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from lmc_sweep.cli.app import app

HEAVY = (
    "torch",
    "ray",
    "torchvision",
    "pyarrow",
    "duckdb",
    "matplotlib",
    "sklearn",
    "scipy",
    "jinja2",
    "plotly",
)
ROOT = Path(__file__).parents[2]


def loaded_by(statement: str) -> set[str]:
    """Heavy packages that a statement loads in a fresh interpreter."""
    program = f"import sys\n{statement}\nprint(*[n for n in {HEAVY!r} if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(done.stdout.split())


def test_help_loads_nothing_heavy() -> None:
    """The command line, with all its commands, loads none of the heavy packages."""
    assert set() == loaded_by("import lmc_sweep.cli.app")


def test_planning_loads_no_torch_and_no_ray() -> None:
    """A plan is made without torch and Ray: a rerun that finds everything answers in seconds."""
    statement = (
        "from pathlib import Path; from lmc_sweep.config import load_sweep;"
        "from lmc_sweep.planning.plan import make_plan;"
        "make_plan(load_sweep(Path('configs/quickstart.yaml')), None, 2); import lmc_sweep.execution.run"
    )
    assert set() == loaded_by(statement) & {"torch", "ray", "torchvision", "matplotlib", "sklearn"}


def test_workers_load_no_driver() -> None:
    """The numeric floor loads neither the driver nor what only the driver may use."""
    statement = (
        "import workers.training.train, workers.alignment.align, workers.interpolation.interpolate;"
        "print(*[n for n in ('lmc_sweep',) if n in sys.modules])"
    )
    assert set() == loaded_by(statement) & {"ray", "pyarrow", "duckdb", "matplotlib", "lmc_sweep"}


def test_help_answers_at_once() -> None:
    """lmc-sweep --help takes hardly longer than what draws it takes to be imported, so well under a second.

    In seconds of a processor, since the machine is shared, and of the fastest of five runs.
    """
    shown = [str(Path(sys.executable).with_name("lmc-sweep")), "--help"]
    imported = [sys.executable, "-c", "import typer, rich.console, yaml"]
    runs = [(cpu_seconds(imported), cpu_seconds(shown)) for _ in range(5)]
    least, seconds = map(min, zip(*runs, strict=True))
    assert seconds < 4 * least  # 0.11 s against 0.08 s


def cpu_seconds(command: list[str]) -> float:
    """What a command takes of the processors, user and system."""
    before = os.times()
    subprocess.run(command, check=True, capture_output=True)
    return sum(os.times()[2:4]) - sum(before[2:4])


COMMANDS = list(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_the_readme(name: str) -> None:
    """The README names each command of the command line."""
    assert f"lmc-sweep {name}" in (ROOT / "README.md").read_text()


def test_the_commands_are_those_of_the_contract() -> None:
    """Every command that exists is one that was promised."""
    promised = {
        "run",
        "submit",
        "plan",
        "status",
        "cancel",
        "retry",
        "repro",
        "verify",
        "compact",
        "merge",
        "query",
        "plot",
        "report",
        "compare",
        "claims",
        "align",
        "spec",
        "count",
        "export",
        "datasets",
    }
    assert promised == set(COMMANDS)
