"""What a run says of itself at its end."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lmc_sweep.analysis import headlines, summary
from lmc_sweep.cli.run_lines import FIGURES_OF_KIND, _of_studies, print_summary
from lmc_sweep.errors import StoreError
from lmc_sweep.execution.run import RunResult
from lmc_sweep.execution.task import ItemFailure
from lmc_sweep.figures.registry import FIGURES
from lmc_sweep.store.store import Store
from tests.support.pretended import PretendedExecutor, done, failing, pretended_plan, pretended_run


@pytest.mark.parametrize("error", [StoreError("s: is away"), OSError(116, "Stale file handle")])
def test_a_store_that_is_away_does_not_hide_how_a_run_ended(
    tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Counts and the reason are told; the barriers, which only the store knows, are said to be missing."""
    plan, store = pretended_plan(tmp_path)
    run = pretended_run(tmp_path, PretendedExecutor(done), plan=plan)
    run.run()

    def away(*_: object) -> None:
        raise error

    monkeypatch.setattr(summary, "barrier_summary", away)
    print_summary(RunResult(plan, store, run.progress(), False, "the store could not be used", 3.0))
    told = capsys.readouterr().err
    assert "The barriers cannot be read now" in told
    assert "12/12 networks, 24/24 alignments, 48/48 barriers" in told
    assert "Stopped because: the store could not be used" in told


def test_failures_are_told_with_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Counts of what failed and what waits, the command that repeats one, and the one that releases all."""
    plan, _ = pretended_plan(tmp_path)
    victim = plan.items["network"][0].id
    executor = PretendedExecutor(lambda task, attempt: failing(task, {victim}, "user_error"))
    run = pretended_run(tmp_path, executor, plan=plan)
    run.run()
    failures: tuple[ItemFailure, ...] = tuple(run.failures)
    result = RunResult(plan, Store(tmp_path / "s"), run.progress(), False, None, 3.0, failures)
    assert 1 == result.exit_code
    print_summary(result)
    told = " ".join(capsys.readouterr().err.split())
    waiting = result.num_failed - 1
    assert f"1 item failed, {waiting} more wait for what failed" in told
    command = f"lmc-sweep repro {tmp_path / 's'} {victim} --user-code"
    assert f"One of them again, in the directory of your module: {command}" in told
    assert "Attempts that were lost" not in told
    assert f"lmc-sweep retry {tmp_path / 's'}" in told


def test_failures_of_one_cause_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two items that raise the same stand together with their number and ids."""
    plan, _ = pretended_plan(tmp_path)
    victims = {item.id for item in plan.items["network"][:2]}
    run = pretended_run(
        tmp_path, PretendedExecutor(lambda task, attempt: failing(task, victims, "user_error")), plan=plan
    )
    run.run()
    result = RunResult(plan, Store(tmp_path / "s"), run.progress(), False, None, 3.0, tuple(run.failures))
    print_summary(result)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("failed: ")]
    assert line.startswith("failed: 2 networks (")
    assert all(victim in line for victim in victims)


def test_a_study_with_results_tells_its_numbers_its_figure_and_its_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For each kind that has results beside barriers, of this run or an earlier one; no numbers, no word."""
    assert all(figure in FIGURES for figure in FIGURES_OF_KIND.values())
    path = tmp_path / "my store"
    plan: Any = SimpleNamespace(
        done={**dict.fromkeys(FIGURES_OF_KIND, ()), "canonical_form": ("a",)},
        sweep=SimpleNamespace(name="nothing measured"),
    )
    store = Store.create(path)
    expected = f"lmc-sweep plot '{path}' canonical_distances; table canonical_forms"
    result: Any = SimpleNamespace(plan=plan, progress=None, store=store)
    assert [f"Canonical forms: {expected}"] == _of_studies(result, str(path))
    kinds = {"canonical_form": SimpleNamespace(done=0), "ensemble": SimpleNamespace(done=3)}
    result = SimpleNamespace(plan=plan, progress=SimpleNamespace(kinds=kinds), store=store)
    assert ["Ensembles: lmc-sweep plot s ensembles; table ensembles"] == _of_studies(result, "s")
    monkeypatch.setattr(headlines, "headline", lambda kind, store, sweep: f"{kind} of {sweep}")
    assert "Ensembles: ensemble of nothing measured" == _of_studies(result, "s")[0]
    assert "  lmc-sweep plot s ensembles; table ensembles" == _of_studies(result, "s")[1]
