"""``lmc-sweep align``: what it writes and prints, and what it refuses before anything starts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import own_modules
import pytest
import torch
from digits_mlps import trained
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lmc_sweep.cli import main
from workers.permutation import permute
from workers.permutation.spec import PermutationSpec

TIED = ("--module", "own_modules:tied")


class Done(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    """The command line in this process, where checkpoints a.pt and b.pt of ``own_modules:tied`` lie."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("LMC_SWEEP_DATA", str(tmp_path / "nowhere"))
    for seed, name in enumerate("ab"):
        torch.save(state(seed), tmp_path / f"{name}.pt")

    def command(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["lmc-sweep", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        told = capsys.readouterr()
        assert isinstance(stop.value.code, int)
        return Done(stop.value.code, told.out, told.err)

    return command


def state(seed: int, module: nn.Module | None = None) -> dict[str, Tensor]:
    """Random weights and statistics, a counter of batches that is not 0; tied tensors stay tied."""
    module = own_modules.tied() if module is None else module
    stream = torch.Generator().manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(torch.randn(tensor.shape, generator=stream) * 0.3)
            if name.endswith("running_var"):
                tensor.abs_().add_(0.5)
        else:
            tensor.fill_(7 + seed)
    return module.state_dict()


def logits(params: dict[str, Tensor]) -> Tensor:
    """What the module computes in float64 on fixed inputs."""
    module = own_modules.tied().eval()
    module.load_state_dict(params, strict=True)
    inputs = torch.randn(9, 1, 8, 8, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    with torch.no_grad():
        return module.double()(inputs)


def test_the_output_computes_what_b_did_and_the_permutation_leads_there(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Strict loading, same function, and b.pt permuted by the file's spec is the output, bit for bit."""
    done = run(
        "align", "a.pt", "b.pt", *TIED, "--input-shape", "1,8,8", "--output", "out.safetensors", "--json"
    )
    assert 0 == done.code, done.err
    before, after = state(1), load_file(tmp_path / "out.safetensors")
    assert {k: (v.shape, v.dtype) for k, v in before.items()} == {
        k: (v.shape, v.dtype) for k, v in after.items()
    }
    assert not torch.equal(before["stem.weight"], after["stem.weight"])
    assert 8 == int(after["norm.num_batches_tracked"])
    deviation = (logits(before) - logits(after)).abs().max() / logits(before).abs().max()
    assert float(deviation) < 1e-10
    with safe_open(tmp_path / "out.permutation.safetensors", framework="pt") as file:
        spec = PermutationSpec.from_json(file.metadata()["spec"])
        index = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert {f"member1.{group}": (torch.int64, (1, units)) for group, units in spec.groups.items()} == {
        name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in index.items()
    }
    stacked = {name: tensor.unsqueeze(0) for name, tensor in before.items()}
    again = permute.apply(stacked, {name.removeprefix("member1."): i for name, i in index.items()}, spec)
    assert all(torch.equal(tensor, again[name][0]) for name, tensor in after.items())
    assert {"a.pt", "b.pt", "out.safetensors", "out.permutation.safetensors"} == {
        path.name for path in tmp_path.iterdir()
    }


def test_without_a_data_set_there_are_no_barriers(run) -> None:  # type: ignore[no-untyped-def]
    """The JSON has exactly the keys of the contract, alone on standard output; matching improves."""
    done = run("align", "a.pt", "b.pt", *TIED, "--input-shape", "1,8,8", "--json")
    told = json.loads(done.out)
    assert ["method", "objective_start", "objective_end", "seconds", "barriers"] == list(told)
    assert ("weight_matching", []) == (told["method"], told["barriers"])
    assert told["objective_start"] < told["objective_end"]
    assert "weight_inner_product" in done.err


def test_barriers_are_measured_before_and_after(run) -> None:  # type: ignore[no-untyped-def]
    """Train and test, none and reset_bn by default; aligned with itself permuted, no barrier is left."""
    run(
        "align",
        "a.pt",
        "a.pt",
        *TIED,
        "--input-shape",
        "1,8,8",
        "--method",
        "random",
        "--output",
        "m.safetensors",
    )
    done = run("align", "a.pt", "m.safetensors", *TIED, "--dataset", "digits", "--alphas", "3", "--json")
    assert 0 == done.code, done.err
    barriers = json.loads(done.out)["barriers"]
    keys = ["split", "correction"]
    keys += [f"{kind}_barrier_{when}" for kind in ("loss", "error") for when in ("before", "after")]
    assert [keys] * 4 == [list(entry) for entry in barriers]
    measured = [(entry["split"], entry["correction"]) for entry in barriers]
    assert [(s, c) for s in ("train", "test") for c in ("none", "reset_bn")] == measured
    assert all(entry["loss_barrier_after"] < 1e-5 for entry in barriers)
    assert all(entry["error_barrier_after"] < 1e-9 for entry in barriers)


def test_a_permuted_solution_is_brought_back(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """A trained network and a random permutation of it: a barrier before, none after, nothing to reset."""
    _, params = trained(width=16, depth=1, num_networks=1, epochs=6)
    save_file({name: tensor[0].clone() for name, tensor in params.items()}, tmp_path / "s.safetensors")
    mlp = ["--architecture", "mlp", "--set", "architecture.width=16"]
    moved = run(
        "align", "s.safetensors", "s.safetensors", *mlp, "--method", "random", "--output", "m.safetensors"
    )
    assert (0, True) == (moved.code, "none_needed" not in moved.err)
    done = run("align", "s.safetensors", "m.safetensors", *mlp, "--dataset", "digits", "--json")
    barriers = json.loads(done.out)["barriers"]
    assert [("train", "none"), ("test", "none")] == [(one["split"], one["correction"]) for one in barriers]
    for one in barriers:
        assert one["loss_barrier_before"] > 0.3
        assert one["error_barrier_before"] > 0.1
        assert one["loss_barrier_after"] < 1e-6
        assert one["error_barrier_after"] < 1e-9


def test_a_method_that_searches_on_examples(run) -> None:  # type: ignore[no-untyped-def]
    """Annealing takes its options and its examples; only the correction asked for is measured."""
    options = [
        "--method",
        "simulated_annealing",
        "--set",
        "method.steps=20",
        "--set",
        "method.num_examples=64",
    ]
    options += [
        "--dataset",
        "digits",
        "--set",
        "dataset.num_train=200",
        "--correction",
        "none",
        "--alphas",
        "2",
    ]
    done = run("align", "a.pt", "b.pt", *TIED, *options, "--json")
    assert 0 == done.code, done.err
    told = json.loads(done.out)
    assert "simulated_annealing" == told["method"]
    assert told["objective_end"] <= told["objective_start"]
    assert ["none", "none"] == [entry["correction"] for entry in told["barriers"]]
    assert "200 examples" in done.err


def test_a_family_is_told_by_its_name_and_its_checkpoint(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Inputs and classes of an MLP and of a ResNet-20 follow from the weights where no data set is named."""
    from workers.architectures.mlp import MLPProgram
    from workers.architectures.resnet20 import ResNet20

    mlp = MLPProgram(num_inputs=37, width=5, depth=2, num_classes=3)
    for seed, name in enumerate("cd"):
        save_file(mlp.initialize(seed), tmp_path / f"{name}.safetensors")
        resnet = ResNet20((1, 32, 32), 2, "batch", 7)
        wrapped = {f"module.{key}": value for key, value in state(seed, resnet).items()}
        torch.save({"state_dict": wrapped, "epoch": 3}, tmp_path / f"{name}.pt")
    options = ["--set", "architecture.width=5", "--set", "architecture.depth=2"]
    done = run("align", "c.safetensors", "d.safetensors", "--architecture", "mlp", *options)
    assert 0 == done.code, done.err
    options = ["--set", "architecture.width_multiplier=0.125"]
    done = run("align", "c.pt", "d.pt", "--architecture", "resnet20", *options, "--output", "r.safetensors")
    assert 0 == done.code, done.err
    assert ("epoch" in done.err, "prefix 'module.'" in done.err) == (True, True)
    assert set(state(0, ResNet20((1, 32, 32), 2, "batch", 7))) == set(load_file(tmp_path / "r.safetensors"))


def test_the_types_of_the_file_are_kept(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """A checkpoint in float64 is searched in float32 and written in float64, no bit of it lost."""
    for seed, name in enumerate("cd"):
        module = own_modules.mlp().double()
        for tensor in module.parameters():
            nn.init.normal_(tensor, generator=torch.Generator().manual_seed(seed))
        torch.save(module.state_dict(), tmp_path / f"{name}.pt")
    done = run("align", "c.pt", "d.pt", "--module", "own_modules:mlp", "--output", "out.safetensors")
    assert (0, True) == (done.code, "4 tensors of float64 were converted to float32" in done.err)
    before, after = torch.load(tmp_path / "d.pt"), load_file(tmp_path / "out.safetensors")
    for name, tensor in before.items():
        assert torch.float64 == after[name].dtype
        assert torch.equal(tensor.flatten().sort().values, after[name].flatten().sort().values)


def test_the_output_may_replace_b(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Aligned twice in place, the second search finds nothing left to improve."""
    save_file({k: v.clone() for k, v in state(1).items()}, tmp_path / "b.safetensors")
    command = ["align", "a.pt", "b.safetensors", *TIED, "--input-shape", "1,8,8", "--output", "b.safetensors"]
    first, second = (json.loads(run(*command, "--json").out) for _ in range(2))
    assert first["objective_end"] == pytest.approx(second["objective_start"])
    assert second["objective_start"] == pytest.approx(second["objective_end"])


class _Code:
    """What a pickle needs code for."""


def _other(folder: Path) -> None:
    torch.save(own_modules.mlp().state_dict(), folder / "b.pt")


def _changed(folder: Path, name: str, value: Tensor | None) -> None:
    changed = dict(state(1))
    if value is None:
        del changed[name]
    else:
        changed[name] = value
    torch.save(changed, folder / "b.pt")


SHAPE = ("--input-shape", "1,8,8")
BAD = {
    "needs code": (
        lambda f: torch.save(_Code(), f / "b.pt"),
        (*TIED, *SHAPE),
        ["b.pt", "code", "state_dict()"],
    ),
    "torn": (lambda f: (f / "b.pt").write_bytes(b"PK\3\4"), (*TIED, *SHAPE), ["b.pt"]),
    "not there": (lambda f: (f / "b.pt").unlink(), (*TIED, *SHAPE), ["b.pt", "no such file"]),
    "other architecture": (
        _other,
        (*TIED, *SHAPE),
        ["b.pt", "missing", "stem.weight 6x1x3x3", "0.weight 12x64"],
    ),
    "missing": (lambda f: _changed(f, "head.bias", None), (*TIED, *SHAPE), ["b.pt", "missing", "head.bias"]),
    "extra": (
        lambda f: _changed(f, "more", torch.zeros(2)),
        (*TIED, *SHAPE),
        ["b.pt", "not of the module: more 2"],
    ),
    "shape": (
        lambda f: _changed(f, "head.bias", torch.zeros(3)),
        (*TIED, *SHAPE),
        ["b.pt", "head.bias is 3, the module has 10"],
    ),
    "not finite": (
        lambda f: _changed(f, "head.bias", torch.full((10,), torch.nan)),
        (*TIED, *SHAPE),
        ["b.pt", "head.bias (10 of 10 entries)"],
    ),
    "other channels": (None, (*TIED, "--dataset", "cifar10"), ["cifar10", "datasets fetch"]),
    "no module": (None, SHAPE, ["--module", "--architecture"]),
    "unknown module": (None, ("--module", "own_modulez:tied"), ["own_modulez"]),
    "unknown function": (None, ("--module", "own_modules:tide"), ["tide"]),
    "returns no module": (None, ("--module", "own_modules:number"), ["own_modules:number", "int"]),
    "bad argument": (None, (*TIED, "--set", "module.depth=3"), ["own_modules:tied", "depth"]),
    "no shape": (
        None,
        ("--module", "own_modules:convolution", "--set", "module.length=11"),
        ["own_modules:convolution", "Conv2d '0'", "--input-shape"],
    ),
    "bad shape": (None, (*TIED, "--input-shape", "1,x"), ["--input-shape", "1,x"]),
    "unknown method": (None, (*TIED, *SHAPE, "--method", "wm"), ["wm", "weight_matching"]),
    "unknown option": (None, (*TIED, *SHAPE, "--set", "method.restart=2"), ["restart", "restarts"]),
    "bad option": (None, (*TIED, *SHAPE, "--set", "method.restarts=0"), ["method.restarts", "0"]),
    "no section": (None, (*TIED, *SHAPE, "--set", "restarts=2"), ["restarts"]),
    "no effect": (
        None,
        (*TIED, *SHAPE, "--set", "architecture.width=2"),
        ["architecture.width", "no effect"],
    ),
    "loss needs examples": (
        None,
        (*TIED, *SHAPE, "--method", "sinkhorn", "--set", "method.objective=midpoint_loss"),
        ["--method", "sinkhorn", "--dataset"],
    ),
    "needs examples": (None, (*TIED, *SHAPE, "--method", "simulated_annealing"), ["--dataset"]),
    "unknown data set": (None, (*TIED, "--dataset", "digitz"), ["digitz", "digits"]),
    "correction alone": (None, (*TIED, *SHAPE, "--correction", "reset_bn"), ["--correction", "--dataset"]),
    "unknown correction": (None, (*TIED, "--dataset", "digits", "--correction", "bn"), ["bn", "reset_bn"]),
    "output elsewhere": (None, (*TIED, *SHAPE, "--output", "no/out.safetensors"), ["no/out.safetensors"]),
    "output of another kind": (None, (*TIED, *SHAPE, "--output", "out.pt"), ["out.pt", ".safetensors"]),
    "unknown family": (None, ("--architecture", "mpl"), ["mpl", "mlp"]),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_before_anything_is_written(run, tmp_path: Path, name: str) -> None:  # type: ignore[no-untyped-def]
    """Exit code 2, one line that names what is wrong, and the folder as it was."""
    damage, options, words = BAD[name]
    if damage is not None:
        damage(tmp_path)
    before = {path.name for path in tmp_path.iterdir()}
    done = run("align", "a.pt", "b.pt", *options)
    assert 2 == done.code, done.err
    assert 1 == len(done.err.splitlines()), done.err
    assert all(word in done.err for word in words), done.err
    assert "" == done.out
    assert before == {path.name for path in tmp_path.iterdir()}


def test_a_data_set_of_other_channels_is_refused(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """The layer that does not take the images is named."""
    (tmp_path / "colors.py").write_text(
        "from torch import nn\n"
        "def net():\n"
        "    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))\n"
    )
    done = run("align", "a.pt", "b.pt", "--module", "colors:net", "--dataset", "digits")
    assert (2, 1) == (done.code, len(done.err.splitlines())), done.err
    assert all(word in done.err for word in ("colors:net", "(1, 8, 8)", "at 0", "3 channels")), done.err


def test_a_correction_without_effect_is_refused(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """reset_bn on a module without batch norm."""
    for seed, name in enumerate("ab"):
        torch.save(state(seed, own_modules.mlp()), tmp_path / f"{name}.pt")
    options = ["--module", "own_modules:mlp", "--dataset", "digits", "--correction", "reset_bn"]
    done = run("align", "a.pt", "b.pt", *options)
    assert (2, 1, True) == (done.code, len(done.err.splitlines()), "reset_bn" in done.err), done.err


def test_repair_without_a_layer_to_correct_is_refused(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Before the search: one line, and no file is written."""
    for seed, name in enumerate("ab"):
        torch.save(state(seed, own_modules.products()), tmp_path / f"{name}.pt")
    options = ["--module", "own_modules:products", "--dataset", "digits", "--alphas", "2"]
    done = run("align", "a.pt", "b.pt", *options, "--correction", "repair")
    assert (2, 1, "") == (done.code, len(done.err.splitlines()), done.out), done.err
    assert all(word in done.err for word in ("--correction repair", "own_modules:products")), done.err
    assert {"a.pt", "b.pt"} == {path.name for path in tmp_path.iterdir()}
    assert 0 == run("align", "a.pt", "b.pt", *options, "--correction", "none").code


def test_convolutions_need_neither_a_data_set_nor_a_shape(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """The permuted checkpoint is written, without barriers."""
    done = run("align", "a.pt", "b.pt", *TIED, "--json")
    assert 0 == done.code, done.err
    assert [] == json.loads(done.out)["barriers"]
    assert set(state(1)) == set(load_file(tmp_path / "b.aligned.safetensors"))


@pytest.mark.slow
def test_the_working_directory_is_searched(tmp_path: Path) -> None:
    """The installed command finds a module that lies beside the checkpoints."""
    (tmp_path / "mine.py").write_text(Path(own_modules.__file__).read_text())
    for seed, name in enumerate("ab"):
        torch.save(state(seed, own_modules.mlp()), tmp_path / f"{name}.pt")
    command = Path(sys.executable).with_name("lmc-sweep")
    done = subprocess.run(
        [str(command), "align", "a.pt", "b.pt", "--module", "mine:mlp", "--set", "module.width=12"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert 0 == done.returncode, done.stderr
    assert (tmp_path / "b.aligned.safetensors").is_file()
