"""Arguments and options that several commands share, with their help."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class TableFormat(StrEnum):
    """How a result is written."""

    table = "table"
    csv = "csv"
    json = "json"


class Quantity(StrEnum):
    """What has a barrier."""

    loss = "loss"
    error = "error"


class At(StrEnum):
    """Where a barrier's height is taken."""

    supremum = "supremum"
    midpoint = "midpoint"


SweepFile = Annotated[
    str,
    typer.Argument(
        metavar="SWEEP.yaml",
        help="The sweep file: a path, or a URI such as s3://bucket/sweep.yaml; - reads standard input.",
        show_default=False,
    ),
]
StorePath = Annotated[
    str,
    typer.Argument(
        metavar="STORE", help="The store: the path that the sweep file names.", show_default=False
    ),
]
StoreOption = Annotated[
    str | None, typer.Option("--store", metavar="URI", help="Another store than the one in the sweep file.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a key of the sweep file: dotted, list indices in brackets, YAML values; repeatable. "
        "Example: --set 'networks[0].seeds=12'",
    ),
]
MaxFailures = Annotated[
    int | None,
    typer.Option("--max-failures", min=1, metavar="N", help="Stop in order after N failed items."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON to standard output.")]
SweepName = Annotated[
    str | None, typer.Option("--sweep", metavar="NAME", help="One sweep, where the store holds several.")
]
Module = Annotated[
    str | None,
    typer.Option("--module", metavar="pkg.module:function", help="A function that returns the nn.Module."),
]
InputShape = Annotated[
    str | None,
    typer.Option(
        "--input-shape",
        metavar="C,H,W",
        help="Of one example, where neither a data set nor the first layer says it. Example: 3,32,32",
    ),
]
