"""docs/journeys.md and docs/scaling.md name commands, options and files that there are."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from lmc_sweep.cli.app import app

ROOT = Path(__file__).parents[2]
PAGES = ("journeys.md", "scaling.md")
COMMAND = typer.main.get_command(app)


def text(page: str) -> str:
    """A page of docs/."""
    return (ROOT / "docs" / page).read_text()


def commands(page: str) -> list[str]:
    """Every `lmc-sweep ...` of a page, in a block or in a line, up to what the shell would not hand over."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text(page), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    lines += re.findall(r"`(lmc-sweep [^`\n]+)`", text(page))
    found = [
        match[0]
        for line in lines
        if (match := re.search(r"(?<![\w./])(\.venv/bin/)?lmc-sweep [a-z].*", line))
    ]
    return [re.split(r"[\"|>]", one)[0].removeprefix(".venv/bin/") for one in found]


CASES = [(page, line) for page in PAGES for line in commands(page)]


@pytest.mark.parametrize(("page", "line"), CASES, ids=[line for _, line in CASES])
def test_commands_and_options_exist(page: str, line: str) -> None:
    """Each command is one of ours, with the options that stand behind it."""
    words = shlex.split(line, comments=True)[1:]
    command = COMMAND
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    assert command is not COMMAND
    known = {name for parameter in command.params for name in parameter.opts}
    assert [] == [word for word in words if word.startswith("--") and word not in known]


@pytest.mark.parametrize("page", PAGES)
def test_files_exist(page: str) -> None:
    """Whatever a page links to, and each file of docker/ and configs/ that it names, is there."""
    linked = [ROOT / "docs" / path for path in re.findall(r"\]\(([\w./-]+)[)#]", text(page))]
    named = [ROOT / path for path in re.findall(r"(?:docker|configs)/[\w./]+\.\w+", text(page))]
    assert [] == [str(path) for path in [*linked, *named] if not path.exists()]
    assert len(named) > 0


def test_journeys_are_many() -> None:
    """The pattern above finds commands: each journey has at least one."""
    journeys = text("journeys.md").split("\n## ")[1:-1]
    assert [] == [
        part.splitlines()[0] for part in journeys if "lmc-sweep" not in part and "--set" not in part
    ]
    assert len(commands("journeys.md")) > 12
