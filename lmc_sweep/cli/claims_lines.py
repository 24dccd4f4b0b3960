"""Cards of claims as text of 80 columns, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import math
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmc_sweep.analysis.cards import Card
    from lmc_sweep.analysis.verdicts import Part

WIDTH = 80
LONGEST_NAME = 20  # of a part that stands in the line of its figures
_COLUMNS = "  {:<20} {:>13} {:>7}  {:<27} {}"


def as_text(
    source: str, cards: Sequence[Card], show_query: bool, trained: Mapping[str, tuple[int, int]]
) -> str:
    """Every claim with its parts, and how many hold; first, how many examples of each data set are meant."""
    lines = [source, *_trained(trained), ""]
    for card in cards:
        lines += [*_card_lines(card, show_query), ""]
    verdicts = Counter(card.verdict for card in cards)
    told = f"{verdicts['holds']} hold, {verdicts['fails']} fail, {verdicts['not measured']} not measured"
    lines.append(f"{len(cards)} claim{'s' * (len(cards) != 1)}: {told}.")
    return "\n".join(lines) + "\n"


def _trained(trained: Mapping[str, tuple[int, int]]) -> list[str]:
    """On how many examples the networks were trained."""
    told = [
        f"{name} {fewest:,}" + (f" to {most:,}" if most > fewest else "")
        for name, (fewest, most) in trained.items()
    ]
    return textwrap.wrap(f"Training examples here: {'; '.join(told)}.", WIDTH) if told else []


def as_csv(cards: Sequence[Card]) -> str:
    """A row for every part; a claim without parts has one row."""
    text = io.StringIO()
    rows = [row for card in cards for row in _rows(card)]
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def as_json(source: str, cards: Sequence[Card]) -> str:
    """Everything, with the queries."""
    told = [
        {
            "name": card.claim.name,
            "where": card.claim.where,
            "claim": card.claim.claim,
            "statistic": card.claim.statistic,
            "measure": card.claim.measure,
            **asdict(card.view),
            "verdict": card.verdict,
            "why": card.why,
            "parts": [_part(part) for part in card.parts],
            "query": card.query,
        }
        for card in cards
    ]
    return json.dumps({"source": source, "claims": told}, indent=1, allow_nan=False) + "\n"


def _card_lines(card: Card, show_query: bool) -> Iterator[str]:
    """The claim, its parts as a table, and its query if that is asked for."""
    yield f"{card.claim.name}: {card.verdict}"
    yield from _wrapped(f"{card.claim.claim} ({card.claim.where})")
    if card.why:
        yield from _wrapped(f"Not measured: {card.why}.")
    elif card.parts:
        yield from _wrapped(f"Measured: {card.measured}")
        yield _COLUMNS.format("", "accepted", "printed", "measured [95 %]", "").rstrip()
        absent = [part for part in card.parts if not part.num_pairs]
        for part in card.parts:
            if part.num_pairs:
                yield from _part_lines(part)
        if absent:
            yield from _wrapped(f"Not in the store: {', '.join(_name(part) for part in absent)}")
    if show_query and card.query:
        yield from (f"    {line}" for line in card.query.splitlines())


def _part_lines(part: Part) -> Iterator[str]:
    printed = "" if part.printed is None else f"{part.printed:.3g}"
    verdict = "-" if part.verdict == "not measured" else part.verdict
    name = _name(part)
    if len(name) > LONGEST_NAME:
        yield f"  {name}"
        name = ""
    line = _COLUMNS.format(name, _accepted(part), printed, _measured(part), verdict)
    yield line.rstrip()
    if part.note:
        yield from (f"  {line}" for line in _wrapped(part.note))
    if part.why:
        yield from (f"  {line}" for line in _wrapped(f"not measured: {part.why}"))


def _name(part: Part) -> str:
    return part.part if part.x is None else f"{part.part}, {part.x:g}"


def _accepted(part: Part) -> str:
    """The bounds in words: at most 0.8 is <= 0.8."""
    if not math.isfinite(part.low) and not math.isfinite(part.high):
        return ""
    if not math.isfinite(part.low):
        return f"<= {part.high:.3g}"
    if not math.isfinite(part.high):
        return f">= {part.low:.3g}"
    between = "-" if part.low >= 0 else ".."
    return f"{part.low:.3g}{between}{part.high:.3g}"


def _measured(part: Part) -> str:
    if part.measured is None:
        return ""
    if part.interval is None:
        return f"{part.measured:.3g}"
    low, high = part.interval
    return f"{part.measured:.3g} [{low:.3g}, {high:.3g}]"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="  ")


def _part(part: Part) -> dict[str, Any]:
    """A part as plain data; a bound that is not there is null."""
    return {
        "part": part.part,
        "x": part.x,
        "at_least": part.low if math.isfinite(part.low) else None,
        "at_most": part.high if math.isfinite(part.high) else None,
        "printed": part.printed,
        "measured": part.measured,
        "low": part.interval[0] if part.interval else None,
        "high": part.interval[1] if part.interval else None,
        "num_pairs": part.num_pairs,
        "verdict": part.verdict,
        "why": part.why,
        "note": part.note,
    }


def _rows(card: Card) -> Iterator[dict[str, Any]]:
    """Rows of the CSV file."""
    claim = {
        "name": card.claim.name,
        "where": card.claim.where,
        "statistic": card.claim.statistic,
        **asdict(card.view),
    }
    for part in card.parts:
        yield {**claim, **_part(part)}
    if not card.parts:
        keys = ("part", "x", "at_least", "at_most", "printed", "measured", "low", "high", "num_pairs")
        yield {**claim, **dict.fromkeys(keys), "verdict": card.verdict, "why": card.why, "note": ""}
