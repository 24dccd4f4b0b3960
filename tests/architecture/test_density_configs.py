"""The density plot of thousands of networks: what its files ask for, and whether it fits a laptop."""

from __future__ import annotations

from pathlib import Path

from lmc_sweep.config import load_sweep
from lmc_sweep.planning.items import items
from lmc_sweep.planning.plan import Plan, make_plan
from lmc_sweep.planning.rates import Rates

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
LAPTOP = CONFIGS / "density_3000.yaml"
GPU = CONFIGS / "density_3000_gpu.yaml"

REFERENCE_FLOPS_PER_SECOND = 1.1e11
"""Of one core of the machine in docs/benchmarks.md, in large products."""
ALLOWED_SECONDS = 40 * 60.0


def planned(file: Path) -> Plan:
    """The plan against an empty store."""
    return make_plan(load_sweep(file), None, num_slots=2)


def test_the_laptops_file_has_the_axes_that_it_promises() -> None:
    """Three data sets, MLPs of depth 1, 2, 4 from width 4 to 1024, CNNs, noisy labels, both worlds."""
    sweep = load_sweep(LAPTOP)
    cells = sweep.networks
    mlps = [cell for cell in cells if cell.architecture.name == "mlp"]
    assert {"digits", "mnist", "fashion_mnist"} == {cell.data.dataset for cell in cells}
    assert {"mlp", "shallow_cnn"} == {cell.architecture.name for cell in cells}
    assert {1, 2, 4} == {cell.architecture.depth for cell in mlps}
    assert {4, 1024} <= {cell.architecture.width for cell in mlps}
    assert {0.0, 0.1, 0.2, 0.4} == {cell.label_noise for cell in cells}
    assert {0.01} == {cell.training.stop_train_loss for cell in cells}
    assert sweep.barriers is not None
    assert {"real", "model"} == set(sweep.barriers.worlds)
    assert {"identity", "weight_matching", "simulated_annealing"} == {
        method.method for method in sweep.barriers.alignments
    }


def test_the_laptops_file_trains_3120_networks_in_260_cells_and_pairs_each_once() -> None:
    """Twelve networks a cell, six pairs of them in each world, three methods, two splits."""
    asked = items(load_sweep(LAPTOP))
    assert 3120 == len({item.id for item in asked["network"]})
    assert 260 == len({item.cell_id for item in asked["network"]})
    assert 260 * 6 * 2 * 3 == len({item.id for item in asked["alignment"]})
    assert 260 * 6 * 2 * 3 * 2 == len({item.id for item in asked["barrier"]})


def test_the_laptops_file_fits_two_cores() -> None:
    """By the cost model at the reference rate, in 40 minutes even if every network took all epochs."""
    plan = planned(LAPTOP)
    known = Rates(flops_per_second=REFERENCE_FLOPS_PER_SECOND)
    seconds = sum(known.seconds(item) for of_kind in plan.items.values() for item in of_kind)
    assert seconds / 2 <= ALLOWED_SECONDS


def test_the_gpus_file_plans_whole_data_sets() -> None:
    """3,000 networks and more of MNIST, Fashion-MNIST and CIFAR-10 in full, on any machine."""
    sweep, plan = load_sweep(GPU), planned(GPU)
    assert plan.num_to_do("network") >= 3000
    assert {"mnist", "fashion_mnist", "cifar10"} == {cell.data.dataset for cell in sweep.networks}
    assert {None} == {cell.data.num_train for cell in sweep.networks}
    assert sweep.execution.num_gpus > 0
