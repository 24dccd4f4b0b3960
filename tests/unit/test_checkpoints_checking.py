"""A checkpoint fits the module it is loaded into, or the difference is told in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from lmc_sweep.checkpoints import Checkpoint, check, fit, load_many, read, state_dict
from lmc_sweep.errors import SweepError
from workers.architectures.mlp import MLPProgram

PATH = Path("nets/b.pt")


class Tied(nn.Module):
    """Two layers that share a weight, and a batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.norm = nn.BatchNorm1d(4)
        self.second = nn.Linear(4, 4)
        self.second.weight = self.first.weight


def checked(state: dict[str, Tensor], module: nn.Module) -> Checkpoint:
    """The state held against the module."""
    return check(Checkpoint(state), module, PATH)


def test_a_state_is_kept_under_first_names() -> None:
    """Tied tensors once, buffers included, values bit for bit, no notes."""
    module = Tied()
    found = checked(module.state_dict(), module)
    names = ["first.weight", "first.bias", "norm.weight", "norm.bias", "second.bias"]
    buffers = ["norm.running_mean", "norm.running_var", "norm.num_batches_tracked"]
    assert [*names, *buffers] == list(found.params)
    assert all(torch.equal(module.state_dict()[name], tensor) for name, tensor in found.params.items())
    assert () == found.notes


def test_a_tied_tensor_may_stand_under_any_of_its_names() -> None:
    """As safetensors' save_model leaves it: one of the two names is enough."""
    module = Tied()
    state = module.state_dict()
    moved = {name: tensor for name, tensor in state.items() if name != "first.weight"}
    assert torch.equal(state["first.weight"], checked(moved, module).params["first.weight"])


def test_tied_tensors_that_differ_are_refused() -> None:
    """Both names and the file stand in the message."""
    state = dict(Tied().state_dict())
    state["second.weight"] = state["second.weight"] + 1
    with pytest.raises(SweepError, match=r"nets/b\.pt: first\.weight and second\.weight are one tensor"):
        checked(state, Tied())


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "_orig_mod.module."])
def test_the_prefix_of_a_wrapper_is_taken_off(prefix: str) -> None:
    """DataParallel and torch.compile, alone and together; noted for each."""
    module = nn.Linear(2, 3)
    found = checked({prefix + name: tensor for name, tensor in module.state_dict().items()}, module)
    assert ["weight", "bias"] == list(found.params)
    assert prefix.count(".") == len(found.notes)


def test_a_prefix_that_the_module_has_itself_stays() -> None:
    """A module whose only child is called module."""
    module = nn.ModuleDict({"module": nn.Linear(2, 3)})
    assert ["module.weight", "module.bias"] == list(checked(module.state_dict(), module).params)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_floats_become_float32_and_counters_stay(dtype: torch.dtype) -> None:
    """Other floats are converted with a note that counts them; int64 buffers are left alone."""
    module = Tied().to(dtype)
    found = checked(module.state_dict(), Tied())
    counters = {name: t.dtype for name, t in found.params.items() if t.dtype != torch.float32}
    assert {"norm.num_batches_tracked": torch.int64} == counters
    assert [True] == [f"7 tensors of {str(dtype)[6:]} were converted to float32" in n for n in found.notes]


def test_a_missing_counter_of_batches_is_zero() -> None:
    """Files from before torch 0.4.1 lack num_batches_tracked; nothing else may lack."""
    state = {name: tensor for name, tensor in Tied().state_dict().items() if "tracked" not in name}
    found = checked(state, Tied())
    assert 0 == int(found.params["norm.num_batches_tracked"])
    assert "num_batches_tracked" in found.notes[0]


def test_a_difference_is_told_in_one_readable_line() -> None:
    """Missing, extra and misshapen tensors, each with names and shapes, the first few of many."""
    state = dict(Tied().state_dict())
    del state["first.bias"]
    state["second.bias"] = torch.zeros(5)
    state |= {f"more.{k}": torch.zeros(2, 3) for k in range(7)}
    with pytest.raises(SweepError) as caught:
        checked(state, Tied())
    text = str(caught.value)
    assert text.startswith(
        "nets/b.pt: does not fit the module. 1 missing: first.bias 4. 7 not of the module:"
    )
    assert "more.4 2x3 and 2 more. 1 of another shape: second.bias is 5, the module has 4." in text
    assert ("\n" in text, "more.5" in text) == (False, False)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(value: float) -> None:
    """The tensor is named, with how many of its entries are no numbers."""
    state = {name: tensor.clone() for name, tensor in Tied().state_dict().items()}
    state["norm.running_var"][1:3] = value
    with pytest.raises(SweepError, match=r"nets/b\.pt: .*norm\.running_var \(2 of 4 entries\)"):
        checked(state, Tied())


def test_whole_numbers_where_floats_belong_are_refused() -> None:
    """Integer weights are no weights."""
    with pytest.raises(SweepError, match=r"weight holds int64, the module float32"):
        checked({"weight": torch.zeros(3, 2, dtype=torch.int64), "bias": torch.zeros(3)}, nn.Linear(2, 3))


def test_many_are_stacked_in_order(tmp_path: Path) -> None:
    """Row k of the stack is file k, bit for bit."""
    program = MLPProgram(num_inputs=3, width=4, depth=1, num_classes=2)
    states = [program.initialize(seed) for seed in range(3)]
    paths = [tmp_path / f"{k}.safetensors" for k in (2, 0, 1)]
    for state, path in zip(states, paths, strict=True):
        save_file(state, path)
    stacked = load_many(paths, program)
    for k, state in enumerate(states):
        assert all(torch.equal(tensor, stacked[name][k]) for name, tensor in state.items())
    assert set(states[0]) == set(read(paths[0]).params) == set(stacked)


def test_a_state_goes_back_under_every_name_in_its_own_type() -> None:
    """What fits keeps its type, and with all names a module of that type loads it strictly."""
    module = Tied().double()
    fitted = fit(Checkpoint(module.state_dict()), Tied(), PATH)
    whole = state_dict(fitted.params, Tied())
    assert module.state_dict().keys() == whole.keys()
    assert all(tensor.dtype == whole[name].dtype for name, tensor in module.state_dict().items())
    Tied().load_state_dict(whole, strict=True)
