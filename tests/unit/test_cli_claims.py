"""Cards of claims as the command writes them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from claimed import annealing, line, store_of

from lmc_sweep.cli.arguments import TableFormat
from lmc_sweep.cli.claims import claims_command
from lmc_sweep.cli.claims_lines import as_text
from lmc_sweep.errors import SweepError

PAPER = Path(__file__).resolve().parents[2] / "configs" / "entezari" / "claims.yaml"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two of the widths of table 2, as it prints them and half as high, and both worlds."""
    path = tmp_path_factory.mktemp("claims") / "store"
    after = [
        line(v * f, width=w, method=annealing(s))
        for w, f in ((16, 1.0), (32, 0.5))
        for s, v in ((10, 0.47), (50000, 0.055))
    ]
    store_of(path, [*after, line(0.3), line(0.31, world="model")])
    return path


def written(capsys: pytest.CaptureFixture[str], store: Path, **options: Any) -> str:
    """What the command writes."""
    claims_command(str(store), **{"claims": PAPER, "only": None, "sweep": None, "output": None, **options})
    return capsys.readouterr().out


def test_the_table_fits_80_columns(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No line of the table is longer, every claim is in it, and the last line counts them."""
    told = written(capsys, store)
    assert max(len(text) for text in told.splitlines()) <= 80
    lines = told.splitlines()
    assert "annealing_steps: fails" in lines
    assert "worlds_before: holds" in lines
    assert "ensembles: not measured" in lines
    assert ["hold", "fail", "not measured."] == [
        part.partition(" ")[2] for part in lines[-1][11:].split(", ")
    ]
    holds, fails, rest = (int(part.split()[0]) for part in lines[-1].partition(": ")[2].split(", "))
    assert 26 == holds + fails + rest


def test_printed_and_measured_stand_side_by_side(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A row of table 2 shows what is printed, what was measured, and whether it holds."""
    told = written(capsys, store, only=["annealing_steps"])
    (row,) = [text for text in told.splitlines() if "width 16, 10 " in text]
    assert ["0.329-0.611", "0.47"] == row.split()[3:5]
    assert row.endswith("holds")
    assert "Not in the store: width 16, 100, width 16, 1000" in told


def test_the_query_can_be_run_as_it_stands(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The query in the JSON answers with the rows that the verdict was taken from."""
    from lmc_sweep.store.store import Store

    (told,) = json.loads(written(capsys, store, only=["worlds_before"], format_=TableFormat.json))["claims"]
    rows = Store(store).answer(told["query"]).to_pylist()
    assert 10 == len(rows) == told["parts"][0]["num_pairs"]
    assert ("holds", 0.8, 1.25) == tuple(told["parts"][0][key] for key in ("verdict", "at_least", "at_most"))
    shown = written(capsys, store, only=["worlds_before"], show_query=True)
    assert all(text.strip() in shown for text in told["query"].splitlines())


def test_csv_has_a_row_for_every_part(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Parts of the paper that the store lacks have rows too, and a claim without parts has one."""
    rows = list(csv.DictReader(io.StringIO(written(capsys, store, format_=TableFormat.csv))))
    assert 15 == sum(row["name"] == "annealing_steps" for row in rows)
    ensembles = [row for row in rows if row["name"] == "ensembles"]
    assert {"mnist", "cifar10"} == {row["part"] for row in ensembles}
    (noise,) = [row for row in rows if row["name"] == "label_noise"]
    for row in (*ensembles, noise):
        assert "not measured" == row["verdict"]
    assert "figure16_label_noise" in noise["why"]


def test_output_goes_to_the_file(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --output nothing is printed, and the file holds what would have been."""
    expected = written(capsys, store)
    assert "" == written(capsys, store, output=tmp_path / "cards.txt")
    assert expected == (tmp_path / "cards.txt").read_text()


def test_unknown_claims_and_sweeps_are_refused(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The error lists those that are known."""
    with pytest.raises(SweepError, match=r"no claim 'peak' here\. Known claims: peak_mlp"):
        written(capsys, store, only=["peak"])
    with pytest.raises(SweepError, match=r"no sweep 'other' here\. Known sweeps: none"):
        written(capsys, store, sweep="other")


def test_cards_tell_the_steps_of_a_search(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is left after a search says after how many steps: the most that each width has."""
    assert "    after 50000 steps of annealing\n" in written(capsys, store, only=["zero_after_search"])


def test_above_the_cards_stands_on_how_many_examples() -> None:
    """A subset is told, and networks of several subsets as a range."""
    told = as_text("source", [], False, {"digits": (1438, 1438), "mnist": (1000, 60000)})

    assert "Training examples here: digits 1,438; mnist 1,000 to 60,000." == told.splitlines()[1]
