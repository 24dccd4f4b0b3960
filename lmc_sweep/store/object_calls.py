"""Calls of the client library: Ctrl-C ends them, errors are OSErrors, and after a fork they are refused."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from typing import TypeVar

from lmc_sweep.store.object_errors import ObjectError, translated
from lmc_sweep.store.object_uris import ObjectUri

T = TypeVar("T")

_runs_in = 0  # the process in which the client library has its threads


def asked(action: Callable[[], T], uri: ObjectUri, path: str) -> T:
    """What a call returns; FileNotFoundError where an object is missing, else ObjectError.

    Args:
        path: The object that the call is about, for what is told of errors.
    """
    from obstore.exceptions import BaseError

    _require_own_process(uri)
    try:
        return _interruptibly(action)
    except (BaseError, FileNotFoundError, ValueError) as error:
        raise translated(error, uri, path) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of the client library, and no Exception
            raise
        raise ObjectError(
            errno.EINVAL,
            "the client library broke",
            f"{uri}/{path}",
            "Check the variables of the service: docs/object-storage.md names them",
        ) from error


def _interruptibly(action: Callable[[], T]) -> T:
    """What an action returns that keeps the interpreter waiting: Ctrl-C and other signals end the wait.

    The client library looks at no signals. So the main thread, which alone gets them, lets another one ask.
    """
    if threading.current_thread() is not threading.main_thread():
        return action()
    done: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(action())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="object storage", daemon=True)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return done[0]


def _require_own_process(uri: ObjectUri) -> None:
    """Raises ObjectError in a process that was forked off one that used object storage: it would hang."""
    global _runs_in
    _runs_in = _runs_in or os.getpid()
    if _runs_in != os.getpid():
        raise ObjectError(
            errno.EINVAL,
            "object storage was in use when this process was forked",
            str(uri),
            "Start processes by spawn, or use the store in them alone",
        )
