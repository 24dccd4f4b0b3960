"""The ends of a line that an ensemble learned leave a store as state dicts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from store_rows import row

from lmc_sweep.cli import main
from lmc_sweep.store.store import Store
from workers.ensembles.line_step import FIRST, SECOND


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two lines in one file, and an ensemble that learned none."""
    made = Store.create(tmp_path / "store")
    ends = {f"{end}layers.0.weight": torch.rand(2, 3, 4) for end in (FIRST, SECOND)}
    checkpoint = made.write_tensors("networks", ends)
    lines = [row("ensembles", f"line{k}", checkpoint=checkpoint, row=k) for k in range(2)]
    none = row("ensembles", "none", method="independent", checkpoint=None, row=None)
    made.commit("ensembles", [*lines, none])
    return made


def export(monkeypatch: pytest.MonkeyPatch, store: Store, *arguments: str) -> int:
    """Exit code of the command, which writes ``out.safetensors`` beside the store."""
    output = str(store.path.parent / "out.safetensors")
    monkeypatch.setattr(sys, "argv", ["lmc-sweep", "export", str(store.path), *arguments, "--output", output])
    with pytest.raises(SystemExit) as stop:
        main()
    assert isinstance(stop.value.code, int)
    return stop.value.code


@pytest.mark.parametrize(("end", "prefix"), [("first", FIRST), ("second", SECOND)])
def test_each_end_is_a_state_dict(
    store: Store, monkeypatch: pytest.MonkeyPatch, end: str, prefix: str
) -> None:
    """Under the names of the module, of the right row; metadata say which end of which ensemble."""
    assert 0 == export(monkeypatch, store, "line1", "--end", end)
    output = store.path.parent / "out.safetensors"
    (line,) = store.fetch("ensembles", ["line1"], ["checkpoint", "row"])
    held = store.load_rows([(line["checkpoint"], line["row"])])
    found = load_file(output)
    assert ["layers.0.weight"] == list(found)
    assert torch.equal(held[f"{prefix}layers.0.weight"][0], found["layers.0.weight"])
    with safe_open(output, framework="pt") as file:
        assert ("line1", end) == (file.metadata()["ensemble_id"], file.metadata()["end"])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("line0",), "--end first and --end second write the two ends"),
        (("none", "--end", "first"), "method independent learns no line"),
        (("nothing", "--end", "first"), "no ensemble 'nothing'"),
        (("line0", "--end", "first", "--user-code"), "--user-code has no effect on lines"),
    ],
)
def test_what_is_no_line_is_told(
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    told: str,
) -> None:
    """In one line, and nothing is written."""
    assert 2 == export(monkeypatch, store, *arguments)
    assert told in " ".join(capsys.readouterr().err.split())
    assert not (store.path.parent / "out.safetensors").exists()
