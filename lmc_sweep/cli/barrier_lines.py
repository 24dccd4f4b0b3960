"""The table of barriers that ends a run, as lines of text."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmc_sweep.analysis.summary import CellBarriers

COLUMNS = 80
LABEL_COLUMNS = 50
WORLD_COLUMNS = 14  # "planted 0.05", "0.123 (1024)"
WORLDS_BESIDE = 3
SHOWN_ROWS = 40


def barrier_lines(worlds: Sequence[str], cells: Sequence[CellBarriers], split: str, store: str) -> list[str]:
    """Lines of at most COLUMNS characters: a group per cell, a row per method, a column per world.

    More than SHOWN_ROWS rows are cut short; the last line says how many are missing and where they are.
    """
    if not cells:
        return []
    lines = [f"Mean loss barrier on {split}, in nats (pairs)"]
    num_rows = 0
    for start in range(0, len(worlds), WORLDS_BESIDE):
        beside = worlds[start : start + WORLDS_BESIDE]
        of_worlds = [
            (cell.label, [(label, of) for label, of in cell.methods if set(of) & set(beside)])
            for cell in cells
        ]
        lines += _row("", beside) if num_rows < SHOWN_ROWS else []
        for cell_label, methods in of_worlds:
            shown = methods[: max(0, SHOWN_ROWS - num_rows)]
            num_rows += len(methods)
            lines += textwrap.wrap(cell_label, COLUMNS) if shown else []
            for label, entries in shown:
                lines += _row(label, [entries.get(world, "-") for world in beside])
    if num_rows > SHOWN_ROWS:
        query = (
            "SELECT cell_id, correction, world, planted_noise, method_json, avg(loss_barrier), "
            f"count(loss_barrier) FROM barriers WHERE split = '{split}' AND layers IS NULL "
            "GROUP BY ALL ORDER BY ALL"
        )
        lines.append(f"... and {num_rows - SHOWN_ROWS} more rows. All of them:")
        lines.append(f'lmc-sweep query {store} "{query}"')
    return lines


def _row(label: str, entries: Sequence[str]) -> list[str]:
    """Label, indented and wrapped, and the entries at the end of its first line."""
    width = min(LABEL_COLUMNS, COLUMNS - WORLD_COLUMNS * len(entries))
    wrapped = textwrap.wrap(label, width, initial_indent="  ", subsequent_indent="    ") or [""]
    right = "".join(entry.rjust(WORLD_COLUMNS) for entry in entries)
    return [wrapped[0].ljust(width) + right, *wrapped[1:]]
