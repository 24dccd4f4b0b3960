"""``lmc-sweep count``."""

from __future__ import annotations

import json
import sys
from decimal import Context, Decimal
from fractions import Fraction
from typing import Annotated, Any

import typer

from lmc_sweep.cli.arguments import AsJson
from lmc_sweep.errors import SweepError

_LONGEST = 24  # digits of an integer that still read as a number in a table


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("count")(count_command)


def count_command(
    widths: Annotated[
        list[str],
        typer.Argument(
            metavar="WIDTHS", help="Neurons of each hidden layer, in order: 10 10.", show_default=False
        ),
    ],
    order: Annotated[
        int,
        typer.Option(
            "--order", "-k", metavar="K", help="Surplus neurons: K copies of others in one layer.", min=1
        ),
    ] = 1,
    as_json: AsJson = False,
) -> None:
    """Count the permutation points of a network per global minimum, exactly (Brea et al. 2019).

    A point of order K is a minimum of the network with K neurons fewer in one layer, K of those repeated.
    T(K, n) is the number of such points of a layer of n neurons, divided by the n! orders of a minimum.

    lower bound: C(n - K, K) / 2^K, the points that repeat K neurons once each, none of them oftener; 0 for
    layers of fewer than 2K neurons. T is never less.

    Exact numbers are strings in --json: most programs read no integers of a thousand digits.

      lmc-sweep count 10 10

      lmc-sweep count 512 --order 3
    """
    from workers.permutation_points import counts

    sizes = [_width(text) for text in widths]
    if all(width <= order for width in sizes):
        raise SweepError(
            f"--order {order}: a layer has points of order K only if it has more than K neurons, and the "
            f"widest here has {max(sizes)}. Orders up to {max(sizes) - 1} have some."
        )
    layers = [_layer(number, width, order) for number, width in enumerate(sizes, start=1)]
    minima, points = counts.num_minima(sizes), counts.num_points(order, sizes)
    if as_json:
        sys.set_int_max_str_digits(0)  # the factorial of 2,000 has 5,736 digits, and Python stops at 4,300
        told = [{**layer, **{key: str(layer[key]) for key in ("ratio", "lower_bound")}} for layer in layers]
        total = {"order": order, "layers": told, "num_minima": str(minima), "num_points": str(points)}
        typer.echo(json.dumps(total, indent=2))
        return
    from lmc_sweep.cli.console import console, say, table

    out = console()
    rows = [
        [
            layer["layer"],
            layer["width"],
            _exact(layer["ratio"]),
            _rounded(layer["ratio"]),
            *_beside(layer, order),
        ]
        for layer in layers
    ]
    heads = ["layer", "neurons", f"T({order}, n)", "", "lower bound", f"T / n^{order}"]
    out.print(table("", heads, rows))
    say(out, f"T / n^{order} tends to 1 / (2^K K!) = {_rounded(counts.limit_of_points(order))} as n grows.")
    say(out, f"Equivalent minima: {_whole(minima)}. Permutation points of order {order}: {_whole(points)}.")


def _width(text: str) -> int:
    """Neurons of a layer, as they are given."""
    if not (text.isascii() and text.isdigit()):
        raise SweepError(
            f"WIDTHS: {text!r} is no number of neurons. Spaces separate layers: lmc-sweep count 5 5"
        )
    width = int(text)
    if width < 1:
        raise SweepError(f"WIDTHS: a layer has at least 1 neuron, not {width}.")
    return width


def _layer(number: int, width: int, order: int) -> dict[str, Any]:
    """What is counted in one layer."""
    from workers.permutation_points import counts

    if width <= order:
        return {"layer": number, "width": width, "ratio": Fraction(0), "lower_bound": Fraction(0)}
    ratio, bound = counts.points_per_minimum(order, width), counts.fewest_points(order, width)
    return {"layer": number, "width": width, "ratio": ratio, "lower_bound": bound}


def _beside(layer: dict[str, Any], order: int) -> list[str]:
    """The bound, and the ratio in units of its growth."""
    return [_rounded(layer["lower_bound"]), _rounded(layer["ratio"] / layer["width"] ** order)]


def _exact(value: Fraction) -> str:
    """The fraction itself where it can be read."""
    if max(value.numerator, value.denominator).bit_length() > 3 * _LONGEST or len(str(value)) > _LONGEST:
        return "see --json"
    return str(value)


def _rounded(value: Fraction) -> str:
    """Six digits, for any size."""
    context = Context(prec=6)
    return f"{context.divide(Decimal(value.numerator), Decimal(value.denominator)):g}"


def _whole(value: int) -> str:
    """An integer, in full where it can be read."""
    if value.bit_length() > 3 * _LONGEST:
        return f"{Context(prec=6).create_decimal(value):g}"
    return str(value)
