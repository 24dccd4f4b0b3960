"""The status of a store on a screen, watched and in one shot; runs that are asked to stop."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from store_rows import row

from lmc_sweep.cli import cancel, status
from lmc_sweep.cli.console import counted, times
from lmc_sweep.cli.status_lines import status_parts
from lmc_sweep.errors import StoreError, SweepError
from lmc_sweep.store.store import Store

RUN = "a" * 32


class Clock:
    """A clock that only sleeping moves; ``at`` says what happens at the end of each sleep."""

    def __init__(self, at: list[Any]) -> None:
        self.seconds, self.at = 0.0, list(at)

    def monotonic(self) -> float:
        return self.seconds

    def time(self) -> float:
        return 1_800_000_000.0 + self.seconds

    def strftime(self, form: str) -> str:
        return f"t={self.seconds:g}"

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        if self.at:
            self.at.pop(0)()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A sweep of two barriers, of which one is there."""
    store = Store.create(tmp_path / "store")
    store.record_sweep("s", "name: s\n", [("barrier", "a"), ("barrier", "b")])
    store.commit("barriers", [row("barriers", "a")])
    return store


def tell(store: Store, beat: int, **advice: Any) -> None:
    """Leaves advice whose clock is a day behind."""
    told = {"state": "running", "updated_at": 1_799_900_000.0, "beat": beat, "eta_seconds": 100.0, **advice}
    store.write_progress("s", RUN, told)


def watched(store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch, terminal: bool = False) -> list[str]:
    """The lines that --watch prints, by a clock that is only pretended."""
    monkeypatch.setattr(status, "time", clock)
    text = io.StringIO()
    out = Console(file=text, width=80, force_terminal=terminal, color_system=None, legacy_windows=False)
    status._watch(out, store, "store", None, as_json=False)
    return text.getvalue().splitlines()


