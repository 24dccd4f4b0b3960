"""What a worker leaves in its log, which Ray keeps and its dashboard shows: one line of JSON when a batch
begins, and one when it ends. A person's terminal gets none of it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

from lmc_sweep.execution.executor import Lost
from lmc_sweep.execution.task import Receipt, Task

SHOWN_ITEMS = 20
"""Ids that a line names; a batch may hold thousands."""


def begun(task: Task, device: str, node: str) -> None:
    """Says which items this process now computes, where."""
    _write("begun", task, device=device, node=node)


def ended(task: Task, outcome: Receipt | Lost, seconds: float) -> None:
    """Says what became of them."""
    if isinstance(outcome, Lost):
        _write("ended", task, seconds=round(seconds, 3), lost=outcome.cause)
        return
    failures = [
        {"cause": one.cause, "error_type": one.error_type, "items": list(one.item_ids[:SHOWN_ITEMS])}
        for one in outcome.failures
    ]
    done = {"num_done": len(outcome.done), "num_held": outcome.num_held}
    _write("ended", task, seconds=round(seconds, 3), **done, failures=failures)


def _write(event: str, task: Task, **told: Any) -> None:
    """A line on standard error, which is Ray's file of this process; a log that is full ends no batch."""
    line = {
        "event": event,
        "time": round(time.time(), 3),
        "pid": os.getpid(),
        "sweep": task.sweep,
        "run": task.run_id,
        "kind": task.kind,
        "batch": task.key,
        "num_items": len(task.items),
        "items": [item.id for item in task.items[:SHOWN_ITEMS]],
        **told,
    }
    try:
        sys.stderr.write(f"lmc_sweep {json.dumps(line)}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        return
