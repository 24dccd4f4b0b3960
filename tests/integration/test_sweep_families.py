"""Whole sweeps over every family, corrections, networks along the way, and networks of the user's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lmc_sweep import Store, run
from lmc_sweep.config import parse_sweep
from lmc_sweep.errors import SweepError

MODULE = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.branch = nn.Conv2d(width, width, 3, padding=1)
        self.head = nn.Linear(width, 10)

    def forward(self, x):
        x = torch.relu(self.norm(self.stem(x)))
        x = x + torch.relu(self.branch(x))
        return self.head(x.mean((2, 3)))


def build(width=4):
    return Net(width)


def blobs():
    stream = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (240, 1, 6, 6), dtype=torch.uint8, generator=stream)
    labels = torch.arange(240) % 4
    images[:, 0, 0, 0] = (labels * 60).to(torch.uint8)
    return {"train_images": images[:200], "train_labels": labels[:200],
            "test_images": images[200:], "test_labels": labels[200:]}


def small():
    return nn.Sequential(nn.Linear(36, 6), nn.Tanh(), nn.Linear(6, 4))
"""

FAMILIES = """
name: families
store: s
networks:
  - dataset: digits
    num_train: 96
    num_test: 40
    architecture:
      - {name: mlp, width: 8, depth: 2}
      - {name: shallow_cnn, width: 4}
      - {name: resnet20, width_multiplier: 0.25}
      - {name: 'family_nets:build', width: 4}
    training: {max_epochs: 2, batch_size: 32, learning_rate: 0.05, save_at: 1}
    seeds: 2
barriers:
  alignments: [{method: identity}, {method: weight_matching}]
  interpolation: {alphas: 3, splits: [train], corrections: [none, reset_bn, repair]}
"""


@pytest.fixture
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory that holds a module of the user's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "family_nets.py").write_text(MODULE)
    return tmp_path


def test_every_family_goes_through_one_sweep(nets: Path) -> None:
    """Networks of four architectures at two epochs are trained, aligned, corrected and measured."""
    result = run(parse_sweep(FAMILIES), store=str(nets / "s"), inline=True)
    assert 0 == result.exit_code
    store = result.store
    assert [(1, 8), (2, 8)] == store.sql(
        "SELECT epochs_trained, count(*) FROM networks GROUP BY 1 ORDER BY 1"
    ).fetchall()
    per_family = dict(
        store.sql(
            "SELECT architecture, list_sort(list_distinct(list(correction))) FROM barriers GROUP BY 1"
        ).fetchall()
    )
    assert {
        "mlp": ["none", "repair"],
        "shallow_cnn": ["none", "repair"],
        "resnet20": ["none", "repair", "reset_bn"],
        "family_nets:build": ["none", "repair", "reset_bn"],
    } == per_family
    (worst,) = store.sql(
        "SELECT max(loss_barrier) FROM barriers WHERE world = 'model' AND method = 'weight_matching'"
    ).fetchall()[0]
    assert worst is not None
    assert worst < 1e-4  # a permuted network is found again, whatever the correction


def test_a_rerun_of_it_does_nothing(nets: Path) -> None:
    """The second run finds every item, also those of the user's module."""
    sweep = parse_sweep(FAMILIES, overrides=["networks[0].architecture=[{name: 'family_nets:build'}]"])
    assert 0 == run(sweep, store=str(nets / "s"), inline=True).exit_code
    again = run(sweep, store=str(nets / "s"), inline=True)
    assert again.progress is None
    assert again.plan.complete


def test_checkpoints_of_the_users_own_become_a_cell(nets: Path) -> None:
    """Six state dicts are imported, paired, corrected; the store is whole without the files."""
    import family_nets

    for seed in range(6):
        torch.random.manual_seed(seed)
        state = family_nets.build(4).state_dict()
        save_file(state, nets / f"net{seed}.safetensors")
    text = """
name: mine
store: s
networks:
  - checkpoints: 'net*.safetensors'
    module: {name: 'family_nets:build', width: 4}
    dataset: digits
    num_train: 96
barriers:
  alignments: [{method: weight_matching}]
  interpolation: {alphas: 3, corrections: [none, reset_bn, repair]}
"""
    result = run(parse_sweep(text), store=str(nets / "s"), inline=True)
    assert 0 == result.exit_code
    rows = result.store.sql(
        "SELECT seed, learning_rate, stop_reason, train_error, num_train FROM networks ORDER BY seed"
    ).fetchall()
    assert [(seed, None, None, 96) for seed in range(6)] == [(r[0], r[1], r[2], r[4]) for r in rows]
    assert all(0 <= row[3] <= 1 for row in rows)
    assert [(36,)] == result.store.sql("SELECT count(*) FROM barriers").fetchall()
    for seed in range(6):
        (nets / f"net{seed}.safetensors").unlink()
    reopened = Store(nets / "s")
    (network_id,) = reopened.sql("SELECT network_id FROM networks WHERE seed = 5").fetchall()[0]
    torch.random.manual_seed(5)
    expected = family_nets.build(4).state_dict()
    found = reopened.load_network(network_id)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_a_data_set_of_the_users_own(nets: Path) -> None:
    """A function's arrays are trained on; networks learn it, and its identity is that of the arrays."""
    text = """
name: blobs
store: s
networks:
  - {dataset: 'family_nets:blobs', architecture: {name: 'family_nets:small'}, seeds: 2,
     training: {max_epochs: 30, batch_size: 20, learning_rate: 0.1}}
barriers: {alignments: [{method: weight_matching}]}
"""
    result = run(parse_sweep(text), store=str(nets / "s"), inline=True)
    assert 0 == result.exit_code
    errors = result.store.sql("SELECT train_error, spec_json FROM networks").fetchall()
    assert max(error for error, _ in errors) < 0.3
    assert all("sha256" in json.loads(text)["user_data"] for _, text in errors)


