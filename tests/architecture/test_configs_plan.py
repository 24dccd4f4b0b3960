"""The sweep files that ship with the project."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmc_sweep.config import load_sweep

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_config_loads(file: Path) -> None:
    """Every file in ``configs/`` is a valid sweep, named after its file."""
    sweep = load_sweep(file)
    assert file.stem == sweep.name
    assert sweep.networks


def test_quickstart_is_there() -> None:
    """The sweep that the README begins with exists."""
    assert (CONFIGS / "quickstart.yaml").is_file()
