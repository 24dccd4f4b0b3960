"""The Python in the README runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lmc_sweep.config import parse_sweep
from lmc_sweep.execution.run import run

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
SWEEP = re.search(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)


def test_the_sweep_of_the_readme_is_the_quickstart() -> None:
    """The file shown asks for exactly what configs/quickstart.yaml asks for."""
    from lmc_sweep.planning.items import items

    assert SWEEP is not None
    shown, kept = parse_sweep(SWEEP[1]), parse_sweep((ROOT / "configs" / "quickstart.yaml").read_text())
    ids = [{i.id for of_kind in items(sweep).values() for i in of_kind} for sweep in (shown, kept)]
    assert ids[0] == ids[1]


def test_a_store_opens_in_a_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first block, on a small store at the quickstart's path."""
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "configs" / "quickstart.yaml").read_text()
    overrides = [
        "networks[0].architecture.width=4",
        "networks[0].training.max_epochs=1",
        "barriers.alignments=[{method: identity}]",
    ]
    run(parse_sweep(text, overrides=overrides), inline=True)
    scope: dict[str, object] = {}
    exec(BLOCKS[0], scope)
    assert 20 == len(scope["frame"])  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_numeric_floor_works_alone() -> None:
    """The second block: four networks, two pairs, and curves that fall by matching."""
    scope: dict[str, object] = {}
    exec(BLOCKS[1], scope)
    curves = scope["curves"]
    assert (2, 5) == tuple(curves.losses.shape)  # type: ignore[attr-defined]
    assert curves.losses.max() < 0.2  # type: ignore[attr-defined]


def test_modules_of_a_users_own_are_aligned() -> None:
    """The third block: two modules brought together, more alike than they were."""
    scope: dict[str, object] = {}
    exec(BLOCKS[2], scope)
    found = scope["found"]
    assert found.objective_end > found.objective_start  # type: ignore[attr-defined]
