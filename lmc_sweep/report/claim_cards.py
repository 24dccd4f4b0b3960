"""A paper's claims held against the store, as cards."""

from __future__ import annotations

import math
from collections import Counter

from lmc_sweep.analysis import claims as told
from lmc_sweep.analysis.cards import Card as Measured
from lmc_sweep.analysis.cards import View, card
from lmc_sweep.analysis.verdicts import Part
from lmc_sweep.report.model import Card, Note, Section, Summary, Table
from lmc_sweep.report.model import Column as Heading
from lmc_sweep.report.scope import Scope
from lmc_sweep.report.wording import counted, number

TITLE = "Claims of the paper"
LEAD = (
    "A claim holds where the whole 95 % interval over pairs lies within its bounds, and fails where it lies "
    "outside. Whose barrier is meant, where a claim does not say: the error's at alpha 1/2 on train."
)


def claim_cards(scope: Scope) -> Section:
    """A card for every claim that was measured; the others in a table, with what they lack."""
    if scope.claims is None:
        absent = Note("No file of claims was found here. lmc-sweep report --claims FILE names one.")
        return Section("claims", TITLE, (absent,), entry="Claims")
    file = told.load_claims(scope.claims)
    cards = [card(scope.store, claim, View(), scope.sweep) for claim in file.claims]
    verdicts = Counter(one.verdict for one in cards)
    counts = f"{verdicts['holds']} hold, {verdicts['fails']} fail, {verdicts['not measured']} not measured"
    measured = [one for one in cards if any(part.measured is not None for part in one.parts)]
    others = [one for one in cards if one not in measured]
    lacking = Table(
        "claims-not-measured",
        "Not measured here",
        (
            Heading("Claim"),
            Heading("Where", "choice"),
            Heading("What is claimed"),
            Heading("Why not measured"),
        ),
        [(one.claim.name, one.claim.where, one.claim.claim, one.why) for one in others],
        "Every claim was measured.",
    )
    summary = Note(f"{file.source}: {counted(len(cards), 'claim')}, {counts}.")
    return Section("claims", TITLE, (summary, *(_card(one) for one in measured), lacking), LEAD, "Claims")


def _card(one: Measured) -> Card:
    """A claim with its parts."""
    absent = [_name(part) for part in one.parts if not part.num_pairs]
    missing = f" Not in the store: {', '.join(absent)}." if absent else ""
    return Card(
        name=one.claim.name,
        verdict=one.verdict,
        claim=f"{one.claim.claim} ({one.claim.where})",
        measured=f"{one.measured}.{missing}",
        parts=_without_empty_columns(
            ("Part", "Accepted", "Printed", "Measured", "95 %", "Pairs", "Verdict"),
            tuple(
                (
                    _name(part),
                    _accepted(part),
                    number(part.printed),
                    number(part.measured),
                    "" if part.interval is None else " to ".join(number(end) for end in part.interval),
                    f"{part.num_pairs:,}",
                    part.verdict if part.verdict != "not measured" else part.why or part.verdict,
                )
                for part in one.parts
                if part.num_pairs
            ),
        ),
    )


def _without_empty_columns(headings: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> Summary:
    """A table of the columns that say something: most claims print no number."""
    kept = [place for place in range(len(headings)) if not rows or any(row[place] for row in rows)]
    return Summary(
        "",
        tuple(headings[place] for place in kept),
        tuple(tuple(row[place] for place in kept) for row in rows),
    )


def _name(part: Part) -> str:
    return part.part if part.x is None else f"{part.part}, {part.x:g}"


def _accepted(part: Part) -> str:
    """The bounds in words."""
    low, high = math.isfinite(part.low), math.isfinite(part.high)
    if low and high:
        return f"{part.low:.3g} to {part.high:.3g}"
    return f"at least {part.low:.3g}" if low else f"at most {part.high:.3g}" if high else ""
