"""The same for many things at once, each of which waits for a network and not for this machine."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable

_THREADS = 16


def at_once(action: Callable[[str], object], paths: Iterable[str]) -> None:
    """Does the same for several paths, many at a time; the first error is raised, and nothing begun after it.

    Ctrl-C is raised at once: the threads are no reason for the process to stay, and what they wait for may
    not answer for long.
    """
    left = deque(paths)
    if len(left) < 2:
        for path in left:
            action(path)
        return
    failed: list[BaseException] = []

    def work() -> None:
        while not failed:
            try:
                path = left.popleft()
            except IndexError:
                return
            try:
                action(path)
            except BaseException as error:
                failed.append(error)

    count = min(_THREADS, len(left))
    threads = [threading.Thread(target=work, name="object storage", daemon=True) for _ in range(count)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    except BaseException:
        left.clear()
        raise
    if failed:
        raise failed[0]
