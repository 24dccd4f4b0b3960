"""What plan and run say of data sets that are missing and of items that are held back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from store_rows import row

from lmc_sweep.cli.plan_lines import heavy_lines, held_back_lines, print_plan
from lmc_sweep.cli.plan_totals import totals, totals_line
from lmc_sweep.config import parse_sweep
from lmc_sweep.config.sweep import Sweep
from lmc_sweep.errors import SweepError
from lmc_sweep.execution.run import run
from lmc_sweep.planning.plan import make_plan
from lmc_sweep.store.store import Store

MISSING = "mnist is not here, and a run would refuse: lmc-sweep datasets fetch mnist"


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sweep:
    """Two networks on a data set that is not on this machine."""
    monkeypatch.setenv("LMC_SWEEP_DATA", str(tmp_path / "nothing"))
    networks = "networks: [{dataset: mnist, architecture: {name: mlp, width: 4}, seeds: 2}]"
    return parse_sweep(f"name: s\nstore: {tmp_path / 'store'}\n{networks}\n")


def filled(sweep: Sweep, num_networks: int) -> Store:
    """A store that holds so many of the networks."""
    store = Store.create(sweep.store)
    weights = store.write_tensors("networks", {"w": torch.ones(1, 2)})
    for item in make_plan(sweep, None, 1).items["network"][:num_networks]:
        store.commit("networks", [row("networks", item.id, checkpoint=weights, row=0)])
    return store


def test_a_data_set_is_missed_where_something_is_left(
    sweep: Sweep, capsys: pytest.CaptureFixture[str]
) -> None:
    """With one network to do, plan says that a run would refuse, and a run does."""
    print_plan(make_plan(sweep, filled(sweep, 1), 1), sweep.store)
    assert MISSING in capsys.readouterr().err
    with pytest.raises(SweepError, match="data set 'mnist' is not whole"):
        run(sweep, inline=True)


def test_a_data_set_is_not_missed_where_nothing_is_left(
    sweep: Sweep, capsys: pytest.CaptureFixture[str]
) -> None:
    """With every network there, plan says so and no more, and a run ends well without the data."""
    print_plan(make_plan(sweep, filled(sweep, 2), 1), sweep.store)
    told = capsys.readouterr().err
    assert MISSING not in told
    assert "Everything is there; a run would do nothing." in told
    assert 0 == run(sweep, inline=True).exit_code


def test_what_is_held_back_is_told_with_the_remedy(sweep: Sweep, capsys: pytest.CaptureFixture[str]) -> None:
    """A plan of which all that is left is held back says so, and names the command that releases it."""
    store = filled(sweep, 1)
    left = make_plan(sweep, store, 1).items["network"][1]
    told = {"kind": "network", "item_ids": [left.id], "error_type": "E", "message": "", "traceback": ""}
    store.commit("failures", [{**told, "attempts": 1, "cause": "user_error", "sweep": "s"}])
    plan = make_plan(sweep, store, 1)
    (line,) = held_back_lines(plan, "my store")
    assert "1 item failed in code of your own, held back until released." in line
    assert line.endswith("lmc-sweep retry 'my store'")
    print_plan(plan, sweep.store)
    assert "All that is left is held back; a run would do nothing." in capsys.readouterr().err
    assert 1 == run(sweep, inline=True).exit_code


def test_the_totals_count_pairs_once_whatever_the_methods() -> None:
    """Two methods on two splits of one pair in each world are two pairs; what is done costs nothing more."""
    barriers = "barriers: {pairs: 1, alignments: [{method: identity}, {method: random}]}"
    networks = "networks: [{dataset: mnist, architecture: {name: mlp, width: 4}, seeds: 2}]"
    plan = make_plan(parse_sweep(f"name: s\nstore: s\n{networks}\n{barriers}\n"), None, 1)
    found = totals(plan)
    assert (2, 2) == (found.num_networks, found.num_pairs)
    assert found.gpu_hours > 0
    assert sum(kind["bytes"] for kind in plan.summary()["kinds"].values()) == found.bytes
    assert "In all 2 networks, 2 pairs." in totals_line(found)
    assert 0 == totals(replace(plan, batches=[])).gpu_hours


def test_an_item_beyond_a_machine_is_told_before_a_run() -> None:
    """A billion inputs: the memory and the days of one pair of random networks; of a few, no word."""
    text = "name: s\nstore: s\ninitialization: {input_dims: [1, 2], widths: [64], seeds: 1}\n"
    huge = parse_sweep(text, overrides=["initialization.input_dims=[2, 100000000000]"])
    memory, days = heavy_lines(make_plan(huge, None, 1), 24e9)
    start = "One initialization (100000000000 inputs, 64 units, "
    assert memory.startswith(start)
    assert memory.endswith(" TB of memory, and this machine has 24 GB.")
    assert days.startswith(start)
    assert days.endswith("by itself.")
    assert [] == heavy_lines(make_plan(parse_sweep(text), None, 1), 24e9)
