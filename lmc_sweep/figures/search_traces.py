"""How searches went: their objective against evaluations and against seconds."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lmc_sweep.analysis.method_labels import method_labels, plain_name
from lmc_sweep.analysis.traces import Trace, mean_best, read_traces
from lmc_sweep.figures.kinds_asked import HOW, KINDS, of_kinds, spread
from lmc_sweep.figures.looks import Look, label_order, method_looks
from lmc_sweep.figures.methods_asked import of_methods, settled_of_store
from lmc_sweep.figures.options import METHODS, Option
from lmc_sweep.figures.search_options import WORLD, place_title
from lmc_sweep.figures.sheet import Entry, log_x, name_axes, nothing, sheet
from lmc_sweep.figures.words import counted
from workers.alignment.methods import METHODS as ALL_METHODS

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store

OPTIONS = (
    WORLD,
    METHODS,
    *KINDS,
    Option("steps", "most", "of searches that differ in steps alone: those of most, or all", ("most", "all")),
    Option("objective", "most", "name of an objective; most: that of most annealings, or of most traces"),
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
    traces, notes = of_kinds("search_traces", traces, values, lambda one: one.place)
    traces = of_methods(traces, values["methods"], always=())
    if values["steps"] == "most":
        traces = of_most_steps(traces)
    return drawing(traces, values["objective"], values["world"], notes)


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


def drawing(
    traces: Sequence[Trace], objective: str = "most", world: str = "real", notes: Sequence[str] = ()
) -> Any:
    """A row of panels for each kind of network: left against evaluations, right against seconds.

    Heavy: the mean over chains of the best objective so far; faint: the present objective of each chain.
    Where networks are aligned more than two at a time, methods that go pair by pair have objectives of
    pairs: they share no panel with those that join all.
    """
    if objective == "most" and traces:
        objective = _usual_objective(traces)
    others = sorted({one.objective for one in traces} - {objective})
    kept, left_out = _of_one_kind([one for one in traces if one.objective == objective])
    if not kept:
        return nothing([_nothing_because(objective, others, world)])
    places = sorted({one.place for one in kept}, key=lambda place: place.order)
    shown = spread(places, _MOST_ROWS)
    kept = [one for one in kept if one.place in shown]
    names = {one.method_json: _method(one) for one in kept}
    labels = method_labels(names)
    order = sorted(names, key=lambda text: label_order(labels[text]))
    looks = method_looks([(names[text], text) for text in order])
    told = [_told(kept, objective, world), *notes]
    if others:
        told.append(f"Not shown: traces of {', '.join(others)} (option objective).")
    if left_out:
        told.append(
            f"Not shown, where more than two networks were aligned at a time: {', '.join(left_out)}, whose "
            "objectives are of single pairs."
        )
    if len(places) > len(shown):
        told.append(f"Not shown: {counted(len(places) - len(shown), 'further kind')} of network; {HOW}.")
    entries = [Entry(labels[text], _plain(looks[text])) for text in order]
    figure, grid = sheet(len(shown), 2, entries, told)
    unit = _UNITS.get(objective, "fraction")
    label = objective.replace("_", " ").capitalize() + (f" ({unit})" if unit else "")
    for place, line in zip(shown, grid, strict=True):
        for axes, against in zip(line, ("evaluations", "seconds"), strict=True):
            for text in order:
                of_method = [one for one in kept if one.place == place and one.method_json == text]
                _lines(axes, of_method, against, looks[text])
            log_x(axes)
            name_axes(
                axes,
                "Evaluations" if against == "evaluations" else "Seconds of search",
                label,
                place_title(place, places) if against == "evaluations" else "",
            )
    return figure


def _lines(axes: Any, traces: Sequence[Trace], against: str, look: Look) -> None:
    """Faint present objectives, and the mean best, whose end is marked; a single point is a dot."""
    for one in traces[:_MOST_FAINT]:
        place = getattr(one, against)
        positive = place > 0
        marker = "." if positive.sum() == 1 else ""
        axes.plot(
            place[positive],
            one.objectives[positive],
            color=look.color,
            linewidth=0.6,
            alpha=0.4,
            marker=marker,
            markersize=3,
            markeredgewidth=0,
        )
    grid, best = mean_best(traces, against)
    known = np.isfinite(best)
    if known.any():
        plain = _plain(look)
        axes.plot(
            grid[known],
            best[known],
            color=plain.color,
            linestyle=plain.line,
            linewidth=1.4,
            zorder=3,
            marker="o",
            markersize=3.5,
            markevery=[-1],
        )


def _plain(look: Look) -> Look:
    """The look without a marker, for lines of many points."""
    return Look("", look.color, look.filled, look.line)


def _usual_objective(traces: Sequence[Trace]) -> str:
    """The objective of most annealings; of most traces where nothing was annealed."""
    annealed = [one for one in traces if _method(one) == "simulated_annealing"]
    names = sorted(one.objective for one in annealed or traces)
    return max(names, key=names.count)


def _of_one_kind(traces: Sequence[Trace]) -> tuple[list[Trace], list[str]]:
    """Traces whose objectives compare, and the methods that were left out for it.

    Of more than two networks: the traces of methods that join all, in places that have any.
    """
    joined = {one.place for one in traces if one.place.num_networks > 2 and _joins_all(one)}
    kept = [one for one in traces if one.place not in joined or _joins_all(one)]
    out = {_method(one) for one in traces if one.place in joined and not _joins_all(one)}
    return kept, [plain_name(name) for name in sorted(out)]


def _joins_all(one: Trace) -> bool:
    """Whether the objective is that of all networks of the search."""
    return ALL_METHODS[_method(one)].joins_all


def _method(one: Trace) -> str:
    """The name of the method."""
    return str(json.loads(one.method_json)["method"])


def _nothing_because(objective: str, others: Sequence[str], world: str) -> str:
    """Why there is nothing to show."""
    if others:
        return f"Not shown: no traces of objective {objective} here. Here: {', '.join(others)}."
    return f"Not shown: no traces of searches in world {world} here."


def _told(traces: Sequence[Trace], objective: str, world: str) -> str:
    """What the lines are."""
    searches = len({one.alignment_id for one in traces})
    most = max(Counter((one.place, one.method_json) for one in traces).values())
    few = f", of the first {_MOST_FAINT}" if most > _MOST_FAINT else ""
    return (
        f"{counted(len(traces), 'chain')} of {'1 search' if searches == 1 else f'{searches} searches'}, "
        f"objective {objective}. Heavy: mean over chains of the best so far; faint: the present value of "
        f"each chain{few}. World {world}."
    )
