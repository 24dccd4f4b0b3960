"""A sweep on Ray while something is killed, stopped or damaged at random every few seconds.

Everything random comes of one seed, which is said first; the moments at which the machine gets to
each step do not repeat, so a seed repeats the deeds and their order, not the run to the microsecond.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from chaos_processes import (
    PROGRAM,
    busy_workers,
    kill_family,
    raylets,
    said,
    send,
    start,
    title,
)
from chaos_store import Watcher, damage_record, record_files
from ray_machines import HANGS_SECONDS

SWEEP = """
name: disturbed
store: store
networks:
  - dataset: digits
    architecture: {{name: mlp, width: [4, 8, 16, 32], depth: [1, 2]}}
    training: {{max_epochs: 30}}
    seeds: {seeds}
barriers:
  alignments:
    - {{method: identity}}
    - {{method: weight_matching}}
    - {{method: simulated_annealing, steps: 800}}
  interpolation: {{alphas: 5}}
execution: {{max_stack_bytes: 2e6}}
"""
BROKEN = 3  # the exit code of a program that failed itself
CLEAN_EXITS = {"status": {0}, "query": {0}, "verify": {0, 1}, "compact": {0}}


class Chaos:
    """One run of a sweep in a folder, disturbed."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.folder, self.store = folder, folder / "store"
        self._chance = chance
        self._beside = folder / "beside"
        self._beside.mkdir()
        self.watcher = Watcher(self.store)
        self.deeds: list[str] = []
        self.complaints: list[str] = []
        self.damaged = False
        self._driver: subprocess.Popen[bytes] | None = None
        self._lost_its_cluster = False
        self._paused: list[tuple[float, psutil.Process]] = []
        self._compactions: list[subprocess.Popen[bytes]] = []
        self._deck: list[Callable[[], str]] = []

    def disturb(self, seconds: float) -> float:
        """Runs the sweep and, once it has a first result, does something to it every few seconds.

        Returns:
            The seconds from the first result until the sweep was complete, or until ``seconds`` were over and
            enough was done to it.
        """
        began, next_deed = None, 0.0
        while not self._is_complete():
            now = time.monotonic()
            self._resume(now)
            if began is None and record_files(self.store):
                began = now
            if began is not None and now - began > seconds and len(self.deeds) > seconds / 20:
                break
            if began is not None and now >= next_deed:
                self._do_something()
                next_deed = time.monotonic() + self._chance.uniform(1.0, 4.0)
            time.sleep(0.1)
        return time.monotonic() - began if began else 0.0

    def settle(self) -> int:
        """Leaves the run in peace: the same command until all is there; how often it was given."""
        self._resume(float("inf"))
        for compaction in self._compactions:
            compaction.wait(HANGS_SECONDS)
        for attempt in range(1, 9):
            before = len(said(self.folder))
            asked = self._driver is None
            if self._driver is None:
                self._driver = start(self.folder, "run", "sweep.yaml")
            code = self._driver.wait(HANGS_SECONDS)
            self._driver = None
            if asked and code == 0 and "Everything is there" in said(self.folder)[before:]:
                return attempt
        self.complaints.append(f"the same command again and again does not end: {said(self.folder)[-500:]}")
        return attempt

    def beside(self, *arguments: str) -> int:
        """Exit code of a command that looks at the store or works on it, beside whatever runs."""
        done = subprocess.run(
            [PROGRAM, *arguments],
            cwd=self._beside,
            capture_output=True,
            text=True,
            timeout=HANGS_SECONDS,
        )
        if done.returncode not in CLEAN_EXITS[arguments[0]]:
            self.complaints.append(f"{arguments} ended with {done.returncode}: {done.stderr[-500:]}")
        return done.returncode

    def _is_complete(self) -> bool:
        """Whether the driver has ended well; starts it where there is none, and again where it was killed."""
        if self._driver is None:
            self._driver = start(self.folder, "run", "sweep.yaml")
        code = self._driver.poll()
        if code is None:
            return False
        self._driver = None
        if code == BROKEN and not self._lost_its_cluster:
            self.complaints.append(f"the driver failed: {said(self.folder)[-500:]}")
        self._lost_its_cluster = False
        self._note(f"the driver ended with {code}")
        return code == 0

    def _do_something(self) -> None:
        """The next deed of a shuffled deck, so that each has its turn."""
        if not self._deck:
            self._deck = [
                *(2 * [self._kill_worker]),
                self._pause_worker,
                self._kill_raylet,
                self._kill_driver,
                self._kill_everything,
                self._compact,
                self._kill_compaction,
                self._damage,
                self._look,
                self._verify,
                self._second_driver,
            ]
            self._chance.shuffle(self._deck)
        self._note(self._deck.pop()())

    def _note(self, deed: str) -> None:
        self.deeds.append(deed)
        sys.stdout.write(f"{time.strftime('%H:%M:%S')} {deed}\n")
        sys.stdout.flush()

    def _busy_worker(self) -> psutil.Process | None:
        """Some worker at work; waits a while for one."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and not (found := busy_workers(self.folder)):
            time.sleep(0.1)
        return self._chance.choice(found) if found else None

    def _kill_worker(self) -> str:
        worker = self._busy_worker()
        if worker is None:
            return "no worker to kill"
        what = title(worker)
        send(worker, signal.SIGKILL)
        return f"killed {what}"

    def _pause_worker(self) -> str:
        worker = self._busy_worker()
        if worker is None:
            return "no worker to stop"
        seconds = self._chance.uniform(1, 6)
        send(worker, signal.SIGSTOP)
        self._paused.append((time.monotonic() + seconds, worker))
        return f"stopped {title(worker)} for {seconds:.1f} s"

    def _resume(self, now: float) -> None:
        for until, worker in list(self._paused):
            if until <= now:
                send(worker, signal.SIGCONT)
                self._paused.remove((until, worker))

    def _kill_raylet(self) -> str:
        found = raylets(self.folder)
        for raylet in found:
            send(raylet, signal.SIGKILL)
        self._lost_its_cluster |= bool(found)
        return f"killed {len(found)} raylets"

    def _kill_driver(self) -> str:
        if self._driver is not None:
            self._driver.kill()
        return "killed the driver"

    def _kill_everything(self) -> str:
        return f"killed {kill_family(self.folder)} processes at once"

    def _compact(self) -> str:
        self._compactions.append(
            subprocess.Popen(
                [PROGRAM, "compact", str(self.store)],
                cwd=self._beside,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )
        return "started a compaction"

    def _kill_compaction(self) -> str:
        self._compact()
        time.sleep(self._chance.uniform(0.5, 4.0))
        self._compactions.pop().kill()
        return "killed a compaction"

    def _damage(self) -> str:
        self.damaged = True
        return damage_record(self.store, self._chance, self.watcher)

    def _look(self) -> str:
        self.beside("status", str(self.store), "--json")
        self.beside("query", str(self.store), "SELECT count(*) FROM barriers")
        return "asked for status and a query"

    def _verify(self) -> str:
        return f"verified, with exit code {self.beside('verify', str(self.store))}"

    def _second_driver(self) -> str:
        second = start(self.folder, "run", "sweep.yaml", "--inline")
        time.sleep(self._chance.uniform(2.0, 6.0))
        second.kill()
        return "let a second driver join for a while, and killed it"
