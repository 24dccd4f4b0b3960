"""docs/guarantees.md promises nothing without a test, and tells of errors what the program does."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from lmc_sweep.execution.causes import CAUSES, Cause

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "guarantees.md").read_text()
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+|Test\w+)`")
PROMISES = dict(re.findall(r"^### (\d+\. .+?)$(.*?)(?=^##)", TEXT, re.MULTILINE | re.DOTALL))


def row(cause: Cause) -> str:
    """The line of the table of errors that tells of a cause."""
    attempts = "`execution.retries` + 1" if cause.max_attempts is None else str(cause.max_attempts)
    pause = f"{cause.backoff_seconds:g} s" if cause.backoff_seconds else "none"
    room = "yes" if cause.escalates else "no"
    later = "yes" if cause.again else "after `lmc-sweep retry`"
    return f"| `{cause.name}` | {cause.meaning} | {attempts} | {pause} | {room} | {later} |"


def test_every_named_test_exists() -> None:
    """Each `file::test` of the page is a function of that file."""
    named = set(NAMED.findall(TEXT))
    assert len(named) > 30
    missing = []
    for path, name in sorted(named):
        tree = ast.parse((ROOT / path).read_text()) if (ROOT / path).exists() else ast.Module([], [])
        found = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        found |= {  # a state machine's TestCase
            target.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        if name not in found:
            missing.append(f"{path}::{name}")
    assert [] == missing


def test_every_promise_is_numbered_and_has_a_test() -> None:
    """Twelve promises in order, each with at least one test."""
    assert list(range(1, 13)) == [int(heading.split(".")[0]) for heading in PROMISES]
    assert [] == [heading for heading, text in PROMISES.items() if not NAMED.search(text)]


@pytest.mark.parametrize("name", CAUSES)
def test_every_cause_is_told_as_it_is(name: str) -> None:
    """Cap, pause, escalation and what a later run does are those of the program."""
    assert row(CAUSES[name]) in TEXT.splitlines()


def test_no_cause_is_told_that_is_none() -> None:
    """The table of errors has a line per cause and no other."""
    table = TEXT.partition("## Classes of errors")[2].partition("\n## ")[0]
    assert list(CAUSES) == re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)


def test_every_fault_has_a_test() -> None:
    """Each row of the fault matrix ends with the test that does it."""
    matrix = TEXT.partition("## What happens when")[2].partition("\n## ")[0]
    rows = [line for line in matrix.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 15
    assert [] == [line for line in rows if not NAMED.search(line)]
