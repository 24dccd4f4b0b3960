"""How searches went: their objective against evaluations and against seconds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lmc_sweep.analysis.method_labels import method_labels
from lmc_sweep.analysis.traces import Trace, mean_best, read_traces
from lmc_sweep.figures.looks import Look, method_looks
from lmc_sweep.figures.options import Option
from lmc_sweep.figures.search_options import METHODS, WORLD, counted, settled_of_store
from lmc_sweep.figures.sheet import Entry, name_axes, nothing, sheet

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store

OPTIONS = (
    WORLD,
    METHODS,
    Option("steps", "most", "of searches that differ in steps alone: those of most, or all", ("most", "all")),
    Option("objective", "most", "name of an objective; most: that of the most traces"),
)
_MOST_ROWS = 4
_MOST_FAINT = 40
"""Single chains drawn behind each mean: more make a smear."""
_UNITS = {
    "midpoint_loss": "nats",
    "midpoint_loss_reset_bn": "nats",
    "weight_inner_product": "",
    "activation_correlation": "",
}


def draw(store: Store, sweep: str | None, options: Mapping[str, str]) -> Any:
    """The figure of a store, or of one sweep in it, as a matplotlib ``Figure``."""
    values = settled_of_store("search_traces", OPTIONS, options, store)
    traces = read_traces(store, sweep, values["world"])
    if values["methods"] != "all":
        wanted = {name.strip() for name in values["methods"].split(",")}
        traces = [one for one in traces if json.loads(one.method_json)["method"] in wanted]
    if values["steps"] == "most":
        traces = of_most_steps(traces)
    return drawing(traces, values["objective"], values["world"])


def of_most_steps(traces: Sequence[Trace]) -> list[Trace]:
    """Of methods that differ in their steps alone, the traces of the one with most."""
    most: dict[str, int] = {}
    ways: dict[str, tuple[str, int]] = {}
    for text in {one.method_json for one in traces}:
        spec = json.loads(text)
        steps = int(spec.pop("steps", None) or 0)
        ways[text] = json.dumps(spec, sort_keys=True), steps
        most[ways[text][0]] = max(steps, most.get(ways[text][0], 0))
    return [one for one in traces if most[ways[one.method_json][0]] == ways[one.method_json][1]]


def drawing(traces: Sequence[Trace], objective: str = "most", world: str = "real") -> Any:
    """A row of panels for each kind of network: left against evaluations, right against seconds.

    Heavy: the mean over chains of the best objective so far; faint: the present objective of each chain.
    """
    counts = _counts(traces)
    if objective == "most" and counts:
        objective = max(counts, key=lambda name: counts[name])
    kept = [one for one in traces if one.objective == objective]
    others = sorted(name for name in counts if name != objective)
    if not kept:
        return nothing([_nothing_because(objective, others, world)])
    cells = sorted({one.cell for one in kept}, key=_natural)
    shown = cells[:_MOST_ROWS]
    names = {one.method_json: str(json.loads(one.method_json)["method"]) for one in kept}
    labels = method_labels(names)
    order = sorted(names, key=lambda text: _natural(labels[text]))
    looks = method_looks([(names[text], text) for text in order])
    told = [_told(kept, objective, world)]
    if others:
        told.append(f"Not shown: traces of {', '.join(others)} (option objective).")
    if len(cells) > len(shown):
        told.append(f"Not shown: {counted(len(cells) - len(shown), 'further kind')} of network.")
    entries = [Entry(labels[text], _plain(looks[text])) for text in order]
    figure, grid = sheet(len(shown), 2, entries, told)
    unit = _UNITS.get(objective, "fraction")
    label = objective.replace("_", " ").capitalize() + (f" ({unit})" if unit else "")
    for cell, line in zip(shown, grid, strict=True):
        for axes, against in zip(line, ("evaluations", "seconds"), strict=True):
            for text in order:
                of_method = [one for one in kept if one.cell == cell and one.method_json == text]
                _lines(axes, of_method, against, looks[text])
            axes.set_xscale("log")
            name_axes(
                axes,
                "Evaluations" if against == "evaluations" else "Seconds of search",
                label,
                cell if against == "evaluations" else "",
            )
    return figure


def _lines(axes: Any, traces: Sequence[Trace], against: str, look: Look) -> None:
    """Faint present objectives, and the mean best."""
    for one in traces[:_MOST_FAINT]:
        place = getattr(one, against)
        positive = place > 0
        axes.plot(place[positive], one.objectives[positive], color=look.color, linewidth=0.4, alpha=0.25)
    grid, best = mean_best(traces, against)
    known = np.isfinite(best)
    if known.any():
        plain = _plain(look)
        axes.plot(grid[known], best[known], color=plain.color, linestyle=plain.line, linewidth=1.4, zorder=3)


def _plain(look: Look) -> Look:
    """The look without a marker, for lines of many points."""
    return Look("", look.color, look.filled, look.line)


def _counts(traces: Sequence[Trace]) -> dict[str, int]:
    """How many traces each objective has, by name."""
    names = sorted(one.objective for one in traces)
    return {name: names.count(name) for name in names}


def _nothing_because(objective: str, others: Sequence[str], world: str) -> str:
    """Why there is nothing to show."""
    if others:
        return f"Not shown: no traces of objective {objective} here. Here: {', '.join(others)}."
    return f"Not shown: no traces of searches in world {world} here."


def _told(traces: Sequence[Trace], objective: str, world: str) -> str:
    """What the lines are."""
    searches = len({one.alignment_id for one in traces})
    most = max(
        len([1 for one in traces if one.method_json == text]) for text in {t.method_json for t in traces}
    )
    few = f", of the first {_MOST_FAINT}" if most > _MOST_FAINT else ""
    return (
        f"{counted(len(traces), 'chain')} of {'1 search' if searches == 1 else f'{searches} searches'}, "
        f"objective {objective}. Heavy: mean over chains of the best so far; faint: the present value of "
        f"each chain{few}. World {world}."
    )


def _natural(label: str) -> list[tuple[bool, float, str]]:
    """Words in order, numbers by value."""
    words = label.replace(",", "").replace("(", "").split()
    return [(True, float(w), "") if w.replace(".", "", 1).isdigit() else (False, 0.0, w) for w in words]
