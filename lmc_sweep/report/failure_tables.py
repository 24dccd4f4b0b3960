"""What failed, what was tried again, and which files are left out."""

from __future__ import annotations

from lmc_sweep.analysis.failures import open_failures, repro_command
from lmc_sweep.planning.held_back import FAILS_EVERY_TIME
from lmc_sweep.redaction import redact
from lmc_sweep.report.model import Block, Column, Listing, Section, Table
from lmc_sweep.report.scope import Scope
from lmc_sweep.report.wording import counted
from lmc_sweep.store.sql_text import literal

TITLE = "Failures and retries"
MOST_TRACEBACKS = 20
MOST_ROWS = 2000

_FAILURES = (
    Column("Sweep", "choice"),
    Column("Kind", "choice"),
    Column("Cause", "choice", "class of the error, as docs/guarantees.md lists them"),
    Column("Error", "choice"),
    Column("Message"),
    Column("Items", "count", "that have no result yet"),
    Column("Attempts", "count"),
    Column("What follows", "choice"),
    Column("See it", "id", "the command that computes one of the items again, here"),
)
_ATTEMPTS = (
    Column("Sweep", "choice"),
    Column("Kind", "choice"),
    Column("Cause", "choice", "class of the error, as docs/guarantees.md lists them"),
    Column("Error", "choice"),
    Column("Message"),
    Column("Attempts", "count", "that ended so"),
    Column("Items", "count", "of their batches"),
    Column("Seconds", "number", "from submission to the end, in all"),
)
_FILES = (Column("What", "choice"), Column("File or item"), Column("Reason"))


def failure_tables(scope: Scope) -> Section:
    """Failures without a result since, attempts that were lost, and files that are left out."""
    blocks: list[Block] = [_failures(scope), _attempts(scope), _left_out(scope), *_tracebacks(scope)]
    return Section("failures", TITLE, tuple(blocks), entry="Failures")


def _failures(scope: Scope) -> Table:
    rows = [
        (
            one.sweep,
            one.kind,
            one.cause,
            one.error_type,
            redact(one.message),
            len(one.item_ids),
            one.attempts,
            "waits for lmc-sweep retry" if one.is_held else "the next run tries again",
            repro_command(scope.named, one.item_ids[0], user_code=one.cause in FAILS_EVERY_TIME),
        )
        for one in open_failures(scope.store, scope.sweep)[:MOST_ROWS]
    ]
    return Table("failures", "Items that failed and have no result yet", _FAILURES, rows, "Nothing failed.")


def _attempts(scope: Scope) -> Table:
    of = "true" if scope.sweep is None else f"sweep = {literal(scope.sweep)}"
    found = scope.ask(f"""
        SELECT sweep, kind, cause, error_type, message, count(*) AS attempts,
            sum(len(item_ids))::BIGINT AS items, sum(seconds) AS seconds
        FROM attempts WHERE {of} GROUP BY ALL ORDER BY attempts DESC, message LIMIT {MOST_ROWS}""")
    rows = [tuple({**row, "message": redact(row["message"])}.values()) for row in found]
    caption = "Attempts that were lost, and made again"
    return Table("attempts", caption, _ATTEMPTS, rows, "No attempt was lost.")


def _left_out(scope: Scope) -> Table:
    """Files that cannot be read, and results that disagree."""
    rows = [("left out", problem.path, problem.reason) for problem in scope.store.problems()]
    rows += [("disagreement", "", str(finding)) for finding in scope.store.nondeterminism()]
    caption = "Files left out of every result, and results that disagree"
    empty = "Every file could be read, and no result was computed twice with other numbers."
    return Table("left-out", caption, _FILES, rows[:MOST_ROWS], empty)


def _tracebacks(scope: Scope) -> list[Listing]:
    """One traceback of each kind of failure."""
    asked = {one.failure_id for one in open_failures(scope.store, scope.sweep)}
    found = (
        scope.ask("""
        SELECT failure_id, error_type, message, traceback FROM failures ORDER BY created_at""")
        if asked
        else []
    )
    firsts: dict[tuple[str, str], str] = {}
    for row in found:
        if row["failure_id"] in asked:
            firsts.setdefault((row["error_type"], row["message"]), row["traceback"])
    shown = list(firsts.items())[:MOST_TRACEBACKS]
    listings = [
        Listing(redact(f"Traceback: {error}: {message}".splitlines()[0])[:160], redact(text))
        for (error, message), text in shown
    ]
    if len(firsts) > len(shown):
        more = counted(len(firsts) - len(shown), "further traceback")
        listings.append(Listing(f"{more}: in the table failures of the store", ""))
    return listings
