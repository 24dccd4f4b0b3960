"""The status of sweeps: counts from the store alone; the advice of runs only adds to them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from store_rows import row

from lmc_sweep.analysis.failures import held_items, open_failures
from lmc_sweep.analysis.heartbeats import UNDECIDED_SECONDS, Heartbeats
from lmc_sweep.analysis.item_counts import KindStatus
from lmc_sweep.analysis.progress import sweep_status
from lmc_sweep.analysis.run_advice import SILENT_SECONDS, RunAdvice, read_advice
from lmc_sweep.execution.release import release
from lmc_sweep.store import query
from lmc_sweep.store.compaction import compact
from lmc_sweep.store.store import Store

RUN, OTHER = "a" * 32, "b" * 32
NOW = 1_800_000_000.0


def failure(
    *item_ids: str, cause: str | None = "user_error", kind: str = "barrier", **values: Any
) -> dict[str, Any]:
    """A row of ``failures`` of sweep s."""
    told = {"error_type": "ValueError", "message": "bad\nworse", "traceback": "", "attempts": 1, "sweep": "s"}
    return {**told, "kind": kind, "item_ids": list(item_ids), "cause": cause, **values}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Sweep s asks for network n and barriers a to e; n, a and b are there, c failed, d failed otherwise."""
    store = Store.create(tmp_path / "store")
    items = [("network", "n"), *(("barrier", name) for name in "abcde")]
    store.record_sweep("s", "name: s\n", items)
    weights = store.write_tensors("networks", {"w": _tensor()})
    store.commit("networks", [row("networks", "n", checkpoint=weights, row=0)])
    store.commit("barriers", [row("barriers", "a"), row("barriers", "b"), row("barriers", "z")])
    store.commit(
        "failures", [failure("c"), failure("d", cause="deadline", error_type="Deadline", attempts=4)]
    )
    return store


def _tensor() -> Any:
    import torch

    return torch.ones(1, 2)


def tell(store: Store, run_id: str = RUN, **advice: Any) -> None:
    """Leaves advice of a run of sweep s."""
    store.write_progress("s", run_id, {"state": "running", "updated_at": NOW, "beat": 1, **advice})


def test_counts_come_from_the_store(store: Store) -> None:
    """Done and failed items are those that the store holds; results that nobody asks for are not counted."""
    status = sweep_status(store, "s", now=NOW)
    assert KindStatus(total=1, done=1) == status.kinds["network"]
    assert KindStatus(total=5, done=2, failed=2, held=1) == status.kinds["barrier"]
    assert ("not running", ()) == (status.state, status.runs)


def test_advice_never_changes_counts(store: Store) -> None:
    """A run that says that all is done, failed or more changes neither counts nor completeness."""
    told = {"done": 5, "failed": 0, "total": 5, "blocked": 99, "rate_per_second": 2.5}
    tell(store, kinds={"barrier": told}, state="finished")
    status = sweep_status(store, "s", now=NOW)
    assert KindStatus(total=5, done=2, failed=2, blocked=1, held=1) == status.kinds["barrier"]
    assert "not running" == status.state


@pytest.mark.parametrize(
    "damaged",
    [
        {"kinds": []},
        {"kinds": {"barrier": 3}},
        {"kinds": {"barrier": {"blocked": "many", "rate_per_second": float("nan")}}},
        {"running": {"key": 1}},
        {"running": [3, None, {"kind": 7, "seconds": "x", "what": ["y"]}]},
        {"updated_at": "yesterday"},
        {"eta_seconds": -1, "eta_low_seconds": True},
        {"beat": 1e400},
        {"beat": 10**400},
        {"updated_at": 10**400},
        {"updated_at": float("nan")},
        {"state": 3},
        {"executor": {}, "stop_reason": 5},
    ],
)
def test_damaged_advice_is_left_out(store: Store, damaged: dict[str, Any]) -> None:
    """Advice of other types than a run writes crashes nothing and changes no count."""
    tell(store, **damaged)
    status = sweep_status(store, "s", now=NOW)
    assert (5, 2, 2) == (
        status.kinds["barrier"].total,
        status.kinds["barrier"].done,
        status.kinds["barrier"].failed,
    )
    json.dumps(status.as_json("store"), allow_nan=False)


@pytest.mark.parametrize("content", [b"[" * 200_000, b"", b"\xff", b"3"])
def test_advice_that_is_no_advice_is_left_out(store: Store, content: bytes) -> None:
    """Whatever stands in the file of a run's advice, the status is told."""
    tell(store)
    (store.path / "sweeps" / "s" / "runs" / RUN / "progress.json").write_bytes(content)
    assert () == sweep_status(store, "s", now=NOW).runs


