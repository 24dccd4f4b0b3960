"""A network leaves a store as a state dict that its module loads strictly, without importing the module."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import own_modules
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from store_rows import row

from lmc_sweep.cli import main
from lmc_sweep.errors import StoreError
from lmc_sweep.store.store import Store
from workers.architectures.module_program import ModuleProgram
from workers.params import stack

SOURCE = hashlib.sha256(Path(own_modules.__file__).read_bytes()).hexdigest()


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Two networks of a module with tied weights, of a module that is not there, and of an MLP."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    made = Store.create(tmp_path / "store")
    program = ModuleProgram(own_modules.tied, (1, 8, 8), 10)
    weights = stack([program.initialize(seed) for seed in range(2)])
    checkpoint = made.write_tensors("networks", weights, {"aliases": json.dumps(program.aliases)})
    names = {
        "first": "own_modules:tied",
        "second": "nobody_has_this:net",
        "wider": "own_modules:tied",
        "mlp": "mlp",
    }
    made.commit(
        "networks", [_row(key, name, checkpoint, k % 2) for k, (key, name) in enumerate(names.items())]
    )
    return made


def _row(network: str, name: str, checkpoint: str, position: int) -> dict[str, Any]:
    """The row of a network of an architecture."""
    width = 9 if network == "wider" else 6
    architecture: dict[str, Any] = {"name": name}
    if ":" in name:
        architecture |= {"arguments": [["width", width]], "source_sha256": SOURCE}
    spec = json.dumps({"architecture": architecture, "dataset": "digits"})
    return row("networks", network, seed=position, row=position, checkpoint=checkpoint, spec_json=spec)


def export(store: Store, network: str, monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    """Exit code of the command, which writes ``out.safetensors`` beside the store."""
    output = str(store.path.parent / "out.safetensors")
    arguments = ["lmc-sweep", "export", str(store.path), network, "--output", output, *options]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as stop:
        main()
    assert isinstance(stop.value.code, int)
    return stop.value.code


def test_an_exported_network_loads_strictly(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tied tensors under both names, the counter of batches, the right row; metadata name the network."""
    assert 0 == export(store, "first", monkeypatch)
    output = store.path.parent / "out.safetensors"
    exported, module = load_file(output), own_modules.tied()
    module.load_state_dict(exported, strict=True)
    assert torch.equal(exported["inner.weight"], exported["again.weight"])
    assert torch.int64 == exported["norm.num_batches_tracked"].dtype
    expected = ModuleProgram(own_modules.tied, (1, 8, 8), 10).initialize(0)
    assert all(torch.equal(tensor, exported[name]) for name, tensor in expected.items())
    with safe_open(output, framework="pt") as file:
        assert "first" == file.metadata()["network_id"]


def test_export_imports_no_module_that_the_store_names(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that is not there is no obstacle, unless --user-code asks for it."""
    assert 0 == export(store, "second", monkeypatch)
    (store.path.parent / "out.safetensors").unlink()
    assert 2 == export(store, "second", monkeypatch, "--user-code")
    assert not (store.path.parent / "out.safetensors").exists()


def test_user_code_checks_that_the_module_loads_the_weights(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As it was, it does; of another width, the tensor is named and nothing is written."""
    assert 0 == export(store, "first", monkeypatch, "--user-code")
    (store.path.parent / "out.safetensors").unlink()
    capsys.readouterr()
    assert 2 == export(store, "wider", monkeypatch, "--user-code")
    told = capsys.readouterr().err
    assert (1, True, True) == (len(told.splitlines()), "own_modules:tied" in told, "stem.weight" in told)
    assert not (store.path.parent / "out.safetensors").exists()


def test_user_code_has_no_effect_on_a_family(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """An architecture of the program needs no import."""
    assert (0, 2) == (export(store, "mlp", monkeypatch), export(store, "mlp", monkeypatch, "--user-code"))


def test_aliases_of_tensors_that_are_not_there_are_refused(tmp_path: Path) -> None:
    """The file is named."""
    made = Store.create(tmp_path / "other")
    checkpoint = made.write_tensors("networks", {"w": torch.zeros(1, 2)}, {"aliases": '{"v": "u"}'})
    made.commit("networks", [row("networks", "n", row=0, checkpoint=checkpoint)])
    with pytest.raises(StoreError, match=r"\.safetensors: its aliases .*'u'"):
        made.load_network("n")
