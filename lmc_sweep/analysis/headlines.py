"""What the studies of a sweep found, each in one line: what ends a run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from lmc_sweep.analysis import canonical_rows, ensemble_rows, matrix_rows
from lmc_sweep.analysis.cell_rows import BarrierQuestion, grouped
from lmc_sweep.analysis.method_labels import method_labels
from lmc_sweep.analysis.summary import cell_labels

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store

MOST_SHOWN = 4
"""Methods, treatments or widths in a line; how many there are besides is told."""


def headline(kind: str, store: Store, sweep: str) -> str | None:
    """The numbers of one kind of items of a sweep in a line; None where nothing was measured.

    Of several cells that of most networks or pairs is told, and how many others there are.
    """
    told = _HEADLINES.get(kind)
    return told(store, sweep) if told else None


def _canonical(store: Store, sweep: str) -> str | None:
    """By how much the mean distance of two networks changes, by treatment."""
    found = canonical_rows.read(store, sweep)
    forms = canonical_rows.of_one_cell(found)
    changed = [form for form in forms if form.columns["treatment"] != "raw"]
    if not changed:
        return None
    row, tensors = changed[0].columns, changed[0].tensors
    last = [name for name in tensors if name != "all" and not name.endswith(".bias")][-1:]
    shown = [*last, "all"]
    names = " and ".join("all parameters" if name == "all" else name for name in shown)
    entries = [
        f"{form.label} {' and '.join(_percent(form.change(name)) for name in shown)}" for form in changed
    ]
    cells = {form.columns["cell_id"] for form in found}
    about = _about(store, row["cell_id"], cells, f"{row['num_finite']:,} networks")
    return f"mean distance of {names}: {_listed(entries)} ({about})"


def _ensembles(store: Store, sweep: str) -> str | None:
    """Errors of the networks, of their average, and of their averaged predictions, by method."""
    found = ensemble_rows.read(store, sweep)
    split = "test" if any("test" in one.splits for one in found) else "train"
    measured = [one for one in found if split in one.splits]
    means, _ = ensemble_rows.method_means(measured, split, "error")
    if not means:
        return None
    by_cell = grouped(means, lambda one: one.cell)
    cell = max(by_cell, key=lambda name: by_cell[name][0].means["networks"].num_values)
    labels = ensemble_rows.labels_of(measured)
    of_cell = {one.method_json: one for one in by_cell[cell]}
    entries = [
        f"{label} {', '.join(f'{of_cell[text].means[name].value:.3g}' for name in ensemble_rows.PREDICTORS)}"
        for text, label in labels.items()
        if text in of_cell
    ]
    pairs = _counted(by_cell[cell][0].means["networks"].num_values, "pair")
    return (
        f"{split} error of the networks, of their weight average and of their prediction average: "
        f"{_listed(entries)} ({', '.join([cell, pairs, *_others(by_cell)])})"
    )


def _all_pairs(store: Store, sweep: str) -> str | None:
    """Mean barriers direct, over a third network and over chains, by method."""
    matrices = store.barrier_matrices().project("correction, height").distinct().fetchall()
    for correction, extent in sorted(matrices, key=lambda one: (one[0] != "none", one[1] != "supremum")):
        question = BarrierQuestion("loss", extent, correction)
        found, _ = matrix_rows.read(store, sweep, question, None)
        split = "train" if any(one.split == "train" for one in found) else "test"
        measured = [one for one in found if one.split == split and len(one.known("direct"))]
        if measured:
            break
    else:
        return None
    by_cell = grouped(measured, lambda one: one.cell_id)
    cell = max(by_cell, key=lambda name: max(len(one.pairs) for one in by_cell[name]))
    labels = method_labels({one.method_json for one in measured})
    order = sorted(by_cell[cell], key=lambda one: (one.method != "identity", labels[one.method_json]))
    entries = [
        f"{labels[one.method_json]} {', '.join(_mean(one.known(way)) for way in matrix_rows.WAYS)}"
        for one in order
    ]
    at = "" if extent == "supremum" else " at 1/2"
    about = _about(store, cell, by_cell, _counted(len(order[0].known("direct")), "pair"), split)
    return f"mean loss barrier{at} direct, over a third network, over chains: {_listed(entries)} ({about})"


def _paths(store: Store, sweep: str) -> str | None:
    """Mean barriers of the paths of one loss, by activation, layer and width where they differ in those."""
    columns = "path_id, dataset, loss, variant, output_weights, num_steps, activation, layer, width, barrier"
    asked = store.item_ids(sweep, "permutation_path")
    rows = [row[1:] for row in store.permutation_paths().project(columns).fetchall() if row[0] in asked]
    measured = [(row[:5], row[5:8], row[8]) for row in rows if row[8] is not None]
    if not measured:
        return None
    by_loss = grouped(measured, lambda row: row[0])
    (dataset, loss, *_), shown = max(by_loss.items(), key=lambda entry: (len(entry[1]), str(entry[0])))
    by_kind = grouped(sorted(shown), lambda row: row[1])
    kinds = [(activation, f"layer {layer}", f"width {width}") for activation, layer, width in by_kind]
    places = [place for place in range(3) if len({kind[place] for kind in kinds}) > 1] or [2]
    entries = [
        f"{' '.join(kind[place] for place in places)} {fmean(row[2] for row in of):.3g}"
        for kind, of in zip(kinds, by_kind.values(), strict=True)
    ]
    start = f"networks trained on {dataset}" if dataset else "random networks"
    others = len(measured) - len(shown)
    about = [
        start,
        _counted(len(shown), "path"),
        *([f"{_counted(others, 'other')} in the table"] if others else []),
    ]
    return f"mean barrier of the {loss.replace('_', ' ')} loss: {_listed(entries)} ({', '.join(about)})"


_HEADLINES: dict[str, Callable[[Store, str], str | None]] = {
    "canonical_form": _canonical,
    "ensemble": _ensembles,
    "barrier_matrix": _all_pairs,
    "permutation_path": _paths,
}


def _about(store: Store, cell: str, cells: Collection[str], *told: str) -> str:
    """The cell in words, what is told of it, and how many other cells there are."""
    return ", ".join([cell_labels(store, set(cells))[cell], *told, *_others(cells)])


def _others(cells: Collection[str]) -> list[str]:
    """How many cells there are besides the one that is told."""
    return [f"{_counted(len(cells) - 1, 'further cell')} in the table"] if len(cells) > 1 else []


def _listed(entries: Sequence[str]) -> str:
    """The first entries, and how many there are besides."""
    more = [f"{len(entries) - MOST_SHOWN} more"] if len(entries) > MOST_SHOWN else []
    return "; ".join([*entries[:MOST_SHOWN], *more])


def _mean(values: np.ndarray) -> str:
    """A mean in three digits; a dash for none."""
    return f"{values.mean():.3g}" if len(values) else "-"


def _percent(change: float | None) -> str:
    """A relative change: ``-5.21 %``; a dash where the mean was 0."""
    return "-" if change is None else f"{100 * change:+.3g} %"


def _counted(number: int, word: str) -> str:
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"
