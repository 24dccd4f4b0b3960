"""The tests as three runs of pytest at the same time: those that wait for something broken, those on Ray and
the unit tests, and the rest.

The first mostly waits, so that three lanes fill two cores.

``python tests/lanes.py [ARGUMENTS OF PYTEST]`` ends with 0 where all lanes did. What the rest says is shown
as it comes, what the others say once all are over; until then it stands in files that are named first.
Ctrl-C is passed on to all, so that each still takes down what it had started.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

WAITING = "ray or (fault and slow)"
LANES = {
    "waiting": f"fault and ({WAITING})",
    "unit": f"(ray and not fault) or (unit and not ({WAITING}))",
    "rest": f"not unit and not ({WAITING})",
}
"""Which marks each lane takes: every test runs exactly once.

``conftest.py`` marks all that lies in ``tests/unit`` with ``unit``.
"""
SHOWN = "rest"
HERE = Path(__file__).parent
PASSED, NO_TESTS = 0, 5
"""Exit codes of pytest."""


def main(arguments: Sequence[str]) -> int:
    """The exit code of all lanes together; 128 and the signal's number where one ended them."""
    if any(argument.startswith("-m") for argument in arguments):
        say("-m: the lanes choose by marks themselves. Run pytest itself for a choice of your own.\n")
        return 2
    with tempfile.TemporaryDirectory(prefix="lmc-lanes-") as folder:
        return run(arguments, Path(folder))


def run(arguments: Sequence[str], folder: Path) -> int:
    """As ``main``; what is not shown at once goes to files in the folder."""
    lanes: dict[str, subprocess.Popen[bytes]] = {}
    caught: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        caught.append(number)
        interrupt(lanes)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    began = time.monotonic()
    for name in LANES:
        lanes[name] = start(name, arguments, folder)
        if name != SHOWN:
            say(f"The lane {name!r} ({LANES[name]}) writes to {written(folder, name)}\n")
    if caught:  # before the last had started
        interrupt(lanes)
    ended = wait(lanes, folder, began)
    for name in LANES:
        if name != SHOWN:
            say(f"\nThe lane {name!r} ({LANES[name]}):\n")
            with written(folder, name).open(errors="replace") as told:
                shutil.copyfileobj(told, sys.stdout)
    say("".join(f"{line}\n" for line in ended.values()))
    return 128 + caught[0] if caught else exit_code({name: lane.returncode for name, lane in lanes.items()})


def start(name: str, arguments: Sequence[str], folder: Path) -> subprocess.Popen[bytes]:
    """One lane, in a process group of its own: a terminal's Ctrl-C reaches it through us alone, once."""
    ignored = [f"--ignore={path}" for path in without_tests_of(name)]
    command = [sys.executable, "-m", "pytest", *arguments, *ignored, "-m", LANES[name]]
    if name == SHOWN:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    with written(folder, name).open("wb") as told:
        return subprocess.Popen(
            [*command, "-p", "no:cacheprovider"],  # one lane may write the cache
            stdin=subprocess.DEVNULL,
            stdout=told,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def without_tests_of(name: str) -> list[Path]:
    """Folders and files of ours that need not be read for a lane, which takes seconds and memory.

    Only files that do not so much as name its marks: the marks themselves decide.
    """
    if name == "rest":
        return [HERE / "unit"]
    words = {path: set(re.findall(r"\w+", path.read_text())) for path in HERE.rglob("test_*.py")}
    if name == "unit":
        return [path for path, said in words.items() if "ray" not in said and path.parent != HERE / "unit"]
    return [path for path, said in words.items() if "fault" not in said or said.isdisjoint({"ray", "slow"})]


def wait(lanes: Mapping[str, subprocess.Popen[bytes]], folder: Path, began: float) -> dict[str, str]:
    """What to say of each lane once all are over; each is said when it ends, too."""
    ended: dict[str, str] = {}
    while len(ended) < len(lanes):
        for name, lane in lanes.items():
            if name not in ended and lane.poll() is not None:
                ended[name] = (
                    f"The lane {name!r} ended with {lane.returncode} after {time.monotonic() - began:.0f} s"
                )
                say(f"\n{ended[name]}\n")
        time.sleep(0.1)
    return ended


def interrupt(lanes: Mapping[str, subprocess.Popen[bytes]]) -> None:
    """Ctrl-C to every lane that still runs."""
    for lane in lanes.values():
        lane.send_signal(signal.SIGINT)  # nothing where it is over


def exit_code(codes: Mapping[str, int]) -> int:
    """0 where every lane passed, or had no tests while another passed; else 1."""
    passed = {PASSED, NO_TESTS} >= set(codes.values()) and PASSED in codes.values()
    return 0 if passed else 1


def written(folder: Path, name: str) -> Path:
    """The file that a lane writes to."""
    return folder / f"{name}.txt"


def say(text: str) -> None:
    """Writes it out at once."""
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
