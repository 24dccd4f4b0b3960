"""Deaths at the moment when results are committed: who dies, before or after rows of which table.

A death is a file ``MOMENT TABLE VICTIM`` in the folder ``deaths`` of the working directory: ``before`` or
``after``; ``self``, ``driver`` or ``machine``. Who removes the file brings it about, so each comes once.

``python deadly_commits.py ADDRESS`` runs ``sweep.yaml`` on a Ray cluster whose workers die so; without an
address, in this process.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

DEATHS = Path("deaths")
DRIVER = Path("driver.pid")


def arrange(folder: Path, *deaths: str) -> None:
    """Puts deaths into a folder in which a driver is to work."""
    (folder / DEATHS).mkdir(exist_ok=True)
    for death in deaths:
        (folder / DEATHS / death).touch()


def pending(folder: Path) -> list[str]:
    """Deaths that have not come yet."""
    return sorted(path.name for path in (folder / DEATHS).iterdir())


@functools.cache
def make_commits_deadly(folder: str) -> None:
    """From now on commits of this process bring about the deaths of a folder."""
    from lmc_sweep.store.store import Store

    commit = Store.commit

    def dies(self: Store, table: str, rows: Sequence[dict[str, Any]]) -> Any:
        _meet(Path(folder), f"before {table}")
        written = commit(self, table, rows)
        _meet(Path(folder), f"after {table}")
        return written

    Store.commit = dies  # type: ignore[method-assign]


def _meet(folder: Path, moment: str) -> None:
    """Kills who is to die at this moment."""
    for death in (folder / DEATHS).glob(f"{moment} *"):
        try:
            death.unlink()
        except FileNotFoundError:  # another process was quicker
            continue
        victim = death.name.split()[-1]
        if victim == "driver":
            os.kill(int((folder / DRIVER).read_text()), signal.SIGKILL)
        elif victim == "machine":
            os.kill(int(os.environ["RAY_RAYLET_PID"]), signal.SIGKILL)
            time.sleep(60)  # this process ends with its raylet
        else:
            os.kill(os.getpid(), signal.SIGKILL)


def main(address: str | None) -> int:
    """Exit code of a run of ``sweep.yaml``."""
    from lmc_sweep.execution import ray_functions
    from lmc_sweep.execution.run import run

    folder, here = str(Path.cwd()), str(Path(__file__).parent)
    DRIVER.write_text(str(os.getpid()))
    if address is None:
        make_commits_deadly(folder)
        return run("sweep.yaml", inline=True).exit_code

    def deadly(number: int, generation: int) -> Any:
        def body(task: Any) -> Any:
            import sys

            if here not in sys.path:
                sys.path.insert(0, here)
            import deadly_commits

            deadly_commits.make_commits_deadly(folder)
            from lmc_sweep.execution.ray_worker import execute_on_ray

            return execute_on_ray(task)

        body.__name__ = body.__qualname__ = f"attempt_{number}_{generation}"
        return body

    ray_functions.attempt_function = deadly
    return run("sweep.yaml", address=address).exit_code


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1] if len(sys.argv) > 1 else None))