def test_a_sweep_whose_plan_is_lost_is_not_complete(store: Store) -> None:
    """Without a record of its items, because that is damaged or was never written, a sweep is not done."""
    for file in (store.path / "records" / "sweep_items").iterdir():
        file.write_bytes(file.read_bytes()[:50])
    status = sweep_status(store, "s", now=NOW)
    assert ("not running", False) == (status.state, status.is_complete)
    assert KindStatus() == status.kinds["barrier"]


def test_a_status_beside_compaction_looks_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that are compacted and deleted between any look and its answer cost a status nothing."""
    expected = sweep_status(store, "s", now=NOW)
    guarded, moved = query.guarded, []

    def crossed(connection: Any, text: str) -> Any:
        relation = guarded(connection, text)
        if text not in moved:
            moved.append(text)
            other = Store(store.path)
            for name in ("failures", "barriers", "sweep_items", "attempts"):
                _commit_and_compact(other, name)
        return relation

    monkeypatch.setattr(query, "guarded", crossed)
    assert expected.kinds == sweep_status(store, "s", now=NOW).kinds
    assert len(moved) > 3


def _commit_and_compact(store: Store, name: str) -> None:
    """Moves all rows of a table to a new file; the row that is added is nobody's."""
    added = row(name, f"added-{name}", **({"item_ids": ["nobody"]} if name == "failures" else {}))
    store.commit(name, [{**added, "created_at": datetime(2001, 1, 1, tzinfo=UTC)}])
    compact(store, grace_seconds=0)


@pytest.mark.parametrize(
    ("shift", "state"), [(2, "running"), (-20, "running"), (40, "not running"), (-40, "not running")]
)
def test_a_run_is_alive_while_it_is_heard_of(store: Store, shift: float, state: str) -> None:
    """Only a run that was heard of lately counts; a clock that is ahead does not hurt."""
    tell(store, updated_at=NOW - shift)
    assert state == sweep_status(store, "s", now=NOW).state


def test_a_run_that_was_asked_to_stop_is_stopping(store: Store) -> None:
    """The wish alone shows, before the run has taken it in; another run at work keeps the sweep running."""
    tell(store)
    store.request_cancel("s", RUN)
    assert "stopping" == sweep_status(store, "s", now=NOW).state
    tell(store, OTHER)
    status = sweep_status(store, "s", now=NOW)
    assert ("running", {RUN, OTHER}, {RUN}) == (status.state, set(status.alive), status.cancelled)


def test_rates_of_runs_at_work_add_up(store: Store) -> None:
    """Two runs at once work twice as fast; one that is gone adds nothing."""
    for run_id, rate, updated in ((RUN, 1.5, NOW), (OTHER, 2.0, NOW), ("c" * 32, 8.0, NOW - 100)):
        tell(store, run_id, updated_at=updated, kinds={"barrier": {"rate_per_second": rate}})
    assert 3.5 == sweep_status(store, "s", now=NOW).kinds["barrier"].rate_per_second


def test_failures_are_grouped_by_cause(store: Store) -> None:
    """A group names its kind, class, first line, items, attempts, and a command that repeats one of them."""
    store.commit("failures", [failure("e"), failure("e", message="bad\nother")])
    told = [group.as_json("runs/s") for group in sweep_status(store, "s", now=NOW).failures]
    assert [("user_error", 2, 2, 1), ("deadline", 1, 0, 4)] == [
        (entry["cause"], entry["num_items"], entry["num_held"], entry["attempts"]) for entry in told
    ]
    assert ("bad", "lmc-sweep repro runs/s c --user-code") == (told[0]["message"], told[0]["reproduce"])


def test_failures_of_another_sweep_count_where_it_asks_for_the_item(store: Store) -> None:
    """An item that failed in one sweep has failed for every sweep that asks for it."""
    store.record_sweep("t", "name: t\n", [("barrier", "c"), ("barrier", "y")])
    assert KindStatus(total=2, failed=1, held=1) == sweep_status(store, "t", now=NOW).kinds["barrier"]


def test_a_result_ends_a_failure(store: Store) -> None:
    """An item that has a result by now has not failed."""
    store.commit("barriers", [row("barriers", "c")])
    assert (3, 1, 0) == (
        (kind := sweep_status(store, "s", now=NOW).kinds["barrier"]).done,
        kind.failed,
        kind.held,
    )


def test_lost_attempts_are_counted_by_cause(store: Store) -> None:
    """The table of attempts tells what was lost, over all runs of the sweep."""
    store.commit("attempts", [row("attempts", f"t{k}", sweep="s", cause="node_lost") for k in range(2)])
    store.commit("attempts", [row("attempts", "t9", sweep="other", cause="deadline")])
    assert {"node_lost": 2} == sweep_status(store, "s", now=NOW).attempts


