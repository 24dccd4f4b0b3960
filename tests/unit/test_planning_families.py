"""Sweeps over families, parts of data sets, epochs to save at, and networks of the user's own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lmc_sweep.config import parse_sweep
from lmc_sweep.errors import SweepError
from lmc_sweep.planning.batching import batches
from lmc_sweep.planning.items import BarrierItem, items, trajectory
from lmc_sweep.planning.plan import make_plan
from workers.specs import CheckpointSpec, ModuleSpec

MODULE = """
from torch import nn

def build(width=4):
    return nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))

def normed():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 10))
"""


def sweep(networks: str, barriers: str = "{pairs: 1, alignments: [{method: identity}]}") -> dict[str, list]:
    """Items of a sweep over one entry."""
    return items(parse_sweep(f"{{name: s, store: s, networks: [{networks}], barriers: {barriers}}}"))


@pytest.fixture
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a module and four checkpoints of it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "planned_nets.py").write_text(MODULE)
    (tmp_path / "nets").mkdir()
    for k in range(4):
        state = {"0.weight": torch.full((4, 64), float(k)), "0.bias": torch.zeros(4)}
        state |= {"2.weight": torch.ones(10, 4), "2.bias": torch.zeros(10)}
        save_file(state, tmp_path / "nets" / f"{k}.safetensors")
    return tmp_path


def test_networks_along_the_way_come_with_the_end() -> None:
    """save_at: [0, 3] asks for three cells: two epochs and the end; all of a seed are one trajectory."""
    entry = "{dataset: digits, architecture: {name: mlp, width: 4}, seeds: 2, training: {save_at: [0, 3]}}"
    found = sweep(entry)
    assert [0, 0, 3, 3, None, None] == [item.spec.training.save_at for item in found["network"]]
    assert 2 == len({trajectory(item) for item in found["network"]})
    assert 3 == len({item.cell_id for item in found["alignment"] if item.world == "real"})
    plain = sweep("{dataset: digits, architecture: {name: mlp, width: 4}, seeds: 2}")
    assert {item.id for item in plain["network"]} < {item.id for item in found["network"]}


def test_the_last_epoch_is_the_end_itself() -> None:
    """save_at at max_epochs names the network at the end."""
    training = "{max_epochs: 5, save_at: [1, 5]}"
    entry = f"{{dataset: digits, architecture: {{name: mlp, width: 4}}, seeds: 1, training: {training}}}"
    found = sweep(entry, "{pairs: 1, worlds: [model], alignments: [{method: identity}]}")
    assert [1, None] == [item.spec.training.save_at for item in found["network"]]


def test_a_trajectory_is_never_cut() -> None:
    """However small the batches, the networks of one run of training share one."""
    entry = "{dataset: digits, architecture: {name: mlp, width: 4}, seeds: 6, training: {save_at: [0, 3]}}"
    found = sweep(entry)
    made = batches({"network": found["network"]}, lambda item: 15.0, max_stack_bytes=2e9, num_slots=2)
    assert 1 < len(made)
    homes = {}
    for batch in made:
        for item in batch.items:
            assert homes.setdefault(trajectory(item), batch.id) == batch.id
    assert 18 == sum(len(batch.items) for batch in made)


def test_an_option_that_changes_nothing_does_not_enter_an_identity() -> None:
    """32x32 for CIFAR-10, and as many examples as there are, name the same networks as without."""
    plain = "{dataset: cifar10, architecture: {name: shallow_cnn, width: 8}, seeds: 2}"
    sized = (
        "{dataset: [mnist, cifar10], input_size: 32, architecture: {name: shallow_cnn, width: 8}, seeds: 2}"
    )
    assert {item.id for item in sweep(plain)["network"]} < {item.id for item in sweep(sized)["network"]}
    parts = "{dataset: digits, num_train: [100, 1438], architecture: {name: mlp, width: 8}, seeds: 2}"
    whole = "{dataset: digits, architecture: {name: mlp, width: 8}, seeds: 2}"
    assert {item.id for item in sweep(whole)["network"]} < {item.id for item in sweep(parts)["network"]}


def test_statistics_are_reset_only_where_there_are_any() -> None:
    """In a grid of MLPs and ResNets, reset_bn is planned for the ResNets alone, repair for all."""
    networks = (
        "{dataset: digits, seeds: 2, "
        "architecture: [{name: mlp, width: 4}, {name: resnet20, norm: [batch, layer]}]}"
    )
    barriers = (
        "{pairs: 1, alignments: [{method: identity}], interpolation: {corrections: [none, reset_bn, repair]}}"
    )
    asked = {
        (
            item.alignment.cell.architecture.name,
            getattr(item.alignment.cell.architecture, "norm", None),
            item.correction,
        )
        for item in sweep(networks, barriers)["barrier"]
        if isinstance(item, BarrierItem)
    }
    everywhere = {
        (*of, c)
        for of in (("mlp", None), ("resnet20", "batch"), ("resnet20", "layer"))
        for c in ("none", "repair")
    }
    assert everywhere | {("resnet20", "batch", "reset_bn")} == asked


def test_a_module_is_named_by_its_source_and_arguments(nets: Path) -> None:
    """An edited source file is another architecture; a default that is spelled out is another argument."""
    entry = "{dataset: digits, architecture: {name: 'planned_nets:build', width: [4, 8]}, seeds: 2}"
    first = sweep(entry)["network"]
    assert all(isinstance(item.spec.architecture, ModuleSpec) for item in first)
    assert 4 == len({item.id for item in first})
    (nets / "planned_nets.py").write_text(MODULE + "\n# edited\n")
    assert {item.id for item in first}.isdisjoint(item.id for item in sweep(entry)["network"])


def test_a_module_with_batch_norm_is_found_out(nets: Path) -> None:
    """reset_bn has effect on a module of the user's own that has batch norm, and is refused without."""
    barriers = "{pairs: 1, alignments: [{method: identity}], interpolation: {corrections: [reset_bn]}}"
    entry = "{dataset: digits, architecture: {name: 'planned_nets:NAME'}, seeds: 2}"
    assert 4 == len(sweep(entry.replace("NAME", "normed"), barriers)["barrier"])
    with pytest.raises(SweepError, match="'reset_bn' has no effect"):
        sweep(entry.replace("NAME", "build"), barriers)


