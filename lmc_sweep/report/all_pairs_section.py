"""All pairs of a cell's networks: barriers direct, over a third network, and over chains."""

from __future__ import annotations

from lmc_sweep.analysis.cell_rows import BarrierQuestion
from lmc_sweep.analysis.matrix_rows import WAYS, Matrix, read
from lmc_sweep.report.cell_tables import trimmed
from lmc_sweep.report.model import Block, Column, Note, Section, Table, Value
from lmc_sweep.report.scope import Scope
from lmc_sweep.report.wording import counted

TITLE = "All pairs"
LEAD = (
    "Barriers between the networks of a cell, every one with every other. Indirect: the least, over all "
    "third networks, of the larger barrier of the two legs (Entezari et al. 2021, appendix E.3). Chains: the "
    "least, over chains of networks of any length, the direct way among them, of the largest barrier on it. "
    "Pairs that share a network are not independent, so no interval is given."
)
QUESTIONS = (
    (BarrierQuestion("loss", "supremum"), "loss, largest"),
    (BarrierQuestion("error", "supremum"), "error, largest"),
    (BarrierQuestion("loss", "midpoint"), "loss, at 1/2"),
    (BarrierQuestion("error", "midpoint"), "error, at 1/2"),
)
_NAMES = {"direct": "Direct", "indirect": "Indirect", "bottleneck": "Chains"}
_COLUMNS = (
    Column("Cell", "cell"),
    Column("Method", "choice"),
    Column("Barrier", "choice"),
    Column("Examples", "choice"),
    Column("Correction", "choice"),
    *(Column(name, "number", "mean over pairs") for name in _NAMES.values()),
    Column("Lower", "number", "share of pairs whose indirect barrier is below the direct one"),
    Column("Legs", "number", "of the shortest lowest chain, mean over pairs"),
    Column("Highest", "number", "the largest of all pairs' lowest chains: it joins all networks"),
    Column("Networks", "count"),
    Column("Pairs", "count", "with a barrier: of no network that diverged"),
    Column("Drawn", "choice", "all: every pair; iid: independent draws"),
)


def all_pairs_section(scope: Scope) -> Section:
    """Means by cell and method; without blocks where no matrix was asked for."""
    rows: list[tuple[Value, ...]] = []
    num_left_out = 0
    known = scope.store.barrier_matrices().project("correction").distinct().fetchall()
    for (correction,) in sorted(known):
        for question, label in QUESTIONS:
            asked = BarrierQuestion(question.quantity, question.extent, correction)
            found, left_out = read(scope.store, scope.sweep, asked, None)
            num_left_out += left_out
            found.sort(key=lambda one: _place(scope, one))
            rows += [_row(scope, one, label, correction) for one in found]
    if not rows:
        return Section("all-pairs", TITLE, ())
    table = trimmed(Table("all-pairs", "Barriers over all pairs, by cell and method", _COLUMNS, rows))
    blocks: list[Block] = [table]
    if num_left_out:
        text = f"Left out: {counted(num_left_out, 'row')} of fewer pairs, or measured at fewer alphas."
        blocks.append(Note(text))
    return Section("all-pairs", TITLE, tuple(blocks), LEAD)


def _place(scope: Scope, one: Matrix) -> tuple[int, int, str]:
    """Cells and methods in the order of the report, train before test."""
    methods = list(scope.methods)
    method = methods.index(one.method_json) if one.method_json in methods else len(methods)
    return scope.places.get(one.cell_id, len(scope.places)), method, "ab"[one.split == "test"]


def _row(scope: Scope, one: Matrix, label: str, correction: str) -> tuple[Value, ...]:
    """Under _COLUMNS."""
    known = [one.known(way) for way in WAYS]
    heights: list[Value] = [float(values.mean()) if len(values) else None for values in known]
    legs, chains = one.num_legs[one.num_legs > 0], one.known("bottleneck")
    return (
        scope.places.get(one.cell_id),
        scope.methods.get(one.method_json, one.method),
        label,
        one.split,
        correction,
        *heights,
        one.share_below(),
        float(legs.mean()) if len(legs) else None,
        float(chains.max()) if len(chains) else None,
        one.num_networks,
        len(one.known("direct")),
        one.pairing,
    )