def test_a_release_lets_go_what_is_held(store: Store) -> None:
    """Releasing names what it released, once; failures that are tried again anyway are left alone."""
    assert {"barrier": {"c"}} == held_items(open_failures(store, "s"))
    assert [("c",)] == [one.item_ids for one in release(store, "s")]
    assert [] == release(store, "s")
    assert {} == held_items(open_failures(store, "s"))


def test_a_released_item_that_fails_again_is_held_again(store: Store) -> None:
    """A release belongs to one failure: the next failure of the item holds it back anew."""
    release(store, None, ["c"])
    store.commit("failures", [failure("c")])
    assert {"barrier": {"c"}} == held_items(open_failures(store, "s"))
    assert 1 == len(release(store))


def test_only_what_is_named_is_released(store: Store) -> None:
    """An id chooses failures; an item with a result, or a failure that is not held, is no error."""
    store.commit("failures", [failure("e")])
    assert [] == release(store, "s", ["d"])
    assert [] == release(store, "s", ["a"])
    assert [("e",)] == [one.item_ids for one in release(store, "s", ["e"])]
    with pytest.raises(ValueError, match="is of item 'nothing', or has that id"):
        release(store, "s", ["nothing"])
    with pytest.raises(ValueError, match="at least 4 characters"):
        release(store, "s", ["not"])


def test_released_failures_are_told_until_a_run_tries_them(store: Store) -> None:
    """A group counts what was released; a new failure of the same item ends that."""

    def told() -> tuple[int, int]:
        (group,) = (one for one in sweep_status(store, "s", now=NOW).failures if one.cause == "user_error")
        return group.num_held, group.num_released

    assert (1, 0) == told()
    release(store, None, ["c"])
    assert (0, 1) == told()
    store.commit("failures", [failure("c")])
    assert (1, 0) == told()


def test_failures_without_a_class_are_tried_again(store: Store) -> None:
    """Failures from before classes were recorded hold nothing back."""
    store.commit("failures", [failure("e", cause=None)])
    assert {"barrier": {"c"}} == held_items(open_failures(store, "s"))


def run(beat: int | None = 1, updated_at: float | None = NOW, state: str = "running") -> list[RunAdvice]:
    """A run as it shows itself at one look."""
    return [read_advice({"run_id": RUN, "state": state, "beat": beat, "updated_at": updated_at})]


def test_a_heartbeat_that_changes_is_life_whatever_the_clocks_say() -> None:
    """A run whose clock is a day off is undecided at first, and alive from its second heartbeat on."""
    beats = Heartbeats()
    beats.look(run(1, NOW - 86400), NOW, 0.0)
    assert ({}, {RUN}) == (beats.alive, beats.undecided)
    beats.look(run(2, NOW - 86398), NOW + 2, 2.0)
    assert ({RUN: 0.0}, set()) == (beats.alive, beats.undecided)


def test_a_heartbeat_that_stands_still_is_death() -> None:
    """A run that is heard of at first and then no more is gone after the time that silence takes."""
    beats = Heartbeats()
    for instant in (0.0, 10.0, SILENT_SECONDS - 1):
        beats.look(run(), NOW + instant, instant)
        assert {RUN: instant} == beats.alive
    beats.look(run(), NOW, SILENT_SECONDS + 1)
    assert ({}, set()) == (beats.alive, beats.undecided)


def test_a_run_that_died_long_ago_is_not_waited_for_long() -> None:
    """Undecided runs that show no second heartbeat are given up soon; a run that ended is none at once."""
    beats = Heartbeats()
    beats.look(run(1, NOW - 3600), NOW, 0.0)
    beats.look(run(1, NOW - 3600), NOW, UNDECIDED_SECONDS + 1)
    assert ({}, set()) == (beats.alive, beats.undecided)
    beats.look(run(2, NOW, "stopped"), NOW, UNDECIDED_SECONDS + 2)
    assert ({}, set()) == (beats.alive, beats.undecided)


def test_a_run_without_workers_may_be_silent_longer(store: Store) -> None:
    """A run in one process says nothing while a batch runs: it is not taken for gone at once."""
    tell(store, updated_at=NOW - 100, executor="inline, in this process")
    assert "running" == sweep_status(store, "s", now=NOW).state
    tell(store, updated_at=NOW - 400, executor="inline, in this process")
    assert "not running" == sweep_status(store, "s", now=NOW).state


def test_folders_of_others_are_no_sweeps_and_no_runs(store: Store) -> None:
    """Folders with names that no sweep or run can have are left out, and hinder nothing."""
    for folder in ("sweeps/my sweep", "sweeps/s/runs/my run"):
        (store.path / folder).mkdir(parents=True)
        (store.path / folder / "sweep.yaml").write_text("name: x\n")
        (store.path / folder / "progress.json").write_text("{}")
    assert (["s"], []) == (store.sweeps(), store.read_runs("s"))
