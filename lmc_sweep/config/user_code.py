"""The user's own functions in a sweep file: found, and their source hashed, without running them."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
from functools import cache
from pathlib import Path

from lmc_sweep.config.refusals import Refusal, shown
from workers import user_code


def is_name(value: object) -> bool:
    """Whether a value has the form ``pkg.module:function``."""
    return isinstance(value, str) and user_code.is_name(value)


def search_working_directory() -> None:
    """Puts the working directory on the import path, as ``python -m`` has it."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)


def source_sha256(name: str, path: str) -> str:
    """SHA-256 of the file that defines the function, refused at ``path`` where there is none.

    The file is read, not run, unless it has the function from elsewhere: only then is it imported.
    """
    search_working_directory()
    module_name, _, function = name.partition(":")
    file = _file_of(module_name, name, path)
    content = file.read_bytes()
    if function not in _defined(content, file, path):
        file = _defining_file(name, path)
        content = file.read_bytes()
    return hashlib.sha256(content).hexdigest()


def _file_of(module_name: str, name: str, path: str) -> Path:
    try:
        found = importlib.util.find_spec(module_name)
    except (ImportError, ValueError) as error:
        raise Refusal(path, f"{shown(name)}: {error}. {_WHERE}") from error
    if found is None or not found.has_location or found.origin is None:
        raise Refusal(path, f"{shown(name)}: there is no module {module_name}. {_WHERE}")
    return Path(found.origin)


_WHERE = "The working directory is searched, and what is installed"


def _defined(content: bytes, file: Path, path: str) -> set[str]:
    """Functions and classes that a source file defines at its top level."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError) as error:
        raise Refusal(path, f"{file} is no Python that can be read: {error}") from error
    return {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }


@cache
def _defining_file(name: str, path: str) -> Path:
    """The file of a function that its module has from elsewhere."""
    import inspect

    try:
        return Path(inspect.getfile(inspect.unwrap(user_code.resolve(name))))
    except (ValueError, TypeError) as error:
        raise Refusal(path, str(error)) from error
