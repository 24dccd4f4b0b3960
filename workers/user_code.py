"""Names of the user's own code: ``pkg.module:function``, imported only where it is to be run."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import inspect
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def is_name(text: str) -> bool:
    """Whether a text has the form ``pkg.module:function``."""
    return NAME.fullmatch(text) is not None


def resolve(name: str) -> Callable[..., Any]:
    """The function that a name stands for. Importing its module runs code of the user's.

    Raises:
        ValueError: If the text is no such name, or the module, or the function in it, is not there.
    """
    if not is_name(name):
        raise ValueError(f"{name!r} is not of the form pkg.module:function")
    module_name, _, function_name = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # whatever the user's module does when it is imported
        raise ValueError(f"{name}: cannot import {module_name}: {type(error).__name__}: {error}") from error
    function = getattr(module, function_name, None)
    if not callable(function):
        defined = sorted(key for key, value in vars(module).items() if callable(value) and key[0] != "_")
        listed = ", ".join(defined[:8]) or "nothing"
        raise ValueError(f"{name}: {module_name} has no function {function_name!r}; it has {listed}")
    return function  # type: ignore[no-any-return]


@cache
def loaded_sha256(name: str) -> frozenset[str]:
    """SHA-256 of the files that the function was loaded from, as they were when this was first asked.

    They are its module's file and, where that has it from elsewhere, the one that defines it. Python keeps
    a module that it has imported, so what is on disk later may be another one.
    """
    function = resolve(name)
    files = [getattr(importlib.import_module(name.partition(":")[0]), "__file__", None)]
    with contextlib.suppress(TypeError):  # an object that has no file of its own
        files.append(inspect.getfile(inspect.unwrap(function)))
    return frozenset(hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in files if file)
