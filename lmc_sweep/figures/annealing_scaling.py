"""The barrier after annealing against the number of steps: figure 14 and table 2 of Entezari et al. 2021."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lmc_sweep.analysis.cell_rows import grouped
from lmc_sweep.analysis.method_labels import method_labels
from lmc_sweep.analysis.search_rows import Place, Searched, SearchQuestion, read, same_pairs
from lmc_sweep.analysis.searches import barrier_mean, one_per_search
from lmc_sweep.figures.cell_options import drawn_together
from lmc_sweep.figures.kinds_asked import HOW, KINDS, of_kinds, with_most
from lmc_sweep.figures.looks import Look, label_order, size_looks
from lmc_sweep.figures.methods_asked import settled_of_store
from lmc_sweep.figures.options import Option
from lmc_sweep.figures.search_options import WHAT, WORLD, question_of, what_is_missing
from lmc_sweep.figures.sheet import Entry, name_axes, nothing, sheet
from lmc_sweep.figures.size_panels import name_numbers
from lmc_sweep.figures.words import counted, dropped_pairs, height_label

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store

OPTIONS = (
    *WHAT,
    WORLD,
    *KINDS,
    Option("paper", "no", "draw the values printed in table 2 of the paper as well", ("no", "yes")),
)

PAPER_STEPS = (10, 100, 1_000, 10_000, 50_000)
# Table 2 of Entezari et al. 2021: error barriers at 1/2 on training examples of MNIST, as fractions, by
# width. At width 32 and 10,000 steps it prints 0.995, which its own ratio (1.75) shows to mean 0.0995.
PAPER: dict[int, tuple[float, ...]] = {
    16: (0.470, 0.331, 0.190, 0.105, 0.055),
    32: (0.430, 0.302, 0.175, 0.0995, 0.055),
    64: (0.271, 0.202, 0.121, 0.085, 0.048),
}
_MOST_PANELS = 6
_MOST_LINES = 7
"""Beyond that, lines look alike."""


def draw(store: Store, sweep: str | None, options: Mapping[str, str]) -> Any:
    """The figure of a store, or of one sweep in it, as a matplotlib ``Figure``."""
    values = settled_of_store("annealing_scaling", OPTIONS, options, store)
    question = question_of(values)
    rows, notes = of_kinds("annealing_scaling", read(store, sweep, question), values, lambda row: row.place)
    return drawing(rows, question, with_paper=values["paper"] == "yes", notes=notes)


def drawing(
    rows: Sequence[Searched],
    question: SearchQuestion,
    *,
    with_paper: bool = False,
    notes: Sequence[str] = (),
) -> Any:
    """One panel for each way to anneal, one line for each kind of network.

    A way is everything about the method but its number of steps. All lines are means over the same pairs.
    """
    annealed = [row for row in rows if row.name == "simulated_annealing"]
    missing = [*what_is_missing(rows, question), *notes]
    if not any(row.value is not None for row in annealed):
        return nothing(missing or [f"Not shown: no simulated annealing in world {question.world} here."])
    kept, num_dropped = same_pairs(annealed)
    ways = grouped(kept, _way)
    labels = method_labels([of_way[0].method_json for of_way in ways.values()], without=("steps",))
    titles = {way: labels[of_way[0].method_json] for way, of_way in ways.items()}
    shown = sorted(ways, key=lambda way: label_order(titles[way]))[:_MOST_PANELS]
    found = sorted({row.place for row in kept}, key=lambda place: place.order)
    places = _with_most_steps(kept, found)
    kept = [row for row in kept if row.place in places]
    looks = size_looks(places)
    entries = [Entry(_line_label(place, found), looks[place]) for place in places]
    paper = _paper_lines(places, looks) if with_paper and question == SearchQuestion() else {}
    entries += [
        Entry(f"width {place.width}, printed in the paper", look) for place, (look, _) in paper.items()
    ]
    told = [
        *_told(kept, question),
        *drawn_together(kept),
        *_about_paper(with_paper, bool(paper), question),
        *dropped_pairs(num_dropped),
        *missing,
    ]
    if len(ways) > len(shown):
        told.append(f"Not shown: {counted(len(ways) - len(shown), 'further way')} to anneal.")
    if len(found) > len(places):
        told.append(
            f"Not shown: {counted(len(found) - len(places), 'kind')} of network, of no more steps; {HOW}."
        )
    if len({row.method["steps"] for row in kept}) == 1:
        told.append("Annealed with one number of steps alone: what more steps would do is not measured.")
    columns = min(len(shown), 3)
    num_rows = -(-len(shown) // columns)
    figure, grid = sheet(num_rows, columns, entries, told, titles=[titles[way] for way in shown])
    panels = [axes for line in grid for axes in line]
    top = max([row.value or 0.0 for row in kept] + [max(of) for _, of in paper.values()])
    steps = sorted({int(row.method["steps"]) for row in kept} | set(PAPER_STEPS if paper else ()))
    for axes, way in zip(panels, shown, strict=False):
        for place, of_place in grouped(ways[way], lambda row: row.place).items():
            if place in looks:
                _line(axes, of_place, looks[place])
        for look, printed in paper.values():
            axes.plot(PAPER_STEPS, printed, **look.drawn(linewidth=0.8, zorder=2))
        name_numbers(axes, steps, steps[0] / 1.4, steps[-1] * 1.4)
        axes.set_ylim(min(0.0, *(row.value or 0.0 for row in kept)), 1.05 * top)
        title = titles[way] if len(shown) > 1 else ""
        name_axes(axes, "Steps of annealing", height_label(question, question.split), title)
    for axes in panels[len(shown) :]:
        axes.set_visible(False)
    return figure


def _with_most_steps(rows: Sequence[Searched], places: Sequence[Place]) -> list[Place]:
    """As many of the places as lines can be told apart, in their order: those of most numbers of steps."""
    steps = {
        place: {row.method["steps"] for row in of} for place, of in grouped(rows, lambda r: r.place).items()
    }
    chosen = with_most(places, {place: len(of) for place, of in steps.items()}, _MOST_LINES)
    return [place for place in places if place in chosen]


def _line(axes: Any, rows: Sequence[Searched], look: Look) -> None:
    """Means with intervals against steps, and every pair as a light point."""
    by_steps = dict(sorted(grouped(rows, lambda row: int(row.method["steps"])).items()))
    means = {steps: barrier_mean(found) for steps, found in by_steps.items()}
    for steps, found in by_steps.items():
        axes.plot(
            [steps] * len(found),
            [row.value for row in found],
            **look.drawn(linestyle="none", markersize=2.2, alpha=0.35, markeredgewidth=0),
        )
    axes.errorbar(
        list(means),
        [mean.value for mean in means.values()],
        yerr=list(zip(*(mean.reach for mean in means.values()), strict=True)),
        elinewidth=0.8,
        capsize=1.5,
        zorder=3,
        **look.drawn(),
    )


def _paper_lines(
    places: Sequence[Place], looks: Mapping[Place, Look]
) -> dict[Place, tuple[Look, tuple[float, ...]]]:
    """Look and printed values of the places in the paper's table: MNIST, one hidden layer, two networks."""
    return {
        place: (Look(looks[place].marker, looks[place].color, filled=False, line=(0, (1, 1.5))), PAPER[width])
        for place in places
        if (width := place.width) in PAPER
        and (place.dataset, place.architecture, place.depth, place.num_networks) == ("mnist", "mlp", 1, 2)
    }


