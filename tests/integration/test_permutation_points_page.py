"""The Python of docs/permutation-points.md runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import workers.permutation_points
from lmc_sweep.store.schema import TABLES
from workers.permutation_points.statements import MEANINGS

PAGE = (Path(__file__).parents[2] / "docs" / "permutation-points.md").read_text()


def test_the_block_for_notebooks_runs() -> None:
    """Paths of all pairs, the lowest, the way to the permuted self, and points of orders 1 and 2."""
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    scope: dict[str, Any] = {}
    exec(block, scope)
    assert [(2,), (3,), (2, 2)] == [point.copies for point in scope["found"]]
    outputs, shape, inputs = scope["outputs"], scope["shape"], scope["inputs"]
    across = outputs(shape, scope["across"], inputs)
    assert float((across - across[:1]).abs().max()) < 1e-10
    ends = outputs(shape, scope["points"][[0, -1]], inputs)
    assert float((ends[0] - ends[1]).abs().max()) < 1e-10
    assert len(scope["path"].networks) - 1 == len(scope["between"])
    assert scope["barrier"] == max(scope["path"].losses) - scope["path"].losses[0]


def test_the_page_names_what_there_is() -> None:
    """Every statement, and no name in its tables of functions that is not public."""
    assert set(MEANINGS) <= set(re.findall(r"`(\w+)`", PAGE))
    functions = PAGE.partition("| function |")[2].partition("\n\n")[0]
    named = set(re.findall(r"^\| (.*?) \|", functions, flags=re.MULTILINE)) - {"---"}
    names = {name for cell in named for name in re.findall(r"`(\w+)`", cell)}
    assert names <= set(workers.permutation_points.__all__)
    assert sorted(workers.permutation_points.__all__) == dir(workers.permutation_points)
    columns = PAGE.partition("## What is measured")[2].partition("## Statements")[0]
    assert set(re.findall(r"`(\w+)`", columns)) <= set(TABLES["permutation_points"].by_name)