def test_watching_ends_when_all_is_there(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Heartbeats show a run with another clock at work; when the last item is there, watching ends."""
    tell(store, 1)
    steps = [lambda n=n: tell(store, n) for n in range(2, 8)]
    steps.append(lambda: store.commit("barriers", [row("barriers", "b")]))
    lines = watched(store, Clock(steps), monkeypatch)
    assert [
        "t=0 s: not running; barriers 1/2",
        "t=10 s: running; barriers 1/2; ETA 2 min",
        "t=14 s: complete; barriers 2/2",
    ] == lines


def test_a_sweep_without_a_plan_says_what_to_do(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no record tells a sweep's items, it is not complete, and the status says how to mend it."""
    for file in (store.path / "records" / "sweep_items").iterdir():
        file.unlink()
    (told,) = status._statuses(Store(store.path), None)
    heading, remedy = status_parts(told, "store")[:2]
    assert ("Sweep s: not running", True) == (heading, "the same lmc-sweep run" in str(remedy))
    (line, *_) = watched(store, Clock([]), monkeypatch)
    assert "t=0 s: not running; no items are recorded" == line


def test_watching_ends_when_the_run_falls_silent(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that shows no further heartbeat is gone, and watching says so and ends."""
    tell(store, 1)
    clock = Clock([lambda: tell(store, 2)])
    lines = watched(store, clock, monkeypatch)
    assert "No run is alive. The same lmc-sweep run carries on from here." == lines[-1]
    assert "No heartbeat for 30 s: the run is gone, or it cannot write to the store." == lines[-2]
    assert "s: not running; barriers 1/2" in lines[-3]
    assert 30 <= clock.seconds <= 36


def test_watching_waits_while_a_resumed_run_starts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its last run was stopped, and the next one needs a while to its first heartbeat: watching goes on."""
    tell(store, 9, state="stopped")
    store.write_progress("s", "b" * 32, {"state": "stopped", "updated_at": 1.0})
    again = {"state": "running", "updated_at": 1_800_000_020.0, "beat": 1}
    done = [row("barriers", "b")]
    steps: list[Any] = [lambda: None] * 9
    steps += [lambda: store.write_progress("s", "c" * 32, again), lambda: store.commit("barriers", done)]
    lines = watched(store, Clock(steps), monkeypatch)
    assert ["t=20 s: running; barriers 1/2; ETA not known yet", "t=22 s: complete; barriers 2/2"] == lines[
        -2:
    ]


def test_watching_ends_at_once_when_the_run_says_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that was seen at work and has stopped in order leaves nothing to wait for."""
    tell(store, 1)
    clock = Clock([lambda: tell(store, 2), lambda: tell(store, 3, state="stopped")])
    assert (
        "No run is alive. The same lmc-sweep run carries on from here."
        == watched(store, clock, monkeypatch)[-1]
    )
    assert 4.0 == clock.seconds


def test_watching_waits_for_a_store_and_its_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is not there yet, one that is being made, one without the sweep: each is waited for."""
    path = tmp_path / "later"

    def record() -> None:
        Store(path).record_sweep("t", "name: t\n", [("barrier", "a")])

    clock = Clock([lambda: (path / "records").mkdir(parents=True), lambda: Store.create(path), record])
    monkeypatch.setattr(status, "time", clock)
    text = io.StringIO()
    found = status._awaited(Console(file=text, width=200), str(path), "t")
    assert (path, 6.0) == (found.path, clock.seconds)
    assert [
        f"{path}: there is no store here yet. Waiting for one; Ctrl-C ends this.",
        f"{path}: no sweep 't' in this store yet. Waiting; Ctrl-C ends this.",
    ] == text.getvalue().splitlines()


def test_watching_refuses_what_is_no_store(tmp_path: Path) -> None:
    """A folder of somebody else's is not waited for."""
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(StoreError, match="is not a store"):
        status._awaited(Console(file=io.StringIO()), str(tmp_path), None)


def test_watching_on_a_terminal_redraws_in_place(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal gets the whole status each time, and the cursor goes back before the next."""
    tell(store, 1)
    text = "\n".join(watched(store, Clock([lambda: tell(store, 2, state="stopped")]), monkeypatch, True))
    assert 2 <= text.count("Sweep s: not running")
    assert "\x1b[1A" in text


def test_an_unknown_sweep_lists_the_known_ones(store: Store) -> None:
    """A sweep that the store does not hold is refused by name."""
    with pytest.raises(SweepError, match=r"no sweep 't' here\. Known sweeps: s"):
        status.sweep_names(store, "t")
    assert ["s"] == status.sweep_names(store, None)


def test_every_line_of_ours_fits_into_80_columns(store: Store) -> None:
    """Lines without an error's message or a path are at most 80 characters long."""
    from lmc_sweep.analysis.progress import sweep_status

    batch = {"key": "k-2", "kind": "barrier", "num_items": 64, "seconds": 200.0, "estimated_seconds": 120.0}
    tell(
        store,
        1,
        updated_at=1_800_000_000.0,
        elapsed_seconds=250.0,
        executor="Ray on a private cluster on this machine, 2 CPUs, 0 GPUs",
        running=[{**batch, "attempt": 1, "what": "digits, mlp 64x1, identity, train"}],
        kinds={"barrier": {"rate_per_second": 1.5, "estimated_seconds": 10.0, "measured_seconds": 26.0}},
    )
    store.commit("attempts", [row("attempts", "t", sweep="s", cause="node_lost")])
    lines = [
        part
        for part in status_parts(sweep_status(store, "s", now=1_800_000_002.0), "store")
        if isinstance(part, str)
    ]
    assert "Sweep s: running, 4 min 10 s gone, last heard of 2.0 s ago" == lines[0]
    assert "So far it took 26 s of worker time: 2.6 times the estimate (10 s)." in lines
    assert "  3 min 20 s of about 2 min, 64 barriers: digits, mlp 64x1, identity, train" in lines
    assert [] == [line for line in lines if len(line) > 80]


def told_lines(store: Store) -> list[str]:
    """The lines of the status, without its table."""
    from lmc_sweep.analysis.progress import sweep_status

    parts = status_parts(sweep_status(store, "s", now=1_800_000_002.0), "store")
    return [part for part in parts if isinstance(part, str)]


def test_a_batch_far_beyond_its_estimate_is_told_with_its_deadline(store: Store) -> None:
    """What may hang is named, with the time until it is ended; one that is a little late is not."""
    late = {"key": "k-1", "kind": "barrier", "num_items": 8, "seconds": 60.0, "estimated_seconds": 2.0}
    soon = {**late, "key": "k-2", "seconds": 3.0, "deadline_seconds": 300.0}
    running = [{**late, "deadline_seconds": 300.0}, soon]
    tell(store, 1, updated_at=1_800_000_000.0, running=running, queued=2)
    lines = told_lines(store)
    assert "Running now (2 more queued):" in lines
    assert "  60 s of about 2 s, deadline 5 min, 8 barriers" in lines
    assert "  3.0 s of about 2 s, 8 barriers" in lines
    assert "1 batch is far beyond its estimate; its deadline is in 4 min." in lines


def test_batches_that_no_machine_has_room_for_are_told(store: Store) -> None:
    """Where batches are queued and none runs, that is said."""
    tell(store, 1, updated_at=1_800_000_000.0, running=[], queued=3)
    assert "Nothing runs: 3 batches wait until a machine has room." in told_lines(store)


@pytest.mark.parametrize(
    ("estimated", "measured", "told"),
    [
        (0.01, 3.0, None),
        (10.0, 1400.0, "140 times"),
        (10.0, 0.35, "0.035 times"),
        (1000.0, 990.0, "as estimated"),
    ],
)
def test_a_ratio_is_told_in_plain_figures_where_it_says_something(
    store: Store, estimated: float, measured: float, told: str | None
) -> None:
    """Two digits without an exponent; of an estimate below five seconds there is no ratio."""
    kinds = {"barrier": {"estimated_seconds": estimated, "measured_seconds": measured}}
    tell(store, 1, updated_at=1_800_000_000.0, kinds=kinds)
    lines = [line for line in told_lines(store) if "of worker time" in line]
    assert ([told in line for line in lines] if told else lines) == ([True] if told else [])


def test_json_names_what_is_left_out_as_the_lines_do(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that no reader takes is told under one word, in every entry and in a line."""
    (record,) = (store.path / "records" / "barriers").glob("*.parquet")
    record.write_bytes(record.read_bytes()[:100])

    status.status_command(str(store.path), as_json=True)
    (entry,) = json.loads(capsys.readouterr().out)
    status.status_command(str(store.path))
    (line,) = [text for text in capsys.readouterr().err.splitlines() if text.startswith("left out: ")]
    (told,) = entry["left_out"]
    assert str(record.relative_to(store.path)) == told["path"]
    assert line.startswith(f"left out: {told['path']}: ")


def test_cancel_asks_runs_that_claim_to_be_alive(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """A silent run is asked, too; one that has ended, and a folder that is no run's, are left alone."""
    tell(store, 1)
    store.write_progress("s", "b" * 32, {"state": "stopped", "updated_at": 1.0})
    foreign = store.path / "sweeps" / "s" / "runs" / "not a run"
    foreign.mkdir()
    (foreign / "progress.json").write_text(json.dumps({"state": "running"}))
    cancel.cancel_command(str(store.path), None, False)
    assert (True, False) == (store.cancel_requested("s", RUN), store.cancel_requested("s", "b" * 32))
    told = capsys.readouterr().err
    assert "asked run aaaaaaaa to stop" in told
    assert "it is probably gone, and stops if it is not" in told


def test_cancel_waits_until_the_run_has_ended(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """--wait returns when the run says that it stopped."""
    tell(store, 1)
    clock = Clock([lambda: tell(store, 2), lambda: tell(store, 3), lambda: tell(store, 4, state="stopped")])
    monkeypatch.setattr(cancel, "time", clock)
    cancel.cancel_command(str(store.path), None, True)
    assert 3.0 == clock.seconds
    assert "Sweep s: run aaaaaaaa has stopped (3.0 s)." in capsys.readouterr().err


def _three_sweeps(store: Store) -> None:
    """Beside the sweep "s", which runs: "a", which is complete, and "b", which nobody works on."""
    store.record_sweep("a", "name: a\n", [("barrier", "a")])
    store.write_progress("a", RUN, {"state": "finished", "slowest": [{"kind": "barrier", "seconds": 9.0}]})
    store.record_sweep("b", "name: b\n", [("barrier", "b")])
    tell(store, 1, updated_at=1_800_000_000.0)


def test_sweeps_at_work_stand_first_and_complete_ones_last(store: Store) -> None:
    """On a screen a complete sweep is one line; a store's only sweep is told whole though it is complete."""
    from lmc_sweep.analysis.progress import sweep_status

    _three_sweeps(store)
    found = [sweep_status(store, name, now=1_800_000_002.0) for name in store.sweeps()]
    ordered = status._in_order(found)
    assert ["s", "b", "a"] == [one.sweep for one in ordered]
    assert "Sweep a: complete; barriers 1/1" == status._parts(store, "store", ordered, brief=True)[-1]
    whole = status._parts(store, "store", [ordered[-1]], brief=True)
    assert "Sweep a: complete" == whole[0]
    assert "Slowest so far:" in whole


def test_an_age_that_does_not_show_is_told_without_figures() -> None:
    """No batch takes 0.0 s of less than 1 s; ages and estimates that show are told as they are."""
    told = [times(0.01, 0.2), times(0.3, 0.2), times(0.01, 2.0), times(0.01, None)]
    assert ["less than 0.1 s", "0.3 s of less than 1 s", "0.0 s of about 2 s", "0.0 s"] == told


@pytest.mark.parametrize(
    ("number", "kind", "told"),
    [(1, "canonical_form", "1 canonical form"), (2, "canonical_form", "2 canonical forms"), (1, "x", "1 x")],
)
def test_kinds_are_counted_in_words(number: int, kind: str, told: str) -> None:
    """One item of a kind has the words of the kind without underscores."""
    assert told == counted(number, kind)