def test_checkpoints_are_named_by_their_weights(nets: Path) -> None:
    """Files become networks in the order of their names; a moved file and an added one change no other."""
    entry = "{checkpoints: 'nets/*.safetensors', module: 'planned_nets:build', dataset: digits}"
    first = sweep(entry, "{pairs: 2, alignments: [{method: identity}]}")
    assert [0, 1, 2, 3] == [item.spec.seed for item in first["network"]]
    assert all(isinstance(item.spec, CheckpointSpec) and item.source for item in first["network"])
    assert 1 == len({item.cell_id for item in first["network"]})
    (nets / "nets" / "3.safetensors").rename(nets / "nets" / "4.safetensors")
    save_file({"0.weight": torch.zeros(1)}, nets / "nets" / "5.safetensors")
    second = sweep(entry, "{pairs: 2, alignments: [{method: identity}]}")
    assert [item.id for item in first["network"]] == [item.id for item in second["network"]][:4]
    assert [item.id for item in first["alignment"]] == [item.id for item in second["alignment"]]


def test_the_same_weights_twice_are_refused(nets: Path) -> None:
    """Two files with equal tensors would be one network."""
    (nets / "nets" / "9.safetensors").write_bytes((nets / "nets" / "2.safetensors").read_bytes())
    with pytest.raises(SweepError, match=r"2\.safetensors and .*9\.safetensors hold the same weights"):
        sweep("{checkpoints: 'nets/*.safetensors', module: 'planned_nets:build', dataset: digits}")


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("{checkpoints: 'none/*.pt', module: 'planned_nets:build', dataset: digits}", "none/"),
        ("{checkpoints: 'nets/*', dataset: digits}", "checkpoints need either 'module' or 'architecture'"),
        (
            "{checkpoints: 'nets/*', module: 'planned_nets:build', dataset: digits, seeds: 2}",
            "unknown key 'seeds'",
        ),
        (
            "{checkpoints: 'nets/*', module: 'planned_nets:absent', dataset: digits}",
            "has no function 'absent'",
        ),
        ("{checkpoints: 'nets/*', module: planned_nets, dataset: digits}", "should be pkg.module:function"),
    ],
)
def test_bad_entries_of_checkpoints_are_refused(nets: Path, entry: str, expected: str) -> None:
    """Each is told on one line that names the key."""
    with pytest.raises(SweepError) as caught:
        sweep(entry)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "architecture",
    [
        "{name: shallow_cnn, width: 8, depth: 4}",
        "{name: vgg, width: 16, depth: 11}",
        "{name: resnet, width: 16, depth: 50}",
        "{name: resnet20, width_multiplier: 0.5, norm: layer}",
    ],
)
def test_every_family_has_a_price(architecture: str) -> None:
    """A plan estimates time and bytes of each family without torch's help."""
    networks = f"{{dataset: mnist, input_size: 32, architecture: {architecture}, seeds: 2}}"
    barriers = "{alignments: [{method: weight_matching}]}"
    text = f"{{name: s, store: s, networks: [{networks}], barriers: {barriers}}}"
    plan = make_plan(parse_sweep(text), None, num_slots=2)
    kinds = plan.summary()["kinds"]
    assert all(of_kind["seconds"] > 0 and of_kind["bytes"] > 0 for of_kind in kinds.values())
