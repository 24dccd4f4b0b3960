"""Whatever becomes of attempts, in whatever order: a run ends, and every item once."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from lmc_sweep.execution.causes import CAUSES
from lmc_sweep.execution.executor import Attempt, Lost
from lmc_sweep.execution.progress import StopRequest
from lmc_sweep.execution.task import ItemFailure, Receipt, Task
from lmc_sweep.store.store import Store
from tests.support.pretended import Answer, PretendedExecutor, all_settled, pretended_run

ITEM_CAUSES = sorted(set(CAUSES) - {"version"})
OUTCOMES = st.one_of(
    st.tuples(st.just("lost"), st.sampled_from([*sorted(CAUSES), "cancelled", "unheard of"]), st.just(0)),
    st.tuples(st.just("failed"), st.sampled_from(ITEM_CAUSES), st.integers(1, 2**12 - 1)),
    st.tuples(st.sampled_from(["hangs", "never begins", "ends late"]), st.just(""), st.just(0)),
    st.tuples(st.just("done"), st.just(""), st.integers(0, 200)),
)


class Scripted:
    """Answers attempts one after another from a list; what comes after its end is done."""

    def __init__(self, script: list[tuple[str, str, int]]) -> None:
        self._script = iter(script)
        self.executor: PretendedExecutor | None = None

    def __call__(self, task: Task, attempt: Attempt) -> Answer:
        assert self.executor is not None
        what, cause, number = next(self._script, ("done", "", 1))
        ids = tuple(item.id for item in task.items)
        whole = Receipt(ids, seconds=float(number))
        if what == "lost":
            return 1.0, Lost(cause if cause != "version" else "worker_died", "GoneError", "gone")
        if what == "failed":
            bad = [item_id for bit, item_id in enumerate(ids) if number >> (bit % 12) & 1]
            failures = tuple(ItemFailure(task.kind, (one,), "BadError", "bad", cause=cause) for one in bad)
            return 2.0, Receipt(tuple(one for one in ids if one not in bad), failures, 2.0)
        if what == "done":
            return 0.5, whole
        if what == "never begins":
            self.executor.never_started.add(task.key)
        if what == "ends late":
            self.executor.complete_later(task.key, 400.0, whole)
        return None


@settings(max_examples=25, deadline=None)
@given(
    script=st.lists(OUTCOMES, max_size=40),
    slots=st.integers(1, 5),
    ends_when_asked=st.booleans(),
)
def test_any_sequence_of_outcomes_ends_with_every_item_done_failed_or_blocked_once(
    script: list[tuple[str, str, int]], slots: int, ends_when_asked: bool
) -> None:
    """Sums are exact for each kind; what failed is in the store once, and nothing is in flight."""
    answer = Scripted(script)
    executor = answer.executor = PretendedExecutor(answer, slots=slots)
    executor.ends_when_asked, executor.slowest_wait = ends_when_asked, 5.0
    stop = StopRequest()
    with tempfile.TemporaryDirectory() as folder:
        run = pretended_run(Path(folder), executor, stop=stop, patience_seconds=1e9)
        run.run()
        assert all_settled(run)
        assert (None, 0) == (stop.reason, run.progress().running)
        failed = [
            item_id
            for (ids,) in Store(Path(folder) / "s").failures().project("item_ids").fetchall()
            for item_id in ids
        ]
    assert len(failed) == len(set(failed))
    assert sum(k.failed for k in run.progress().kinds.values()) == len(failed)
    for _, task, attempt in executor.submitted:
        assert task.key.endswith(f"-{attempt.number}")
    assert len(executor.submitted) == len({task.key for _, task, _ in executor.submitted})
