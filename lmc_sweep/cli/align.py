"""``lmc-sweep align``."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from lmc_sweep.cli.arguments import AsJson, InputShape, Module
from lmc_sweep.errors import SweepError
from workers.specs import Correction

if TYPE_CHECKING:
    from lmc_sweep.cli.align_files import Measured
    from workers.alignment.outcome import AlignmentResult

COMMAND = "lmc-sweep align"
_MAX_ALPHAS = 10_001


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("align")(align_command)


def align_command(
    first: Annotated[
        Path, typer.Argument(metavar="A", help="A checkpoint, which stays.", show_default=False)
    ],
    second: Annotated[
        Path, typer.Argument(metavar="B", help="A checkpoint, which is permuted.", show_default=False)
    ],
    module: Module = None,
    architecture: Annotated[
        str | None, typer.Option("--architecture", metavar="NAME", help="A known family, such as mlp.")
    ] = None,
    method: Annotated[
        str,
        typer.Option("--method", metavar="NAME", help="weight_matching, sinkhorn, simulated_annealing, ..."),
    ] = "weight_matching",
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Options of the architecture, the module's function, the method, the data set; repeatable: "
            "architecture.width=64, module.width=64, method.restarts=5, dataset.input_size=32.",
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", metavar="NAME", help="Measure barriers on its train and test examples."),
    ] = None,
    input_shape: InputShape = None,
    corrections: Annotated[
        list[str] | None,
        typer.Option(
            "--correction",
            metavar="NAME",
            help="none, reset_bn or repair; repeatable. Default: none, with batch norm also reset_bn.",
        ),
    ] = None,
    alphas: Annotated[
        int, typer.Option("--alphas", min=2, max=_MAX_ALPHAS, help="Points of each curve, 0 and 1 included.")
    ] = 11,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="The permuted B. Default: B.aligned.safetensors here."),
    ] = None,
    permutation: Annotated[
        Path | None,
        typer.Option(
            "--permutation", metavar="FILE", help="Default: beside the output, as *.permutation.safetensors."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Align two checkpoints of your own: write the second one permuted, and measure barriers.

    lmc-sweep align a.pt b.pt --module my.models:resnet --dataset cifar10 --output b.aligned.safetensors

    Both are state dicts, as .safetensors or from torch.save; nothing in them is run. The function of the
    permuted checkpoint is that of B.
    """
    from lmc_sweep import checkpoints, data
    from lmc_sweep.cli import asked

    with asked.refusing(COMMAND):
        for path in (first, second):
            checkpoints.require(path)
        target = _target(output or Path(f"{second.stem}.aligned.safetensors"), first)
        other = _target(permutation or target.with_name(f"{target.stem}.permutation.safetensors"), first)
        if other == target:
            raise SweepError(f"{other}: the output and the permutation need files of their own")
        given = asked.sections(
            changes or (),
            {
                "architecture": "" if architecture else "--architecture",
                "module": "" if module else "--module",
                "method": "",
                "dataset": "" if dataset else "--dataset",
            },
        )
        wanted = asked.asked(module, architecture, dataset, input_shape, given)
        chosen = asked.method(method, given.get("method", {}), wanted)
        named = _corrections(corrections or [], dataset)
        if wanted.data is not None and wanted.data.user is None:
            data.require(wanted.data.dataset)

    from lmc_sweep.cli import align_files
    from lmc_sweep.cli.console import console, say

    out = console()
    with asked.refusing(COMMAND):
        prepared = align_files.prepare((first, second), wanted, named)
    for note in prepared.notes:
        say(out, f"Note: {note}")
    groups = prepared.spec.groups
    say(out, f"Searching by {chosen.method}: {len(groups)} groups, {sum(groups.values())} units")
    found = align_files.align(prepared, chosen)
    _write(
        other,
        {f"member1.{group}": index for group, index in found.permutations[1].items()},
        {"spec": prepared.spec.to_json()},
    )
    _write(target, align_files.permuted(prepared, found), {"format": "pt"})
    say(out, f"Wrote {target}, and its permutation to {other}")
    grid = sorted({index / (alphas - 1) for index in range(alphas)} | {0.5})
    measured = align_files.barriers(prepared, found, grid, lambda line: say(out, line))
    if as_json:
        typer.echo(
            json.dumps({"method": chosen.method, **_figures(found), "barriers": list(map(asdict, measured))})
        )
    _print(found, measured)


def _target(path: Path, first: Path) -> Path:
    """A file that can be written, refused before anything starts where it cannot be."""
    if path.suffix != ".safetensors":
        raise SweepError(f"{path}: weights are written as safetensors. Name a file that ends in .safetensors")
    if path.is_dir() or not path.parent.is_dir():
        raise SweepError(f"{path}: there is no directory {path.parent}. Make it, or choose another file")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise SweepError(f"{path}: {path.parent} cannot be written. Choose another directory, or allow it")
    if path.exists() and path.samefile(first):
        raise SweepError(f"{path}: is the first checkpoint, which stays. Choose another output")
    return path


def _corrections(names: list[str], dataset: str | None) -> tuple[Correction, ...]:
    """The corrections asked for, each once."""
    from lmc_sweep.config import fields
    from lmc_sweep.config.refusals import Refusal

    if names and dataset is None:
        raise Refusal("--correction", "has no effect without --dataset, on which barriers are measured")
    if len(set(names)) < len(names):
        raise Refusal("--correction", "names one twice. Name each once")
    known = get_args(Correction)
    for name in names:
        if name not in known:
            from lmc_sweep.config.refusals import unknown

            raise Refusal("--correction", unknown("correction", name, known, "corrections"))
    return tuple(fields.checked(Correction, name, "--correction") for name in names)


def _write(path: Path, tensors: dict[str, Any], metadata: dict[str, str]) -> None:
    """Puts the tensors in the place of a file in one step."""
    from lmc_sweep.store.artifacts import serialize
    from lmc_sweep.store.publish import publish

    publish(path, serialize(tensors, metadata), replace=True)


def _figures(found: AlignmentResult) -> dict[str, float | None]:
    """How the search went; null where a method has no objective."""
    ends = {"objective_start": found.objective_start, "objective_end": found.objective_end}
    figures = {name: float(value[0]) if value[0].isfinite() else None for name, value in ends.items()}
    return {**figures, "seconds": float(found.seconds[0])}


def _print(found: AlignmentResult, measured: list[Measured]) -> None:
    """The search in a line, the barriers as a table."""
    from lmc_sweep.cli.console import console, duration, say, table

    out, figures = console(), _figures(found)
    count = int(found.num_evaluations[0])
    evaluated = f", {count} evaluations" if count else ""
    went = f"{found.outcome[0]} after {duration(figures['seconds'])}{evaluated}"
    if figures["objective_start"] is not None:
        went = f"{found.objective} {figures['objective_start']:.6g} -> {figures['objective_end']:.6g}, {went}"
    say(out, f"Aligned: {went}")
    if measured:
        columns = ["split", "correction", "loss barrier", "aligned", "error barrier", "aligned"]
        rows = [
            [one.split, one.correction, *(_shown(value) for value in list(asdict(one).values())[2:])]
            for one in measured
        ]
        out.print(table("Barriers, loss in nats, error as a fraction", columns, rows))


def _shown(value: float | None) -> str:
    """A barrier with four digits."""
    return "not finite" if value is None else f"{value:.4g}"
