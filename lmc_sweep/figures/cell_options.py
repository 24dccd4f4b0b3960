"""Options and words that the figures along width, depth and task share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from lmc_sweep.analysis.cell_rows import BarrierQuestion, CellBarrier, Kind
from lmc_sweep.analysis.clusters import PairLike, share_networks
from lmc_sweep.analysis.intervals import Mean
from lmc_sweep.analysis.method_labels import method_labels
from lmc_sweep.figures.looks import label_order
from lmc_sweep.figures.options import AT, CORRECTION, QUANTITY, SPLIT, Option
from lmc_sweep.figures.words import counted, diverged_barriers
from lmc_sweep.kinds import KIND_NAMES

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store

NETWORKS = Option("networks", "2", "networks that were aligned at a time")
MOST_NETWORKS = Option("networks", "most", "networks that were aligned at a time; most: what has most pairs")
WHAT = (QUANTITY, AT, CORRECTION, NETWORKS)
WORLD = Option(
    "world", "real", "pairs trained apart, or a network and its own permutation", ("real", "model")
)
METHOD = Option("method", "identity", "barriers after this method; identity: before any")
BOTH_SPLITS = Option("split", "both", SPLIT.summary, ("both", "train", "test"))


def question_of(values: Mapping[str, str]) -> BarrierQuestion:
    """What is asked, from the options in WHAT."""
    return BarrierQuestion(
        quantity=values["quantity"],  # type: ignore[arg-type]
        extent=values["at"],  # type: ignore[arg-type]
        correction=values["correction"],
        num_networks=int(values["networks"]),
    )


def splits_of(values: Mapping[str, str]) -> tuple[str, ...]:
    """The splits that are shown."""
    return ("train", "test") if values["split"] == "both" else (values["split"],)


def of_method(rows: Sequence[CellBarrier], method: str) -> tuple[list[CellBarrier], str, list[str]]:
    """The rows of one method, its label, and a sentence where it has variants of which one is shown.

    Args:
        rows: Of all methods.
        method: A name, or the label of one variant.
    """
    labels = method_labels({row.method_json for row in rows})
    plain = {row.method_json: row.method for row in rows}
    found = sorted(
        (text for text in labels if method in (plain[text], labels[text])),
        key=lambda text: label_order(labels[text]),
    )
    if not found:
        return [], method, []
    others = [f"'{labels[text]}'" for text in found[1:]]
    notes = [f"Not shown: {', '.join(others)}; method=... names one of them."] if others else []
    return [row for row in rows if row.method_json == found[0]], labels[found[0]], notes


def methods_in_order(rows: Sequence[CellBarrier]) -> dict[str, str]:
    """JSON of all methods to their labels: the control first, the others by name."""
    names = {row.method_json: row.method for row in rows}
    labels = method_labels(names)
    order = sorted(names, key=lambda text: (names[text] != "identity", label_order(labels[text])))
    return {text: labels[text] for text in order}


def kind_label(kind: Kind, *, without: Sequence[str] = ()) -> str:
    """The networks in words, without the columns named."""
    told = [
        ", ".join(
            [
                " ".join(
                    str(getattr(kind, name)) for name in ("dataset", "architecture") if name not in without
                ),
                *(
                    f"{name} {getattr(kind, name):,}"
                    for name in ("width", "depth")
                    if name not in without and getattr(kind, name) is not None
                ),
            ]
        )
    ]
    if kind.label_noise and "label_noise" not in without:
        told.append(f"label noise {kind.label_noise:g}")
    return ", ".join(told)


def pairs_at_points(means: Sequence[Mean]) -> str:
    """``5 pairs at each point``, ``2 to 5 pairs at each point``."""
    counts = sorted({mean.num_values for mean in means})
    if len(counts) == 1:
        return f"{counted(counts[0], 'pair')} at each point"
    return f"{counts[0]} to {counts[-1]} pairs at each point"


def without_interval(means: Sequence[Mean]) -> list[str]:
    """A sentence on points that rest on one value or one group alone."""
    number = sum(mean.low is None for mean in means)
    return [f"No interval at {counted(number, 'point')}, of one pair or group."] if number else []


def drawn_together(rows: Iterable[PairLike]) -> list[str]:
    """A sentence on pairs that share networks, which are not independent."""
    told = "Intervals draw pairs that share networks together; where all do, there is none."
    return [told] if share_networks(rows) else []


def lacking(question: BarrierQuestion, *, world: str = "", method: str = "", split: str = "") -> str:
    """A sentence where no barrier answers the question."""
    told = [
        f"on {split}" if split else "",
        f"of world {world}" if world else "",
        f"of method {method}" if method and method != "all" else "",
        f"with correction {question.correction!r}",
        f"of {question.num_networks} networks aligned at a time",
    ]
    return f"Not shown: no barriers {' '.join(filter(None, told))} here."


def unfinished(store: Store, sweep: str | None, kind: str = "barrier") -> list[str]:
    """A sentence on what a sweep asks for and has not measured so far."""
    if sweep is None:
        return []
    asked = store.item_ids(sweep, kind)
    number = len(asked - store.ids(kind))
    return (
        [f"Not shown: {number:,} of the sweep's {len(asked):,} {KIND_NAMES[kind]}, not there so far."]
        if number
        else []
    )


def diverged(rows: Sequence[CellBarrier]) -> list[str]:
    """A sentence on barriers without a value."""
    return diverged_barriers(sum(row.value is None for row in rows))