def _about_paper(is_asked: bool, is_drawn: bool, question: SearchQuestion) -> list[str]:
    """A sentence on the printed values, or on why they are not drawn."""
    if is_drawn:
        return ["Dotted, hollow: as printed in table 2 of Entezari et al. 2021 (.995 there read as .0995)."]
    if is_asked and question != SearchQuestion():
        return ["The paper's values are not drawn: they are error barriers at 1/2 on training examples."]
    if is_asked:
        return ["The paper's values are not drawn: they are of MLPs of width 16, 32, 64 on MNIST."]
    return []


def _told(rows: Sequence[Searched], question: SearchQuestion) -> list[str]:
    """What the points are, and which searches a budget ended."""
    searches = one_per_search(rows)
    num_pairs = len({row.pair for row in rows})
    told = (
        f"Mean over the pairs at each point, {counted(num_pairs, 'pair')} in all, with 95% bootstrap "
        f"interval; light: each pair. World {question.world}, correction {question.correction}."
    )
    stopped = sum(row.outcome in ("max_seconds", "max_evaluations") for row in searches)
    if stopped:
        told += f" A budget ended {stopped} of {len(searches)} searches before their last step."
    return [told]


def _way(row: Searched) -> str:
    """Everything about the method but its steps, as JSON."""
    return json.dumps({key: value for key, value in row.method.items() if key != "steps"}, sort_keys=True)


def _line_label(place: Place, places: Sequence[Place]) -> str:
    """A line in the legend: the width alone where nothing else differs."""
    others = {(other.dataset, other.architecture, other.depth, other.num_networks) for other in places}
    if len(others) == 1:
        return f"width {place.width}" if place.width else place.label
    members = f", n = {place.num_networks}" if len({other.num_networks for other in places}) > 1 else ""
    return place.label + members
