"""``lmc-sweep spec``: modules of a user's own and every family, in the form of the contract."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import own_modules
import pytest

from lmc_sweep.cli import main
from workers.specs import ARCHITECTURES


class Done(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    """The command line in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def command(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["lmc-sweep", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        told = capsys.readouterr()
        assert isinstance(stop.value.code, int)
        return Done(stop.value.code, told.out, told.err)

    return command


def test_the_json_has_the_form_of_the_contract(run) -> None:  # type: ignore[no-untyped-def]
    """Groups with sizes; segments cover each axis; buffers, tied names and flattened blocks are there.

    The shared weight makes one group of the units of both its sides.
    """
    done = run(
        "spec", "--module", "own_modules:tied", "--input-shape", "1,8,8", "--set", "module.width=4", "--json"
    )
    assert 0 == done.code, done.err
    told = json.loads(done.out)
    assert ["groups", "axes"] == list(told)
    assert {"stem": 4} == told["groups"]
    shapes = {name: tuple(tensor.shape) for name, tensor in own_modules.tied(4).state_dict().items()}
    groups = defaultdict(list)
    for entry in told["axes"]:
        assert ["parameter", "axis", "segments"] == list(entry)
        assert all(["group", "num_units", "block"] == list(segment) for segment in entry["segments"])
        length = sum(segment["num_units"] * segment["block"] for segment in entry["segments"])
        assert length == shapes[entry["parameter"]][entry["axis"]]
        groups[entry["parameter"]].append((entry["axis"], entry["segments"][0]["group"]))
    assert [(0, "stem")] == groups["norm.running_mean"] == groups["norm.running_var"]
    assert groups["inner.weight"] == groups["again.weight"]
    assert "norm.num_batches_tracked" not in groups
    (head,) = [entry for entry in told["axes"] if entry["parameter"] == "head.weight"]
    assert (1, 16) == (head["axis"], head["segments"][0]["block"])


SMALL = {
    "mlp": "architecture.width=4",
    "shallow_cnn": "architecture.width=4",
    "vgg": "architecture.width=2",
    "resnet": "architecture.width=2",
    "resnet20": "architecture.width_multiplier=0.125",
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_family_has_a_spec(run, name: str) -> None:  # type: ignore[no-untyped-def]
    """By its name alone, and proved by the program; the table goes to people."""
    done = run("spec", "--architecture", name, "--set", SMALL[name])
    assert (0, "") == (done.code, done.out), done.err
    assert "Axes that move" in done.err


def test_a_data_set_gives_the_shape(run) -> None:  # type: ignore[no-untyped-def]
    """Of images of 28x28, VGG refuses; resized to 32x32 it takes them."""
    vgg = ["spec", "--architecture", "vgg", "--set", "architecture.width=2", "--dataset", "mnist"]
    refused = run(*vgg)
    assert (2, True) == (refused.code, "28" in refused.err)
    assert 0 == run(*vgg, "--set", "dataset.input_size=32").code


def test_an_operation_without_a_rule_is_named(run) -> None:  # type: ignore[no-untyped-def]
    """What lies behind it is permuted all the same."""
    done = run("spec", "--module", "own_modules:running_sum", "--json")
    assert 0 == done.code, done.err
    assert {"hidden": 7} == json.loads(done.out)["groups"]
    assert "(cumsum)" in done.err


UNSHAPED = {
    "image": (("own_modules:convolution",), {"0": 3}),
    "sequence": (("own_modules:convolution", "module.axes=1", "module.length=128"), {"0": 3}),
    "volume": (("own_modules:convolution", "module.axes=3"), {"0": 3}),
    "tokens": (("own_modules:embedding",), {"0": 5, "2": 7}),
    "behind a bare parameter": (("own_modules:scaled",), {"behind.0": 3}),
    "units of a tied layer": (("own_modules:tied",), {"stem": 6}),
}


@pytest.mark.parametrize("name", UNSHAPED)
def test_the_input_is_told_by_the_first_layer(run, name: str) -> None:  # type: ignore[no-untyped-def]
    """Neither a data set nor a shape is named: the channels are the layer's, the first size that fits."""
    (module, *changes), groups = UNSHAPED[name]
    options = [option for change in changes for option in ("--set", change)]
    done = run("spec", "--module", module, *options, "--json")
    assert 0 == done.code, done.err
    assert groups == json.loads(done.out)["groups"]


BAD = {
    "cannot be traced": (("--module", "own_modules:branching"), ["Branching cannot be traced"]),
    "nothing to permute": (("--module", "own_modules:single"), ["Linear"]),
    "no shape": (("--module", "own_modules:products"), ["own_modules:products", "--input-shape", "Products"]),
    "no side": (
        ("--module", "own_modules:convolution", "--set", "module.length=11"),
        ["own_modules:convolution", "Conv2d '0'", "2x32x32", "--input-shape"],
    ),
    "no length": (
        ("--module", "own_modules:convolution", "--set", "module.axes=1", "--set", "module.length=11"),
        ["Conv1d '0'", "2x64", "--input-shape"],
    ),
    "no number of tokens": (
        ("--module", "own_modules:embedding", "--set", "module.length=11"),
        ["Embedding '0'", "--input-shape"],
    ),
    "wrong shape": (
        ("--module", "own_modules:tied", "--input-shape", "3,8,8"),
        ["own_modules:tied", "3x8x8"],
    ),
    "both": (("--module", "own_modules:tied", "--architecture", "mlp"), ["--module", "--architecture"]),
    "method": (("--module", "own_modules:tied", "--set", "method.restarts=3"), ["method"]),
    "shape of a data set": (
        ("--module", "own_modules:tied", "--dataset", "digits", "--input-shape", "1,8,8"),
        ["--input-shape"],
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line(run, name: str) -> None:  # type: ignore[no-untyped-def]
    """Exit code 2 and one line that says what is wrong."""
    options, words = BAD[name]
    done = run("spec", *options)
    assert (2, 1, "") == (done.code, len(done.err.splitlines()), done.out), done.err
    assert all(word in done.err for word in words), done.err
