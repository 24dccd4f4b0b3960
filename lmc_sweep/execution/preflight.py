"""What must hold before anything starts: data sets are there, modules fit them, checkpoints load."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lmc_sweep import data
from lmc_sweep.config.ensembles_study import obstacle
from lmc_sweep.config.sweep import Cell, Sweep
from lmc_sweep.errors import SweepError
from lmc_sweep.planning.plan import Plan
from lmc_sweep.planning.reconstruction import kind_of
from workers.datasets.definitions import define
from workers.specs import Correction, ModuleSpec


def check(sweep: Sweep, notice: Callable[[str], None]) -> None:
    """Refuses a sweep that could not be run to its end; ``notice`` is told what limits it.

    Torch is imported only where a module of the user's own, or a checkpoint, has to be looked into.

    Raises:
        SweepError: Naming the entry of the sweep file, and the layer, tensor or file.
    """
    checked = set()
    for cell in sweep.networks:
        shape = (cell.architecture, cell.data, cell.checkpoints)
        if shape in checked or not (isinstance(cell.architecture, ModuleSpec) or cell.checkpoints):
            continue
        checked.add(shape)
        try:
            _check_cell(cell, sweep, notice)
        except (ValueError, SweepError) as error:
            raise SweepError(f"{cell.origin}: {error}") from error


def user_code(sweep: Sweep) -> list[str]:
    """Functions of the user's own that a sweep names, sorted: modules and data sets."""
    found = {cell.architecture.name for cell in sweep.networks if isinstance(cell.architecture, ModuleSpec)}
    return sorted(found | {cell.dataset for cell in sweep.networks if cell.data.user is not None})


def datasets_needed(plan: Plan) -> list[str]:
    """The data sets that what is left of a plan reads, sorted; others may be missing."""
    kinds = {kind_of(item) for batch in plan.batches for item in batch.items}
    return sorted({kind.dataset for kind in kinds if kind is not None})


def modules_needed(plan: Plan) -> tuple[tuple[str, str], ...]:
    """Modules of the user's own that what is left of a plan computes with, and the hash of their source."""
    kinds = {kind_of(item) for batch in plan.batches for item in batch.items}
    specs = {kind.architecture for kind in kinds if kind is not None}
    return tuple(sorted((spec.name, spec.source_sha256) for spec in specs if isinstance(spec, ModuleSpec)))


def require_data(plan: Plan) -> None:
    """Raises SweepError where a data set that a plan needs is not here, with the remedy."""
    for name in datasets_needed(plan):
        data.require(name)


def _check_cell(cell: Cell, sweep: Sweep, notice: Callable[[str], None]) -> None:
    """Builds the program, derives and checks its permutation spec, reads the checkpoints one by one."""
    import torch

    from lmc_sweep import checkpoints
    from workers.architectures import build
    from workers.architectures.module_program import ModuleProgram
    from workers.interpolation.sites import repairable
    from workers.permutation.check import check_spec
    from workers.permutation.derive import derive

    definition = define(cell.data)
    program = build(cell.architecture, definition)
    if isinstance(cell.architecture, ModuleSpec) and _permutes_units(cell, sweep):
        example = program.prepare(torch.zeros(2, *definition.shape))
        derivation = derive(program.module, example)
        check_spec(program.module, derivation.spec, example)
        for pinned in derivation.pinned_operations:
            notice(
                f"{cell.architecture.name}: {pinned.name} ({pinned.operation}) has no permutation rule; "
                "what it touches stays in place"
            )
        if "repair" in _corrections(sweep) and isinstance(program, ModuleProgram):
            repairable(program)
    for file in cell.checkpoints:
        checkpoints.load_many([Path(file.path)], program)


def _permutes_units(cell: Cell, sweep: Sweep) -> bool:
    """Whether a study asks for permutations of the hidden units of a cell's networks."""
    if sweep.barriers is not None or sweep.studies.keys() & {"all_pairs", "canonical"}:
        return True
    asked = sweep.studies.get("ensembles")
    return asked is not None and any(
        method.permutes and obstacle(method, cell.architecture, cell.training) is None
        for method in asked.methods
    )


def _corrections(sweep: Sweep) -> set[Correction]:
    """What is done to interpolated networks before they are measured, in any study."""
    studies = (sweep.barriers, sweep.studies.get("all_pairs"))
    return {name for study in studies if study is not None for name in study.interpolation.corrections}
