"""``lmc-sweep report``: where it writes, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_store import NAME, fill

from lmc_sweep.cli import report
from lmc_sweep.cli.report import report_command
from lmc_sweep.errors import SweepError
from lmc_sweep.report import gathering
from lmc_sweep.store.store import Store

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    kept = tuple(one for one in gathering.SECTIONS if one[0] not in ("Figures", "Claims"))
    monkeypatch.setattr(gathering, "SECTIONS", kept)
    return fill(tmp_path / "store", num_cells=1)


def test_an_old_report_is_replaced_whole(store: Store, tmp_path: Path) -> None:
    """The file is the page, with nothing of an older one and no temporary file beside it."""
    output = tmp_path / "report.html"
    output.write_text("x" * 20_000_000)
    report_command(str(store.path), NAME, output)
    page = output.read_text()
    assert (True, True) == (page.startswith("<!DOCTYPE html>"), page.rstrip().endswith("</html>"))
    assert ["report.html", "store"] == sorted(path.name for path in tmp_path.iterdir())


@pytest.mark.parametrize("name", ["records/report.html", "sweeps/report.html", "networks/x/report.html"])
def test_a_file_among_the_stores_own_is_refused(store: Store, name: str) -> None:
    """Nothing is written where the store keeps its records, weights and sweeps, by whatever way."""
    (store.path / "networks" / "x").mkdir()
    link = store.path.parent / "link"
    link.symlink_to(store.path)
    for root in (store.path, link):
        with pytest.raises(SweepError, match="among the store's own files"):
            report_command(str(store.path), None, root / name)
    assert [] == list(store.path.rglob("*.html"))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("report.pdf", "Name it report.html"),
        ("folder.html", "is a directory"),
        ("none/a.html", "no directory"),
    ],
)
def test_nonsense_is_refused_before_anything_is_read(
    store: Store, tmp_path: Path, name: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another ending, a directory, and a folder that is not there are refused with the remedy."""
    (tmp_path / "folder.html").mkdir()
    monkeypatch.setattr(gathering, "gather", lambda *_: pytest.fail("the store was read"))
    with pytest.raises(SweepError, match=told):
        report_command(str(store.path), None, tmp_path / name)


def test_a_sweep_or_file_of_claims_that_is_not_there_is_refused(store: Store, tmp_path: Path) -> None:
    """An unknown sweep lists the known ones."""
    with pytest.raises(SweepError, match=f"Known sweeps: {NAME}"):
        report_command(str(store.path), "other", tmp_path / "a.html")
    with pytest.raises(SweepError, match="no such file"):
        report_command(str(store.path), None, tmp_path / "a.html", tmp_path / "claims.yaml")


def test_the_papers_claims_are_found_from_anywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """From another folder, the checkout's file is taken."""
    monkeypatch.chdir(tmp_path)
    assert report.CHECKOUT / report.PAPER == report._claims_file(report.PAPER)


@pytest.mark.parametrize("version", ["store_v1", "store_v4"])
def test_descriptions_that_are_no_json_are_one_line(version: str, tmp_path: Path) -> None:
    """The column and the row are named, and nothing is written."""
    with pytest.raises(SweepError, match=r"networks\.spec_json of network0 is no JSON \('text'\)"):
        report_command(str(GOLDEN / version), None, tmp_path / "report.html")
    assert [] == list(tmp_path.iterdir())