BAD = {
    "shape": ({"head.weight": (10, 5)}, "head.weight"),
    "missing": ({"norm.weight": None}, "norm.weight"),
    "extra": ({"more.weight": (1,)}, "more.weight"),
}


@pytest.mark.parametrize("case", BAD)
def test_checkpoints_that_do_not_fit_are_refused_before_anything_starts(nets: Path, case: str) -> None:
    """The error names the file and the tensor, and no store is made."""
    import family_nets

    changes, named = BAD[case]
    for seed in range(2):
        torch.random.manual_seed(seed)
        state = family_nets.build(4).state_dict()
        if seed == 1:
            for name, shape in changes.items():
                state.pop(name, None)
                if shape is not None:
                    state[name] = torch.zeros(shape)
        save_file(state, nets / f"net{seed}.safetensors")
    entry = "{checkpoints: 'net*.safetensors', module: 'family_nets:build', dataset: digits}"
    sweep = parse_sweep(f"{{name: bad, store: s, networks: [{entry}]}}")
    with pytest.raises(SweepError) as caught:
        run(sweep, store=str(nets / "s"), inline=True)
    message = str(caught.value)
    assert "networks[0]" in message
    assert "net1.safetensors" in message
    assert named in message
    assert not (nets / "s").exists()


def test_a_module_for_other_channels_is_refused(nets: Path) -> None:
    """A module that takes one channel is not trained on three."""
    (nets / "colored.py").write_text(
        "import torch\n"
        "def data():\n"
        "    images = torch.zeros(20, 3, 6, 6, dtype=torch.uint8)\n"
        "    images[::2] = 255\n"
        "    labels = torch.arange(20) % 10\n"
        "    return dict(train_images=images, train_labels=labels, test_images=images, test_labels=labels)\n"
    )
    entry = "{dataset: 'colored:data', architecture: {name: 'family_nets:build'}, seeds: 2}"
    sweep = parse_sweep(f"{{name: bad, store: s, networks: [{entry}]}}")
    with pytest.raises(SweepError, match=r"networks\[0\].*stem.*\(3, 6, 6\)|networks\[0\].*3 channels"):
        run(sweep, store=str(nets / "s"), inline=True)
    assert not (nets / "s").exists()


def test_a_module_that_was_edited_since_it_was_imported_is_refused(nets: Path) -> None:
    """Its results would bear the name of another source; the error says so, and no store is made."""
    (nets / "edited_nets.py").write_text(MODULE)
    entry = "{dataset: digits, architecture: {name: 'edited_nets:build'}, seeds: 2}"
    text = (
        f"{{name: edited, store: s, networks: [{entry}], barriers: {{alignments: [{{method: identity}}]}}}}"
    )
    run(
        parse_sweep(text, overrides=["networks[0].training={max_epochs: 0}"]),
        store=str(nets / "a"),
        inline=True,
    )
    (nets / "edited_nets.py").write_text(MODULE.replace("torch.relu", "torch.tanh"))
    with pytest.raises(SweepError, match=r"networks\[0\]: edited_nets:build: its source file has changed"):
        run(parse_sweep(text), store=str(nets / "s"), inline=True)
    assert not (nets / "s").exists()


UNFIT = """
import torch
from torch import nn


class Bare(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.randn(64, 8)), nn.Parameter(torch.randn(8, 10))

    def forward(self, x):
        return torch.relu(x.flatten(1) @ self.a) @ self.b


def bare():
    return Bare()


def unkept():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4, track_running_stats=False), nn.Flatten(), nn.Linear(144, 10)
    )


def broken():
    raise RuntimeError("no such thing")


def tuples():
    class Two(nn.Linear):
        def forward(self, x):
            return super().forward(x), x
    return Two(64, 10)
"""


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("bare", "no linear, convolutional or norm layer"),
        ("unkept", "layer 1 is a batch norm without running statistics"),
        ("broken", "unfit_nets:broken failed: RuntimeError: no such thing"),
        ("tuples", "must return logits"),
    ],
)
def test_modules_that_cannot_be_studied_are_refused_before_anything_starts(
    nets: Path, function: str, expected: str
) -> None:
    """Each error names the entry and the layer or the function, and no store is made."""
    (nets / "unfit_nets.py").write_text(UNFIT)
    entry = f"{{dataset: digits, architecture: {{name: 'unfit_nets:{function}'}}, seeds: 2}}"
    study = "{alignments: [{method: identity}], interpolation: {corrections: [repair]}}"
    sweep = parse_sweep(f"{{name: unfit, store: s, networks: [{entry}], barriers: {study}}}")
    with pytest.raises(SweepError) as caught:
        run(sweep, store=str(nets / "s"), inline=True)
    assert "networks[0]" in str(caught.value)
    assert expected in str(caught.value)
    assert not (nets / "s").exists()


def test_a_module_that_nothing_permutes_can_be_trained(nets: Path) -> None:
    """A study of permutations refuses it; training alone does not."""
    (nets / "plain_nets.py").write_text("from torch import nn\ndef build():\n    return nn.Linear(64, 10)\n")
    entry = "{dataset: digits, architecture: {name: 'plain_nets:build'}, seeds: 2, training: {max_epochs: 1}}"
    result = run(parse_sweep(f"{{name: linear, store: s, networks: [{entry}]}}"), store="s", inline=True)
    assert 0 == result.exit_code
    study = "{alignments: [{method: identity}]}"
    with pytest.raises(SweepError, match=r"networks\[0\]: nothing in Linear can be permuted"):
        run(
            parse_sweep(f"{{name: linear, store: s, networks: [{entry}], barriers: {study}}}"),
            store="s",
            inline=True,
        )
