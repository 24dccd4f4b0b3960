"""``lmc-sweep align`` by every method, and what it refuses of their options."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from digits_mlps import trained
from safetensors.torch import load_file, save_file

from lmc_sweep.cli import main
from workers.alignment.methods import METHODS
from workers.alignment.outcome import SENSES

MLP = ("--architecture", "mlp", "--set", "architecture.width=5", "--dataset", "digits", "--alphas", "2")
OPTIONS = {
    "weight_matching": {},
    "activation_matching": {"num_examples": 200},
    "functional_difference": {"num_examples": 200, "assignment": "hungarian"},
    "straight_through": {"steps": 5},
    "sinkhorn": {"steps": 5},
    "node_sort": {"key": "power", "power": 2.5},
    "brute_force": {"num_examples": 200, "objective": "midpoint_loss"},
    "cycle_consistent": {"restarts": 1},
    "merge_many": {},
    "simulated_annealing": {"steps": 50, "start": "weight_matching", "num_examples": 200},
    "identity": {},
    "random": {},
}


class Done(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    """The command line in this process, where two small MLPs that were trained on digits lie."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    _, stack = trained(width=5, depth=1, num_networks=2, epochs=3)
    for row, name in enumerate("ab"):
        save_file(
            {key: tensor[row].contiguous() for key, tensor in stack.items()}, tmp_path / f"{name}.safetensors"
        )

    def command(*arguments: str) -> Done:
        monkeypatch.setattr(
            sys, "argv", ["lmc-sweep", "align", "a.safetensors", "b.safetensors", *MLP, *arguments]
        )
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        told = capsys.readouterr()
        assert isinstance(stop.value.code, int)
        return Done(stop.value.code, told.out, told.err)

    return command


def test_options_name_every_method_but_the_oracle() -> None:
    """No method is forgotten below."""
    assert METHODS.keys() - {"oracle"} == OPTIONS.keys()


@pytest.mark.parametrize("name", OPTIONS)
def test_every_method_is_reached(run, tmp_path: Path, name: str) -> None:  # type: ignore[no-untyped-def]
    """It runs with its options, its objective does not get worse, and how it ended is told."""
    changes = [part for key, value in OPTIONS[name].items() for part in ("--set", f"method.{key}={value}")]
    done = run("--method", name, *changes, "--json")
    assert 0 == done.code, done.err
    told = json.loads(done.out)
    assert ["method", "objective_start", "objective_end", "seconds", "barriers"] == list(told)
    assert name == told["method"]
    (line,) = [line for line in done.err.splitlines() if line.startswith("Aligned: ")]
    if told["objective_start"] is not None:
        objective = line.split()[1]
        assert SENSES[objective] * (told["objective_end"] - told["objective_start"]) >= -1e-9
        assert " evaluations" in line
    assert (
        load_file(tmp_path / "b.aligned.safetensors").keys() == load_file(tmp_path / "a.safetensors").keys()
    )


REFUSED = [
    (("--method", "oracle"), "--method: oracle undoes what a sweep planted"),
    (
        (
            "--method",
            "simulated_annealing",
            "--set",
            "method.temperature_start=1",
            "--set",
            "method.temperature_end=2",
        ),
        "method.temperature_end: must not exceed temperature_start (1), not 2",
    ),
    (
        ("--method", "simulated_annealing", "--set", "method.engine=simanneal", "--set", "method.restarts=2"),
        "method.restarts: is not for engine simanneal",
    ),
    (("--method", "sinkhorn", "--set", "method.batch_size=9"), "method.batch_size: has no effect"),
    (("--method", "brute_force", "--set", "method.max_permutations=9"), "has 120 permutations, more than"),
    (("--method", "merge_many", "--set", "method.max_seconds=0"), "max_seconds: must be greater than 0"),
]


@pytest.mark.parametrize(("options", "expected"), REFUSED)
def test_refused(run, tmp_path: Path, options: tuple[str, ...], expected: str) -> None:  # type: ignore[no-untyped-def]
    """Exit code 2, one line, nothing written."""
    done = run(*options)
    assert (2, 1) == (done.code, len(done.err.splitlines())), done.err
    assert expected in done.err
    assert {"a.safetensors", "b.safetensors"} == {path.name for path in tmp_path.iterdir()}
