"""The words under a density plot."""

from __future__ import annotations

import textwrap

from lmc_sweep.analysis.agreement import Agreement
from lmc_sweep.analysis.density import Cloud, Density


def caption(shown: Density, notes: list[str], width: int) -> list[str]:
    """Lines of at most ``width`` characters: what was measured, how the worlds agree, what is missing."""
    compared = [] if shown.absent_world else shown.clouds
    paragraphs = [*_what(shown), *(_agreement(cloud) for cloud in compared), *_missing(shown, notes)]
    return [line for paragraph in paragraphs for line in textwrap.wrap(paragraph, width)]


def _what(shown: Density) -> list[str]:
    """Networks, pairs, and what a point is."""
    if not shown.num_cells:
        return []
    question = shown.question
    grid = "at alpha 1/2" if question.extent == "midpoint" else f"over {shown.num_alphas} alphas"
    each = {"rank": "One point per cell and pair rank", "cell": "One point per cell: the means of its pairs"}
    shaded = "; shaded: kernel density" if shown.has_density else ""
    shaded += ", lines: around half of a method's barriers above 0" if shown.has_outlines else ""
    pairs = f"{_count(shown.num_real_pairs, 'pair')} in the real world, {shown.num_model_pairs} in our model"
    if shown.absent_world:
        each_point, shaded, agree = "No points", "", ""
    else:
        each_point, agree = each[question.points], " Correlation of cell means, 95% interval:"
    told = (
        f"{', '.join(shown.datasets)}; {', '.join(shown.architectures)}: {shown.num_networks} networks in "
        f"{_count(shown.num_cells, 'cell')}, {pairs}. {each_point}; {question.split} "
        f"{question.quantity} {grid}{shaded}.{agree}"
    )
    return [told]


def _agreement(cloud: Cloud) -> str:
    """One method's correlation, or why it has none, and how much barrier is left."""
    name, found = cloud.label, cloud.agreement
    if found.num_cells == 0:
        return f"{name}: undefined, {found.undefined_because}."
    told = f"{name}: {_correlation(found)}; means {found.real_mean:.3g} real, {found.model_mean:.3g} model"
    told += " (ticks)" if cloud.is_solved else ""
    if cloud.searches and found.num_solved and "exactly" not in (found.undefined_because or ""):
        told += f"; {found.num_solved} of {found.num_model_pairs} solved exactly in our model"
    if found.correlation is not None and found.num_solved_cells:
        told += f" (wholly in {_count(found.num_solved_cells, 'cell')}, not in the correlation and the means)"
    return told + "."


def _correlation(found: Agreement) -> str:
    """The number and its interval, or the reason why there is none."""
    if found.correlation is None:
        return f"undefined, {found.undefined_because}"
    return f"{found.correlation:.2f} ({found.low:.2f} to {found.high:.2f})"


def _missing(shown: Density, notes: list[str]) -> list[str]:
    """One sentence on what is not there."""
    told = "; ".join([*shown.missing, *notes])
    return [f"Not shown: {told}."] if told else []


def _count(number: int, word: str) -> str:
    """``1 cell``, ``2 cells``."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
