"""Which methods a figure shows, and whether what its options name is in the store."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from lmc_sweep.analysis.method_labels import method_labels
from lmc_sweep.errors import SweepError
from lmc_sweep.figures.options import Option, named, settled

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store


class OfMethod(Protocol):
    """A row of one method."""

    @property
    def method_json(self) -> str:
        """The method with all its options."""


Row = TypeVar("Row", bound=OfMethod)


def settled_of_store(
    figure: str, options: Sequence[Option], given: Mapping[str, str], store: Store
) -> dict[str, str]:
    """Every option's value; SweepError also for a correction or a method that no barrier of a store has."""
    values = settled(figure, options, given)
    if "correction" in given:
        known = sorted({row[0] for row in store.barriers().project("correction").distinct().fetchall()})
        _refuse(figure, "correction", [values["correction"]], known)
    for option in ("method", "methods"):
        if option in given and given[option] not in ("all", "identity"):
            rows = store.barriers().project("method, method_json").distinct().fetchall()
            names = {name for name, _ in rows}
            labels = set(method_labels(text for _, text in rows).values())
            asked = [given[option]] if given[option] in labels else named(given[option])
            _refuse(figure, "method", asked, sorted(names), also=labels)
    number = values.get("networks", "2")
    takes_most = any(option.name == "networks" and option.default == "most" for option in options)
    if not number.isdigit() and not (takes_most and number == "most"):
        raise SweepError(f"{figure}: networks is a whole number, not {number!r}")
    return values


def of_methods(rows: Sequence[Row], methods: str, always: Sequence[str] = ("identity",)) -> list[Row]:
    """The rows of the methods that the option METHODS names, by name or label, and of those in ``always``."""
    if methods == "all":
        return list(rows)
    labels = method_labels({row.method_json for row in rows})
    wanted = {*always, methods, *named(methods)}
    shown = {text for text, label in labels.items() if wanted & {label, str(json.loads(text)["method"])}}
    return [row for row in rows if row.method_json in shown]


def _refuse(
    figure: str, column: str, asked: Sequence[str], known: Sequence[str], also: set[str] | None = None
) -> None:
    """SweepError for a name that no barrier of a store with barriers has."""
    for name in asked:
        if known and name not in known and name not in (also or ()):
            raise SweepError(f"{figure}: no barrier has {column} {name!r}. Here: {', '.join(known)}")
