"""``python held_run.py ARGUMENTS``: ``lmc-sweep``, whose batches on Ray a test holds as long as it wants.

A worker that has begun a batch of networks waits while there is a file ``hold-network`` in the folder of the
driver, and so for the other kinds: however slow the machine, a test finds it at its work. The first that is
about to give a record of barriers its name, with the bytes written, dies where there is a file
``die-at-the-name``. With ``--defiant`` first, the second Ctrl-C does not end what waits, nor the run: only a
third does.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

HOLD = "hold-{kind}"
DIE = "die-at-the-name"


def hold(folder: Path, *kinds: str) -> None:
    """Lets batches of these kinds begin, and wait."""
    for kind in kinds:
        (folder / HOLD.format(kind=kind)).touch()


def release(folder: Path, *kinds: str) -> None:
    """Lets batches of these kinds go on."""
    for kind in kinds:
        (folder / HOLD.format(kind=kind)).unlink()


def attempt_function(number: int, generation: int) -> Callable[[Any], Any]:
    """As ``ray_worker.attempt_function``; all that it needs goes with it to the workers."""

    def body(task: Any) -> Any:
        import os
        import signal
        import time
        from pathlib import Path

        from lmc_sweep.execution import ray_worker

        folder, execute, link = Path(task.import_path), ray_worker.execute, os.link

        def held(running: Any) -> Any:
            while (folder / f"hold-{running.kind}").exists():
                time.sleep(0.02)
            return execute(running)

        def deadly(source: Any, target: Any, **options: Any) -> None:
            if "/records/barriers/" in str(target):
                try:
                    (folder / "die-at-the-name").unlink()
                except FileNotFoundError:
                    pass
                else:
                    os.kill(os.getpid(), signal.SIGKILL)
            link(source, target, **options)

        ray_worker.execute, os.link = held, deadly  # type: ignore[assignment]
        try:
            return ray_worker.execute_on_ray(task)
        finally:
            ray_worker.execute, os.link = execute, link

    body.__name__ = body.__qualname__ = f"attempt_{number}_{generation}"
    return body


def main() -> None:
    """The command line, with attempts that wait."""
    from lmc_sweep.cli import main as command_line
    from lmc_sweep.execution import driver, ray_executor, ray_functions, ray_probe

    ray_functions.attempt_function = attempt_function
    ray_probe.ANSWER_SECONDS = 600.0  # a machine with much to do is no broken one
    if sys.argv[1:2] == ["--defiant"]:
        del sys.argv[1]
        driver.CANCEL_FORCE_SECONDS = driver.CANCEL_FORGET_SECONDS = 1e9
        ray_executor.RayExecutor.cancel = lambda *_, **__: None  # type: ignore[method-assign, assignment]
    command_line()


if __name__ == "__main__":
    main()
