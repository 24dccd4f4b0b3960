"""A report as a page: one HTML text with styles, programs and numbers inside."""

from __future__ import annotations

import base64
import hashlib
import itertools
from collections.abc import Sequence
from importlib import resources
from typing import Any

from lmc_sweep.report.libraries import plotting_program, tables_program, tables_styles
from lmc_sweep.report.model import Block, DensityPlot, Drawing, ReportData, Table
from lmc_sweep.report.payload import payload

_PROGRAMS = ("state.js", "theme.js", "tables.js", "density.js", "printing.js", "start.js")
_STYLES = ("page.css", "blocks.css", "tables.css", "print.css")


def render(data: ReportData) -> str:
    """The page. Every text of the report is escaped, and no program but its own can run in it.

    The page states, as a content security policy, the hashes of the programs that it brings: whatever else
    a name or a message might smuggle in is refused by the browser, as is every request to a network.
    """
    blocks = [block for section in data.sections for block in section.blocks]
    has_plot = any(isinstance(block, DensityPlot) for block in blocks)
    programs = [*([plotting_program()] if has_plot else []), "\n".join(map(_asset, _PROGRAMS))]
    text: str = (
        _environment()
        .get_template("page.html.j2")
        .render(
            data=data,
            policy=_policy(programs),
            programs=programs,
            tables_program=tables_program() if any(isinstance(b, Table) for b in blocks) else "",
            styles="\n".join([tables_styles(), *map(_asset, _STYLES)]),
            payload=payload(data),
        )
    )
    return text


def _environment() -> Any:
    """Jinja with every text escaped, and an error for every name that is not there."""
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: _read("templates", name)),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["data_uri"] = _data_uri
    made.filters["groupby_kind"] = _by_kind
    return made


def _by_kind(blocks: Sequence[Block]) -> list[tuple[str, list[Block]]]:
    """Runs of blocks of one kind: cards and figures stand side by side."""
    return [(kind, list(run)) for kind, run in itertools.groupby(blocks, lambda block: block.kind)]


def _policy(programs: list[str]) -> str:
    """What the page may do: run its own programs, show what it holds, and nothing else."""
    hashes = " ".join(f"'sha256-{_sha256(program)}'" for program in programs)
    # blob: is the table library, which only the page's own programs can turn into an address.
    return (
        f"default-src 'none'; script-src {hashes} blob:; style-src 'unsafe-inline'; img-src data: blob:; "
        "font-src 'none'; connect-src 'none'; base-uri 'none'; form-action 'none'"
    )


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _data_uri(drawing: Drawing) -> str:
    return f"data:{drawing.mime};base64,{base64.b64encode(drawing.content).decode()}"


def _asset(name: str) -> str:
    return _read("assets", name)


def _read(folder: str, name: str) -> str:
    return (resources.files("lmc_sweep.report") / folder / name).read_text(encoding="utf-8")
