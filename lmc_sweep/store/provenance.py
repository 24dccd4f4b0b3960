"""What computed results and what asked for them, read back from a store that may be a stranger's."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from stat import S_ISREG
from typing import Any

from lmc_sweep.errors import StoreError
from lmc_sweep.store import environment, layout
from lmc_sweep.store.files import Files

_ID = re.compile(r"[0-9a-f]{16}")
_LARGEST_BYTES = 1_000_000
_LARGEST_SWEEP_BYTES = 10_000_000


def is_environment_id(text: str) -> bool:
    """Whether a text can be the id of an environment."""
    return _ID.fullmatch(text) is not None


def read_environment(files: Files, environment_id: str) -> dict[str, Any] | None:
    """The description of an environment; None where the store has none that can be trusted."""
    found = _read(_brought(files, environment_id), environment_id)
    return found if isinstance(found, dict) else None


def environment_problem(files: Files, environment_id: str) -> str | None:
    """Why an environment that rows name cannot be told; None when nothing speaks against it."""
    return description_problem(_brought(files, environment_id), environment_id)


def description_problem(path: Path, environment_id: str) -> str | None:
    """The same of a file that may lie elsewhere."""
    found = _read(path, environment_id)
    return found if isinstance(found, str) else None


def compared(stored: Mapping[str, Any], here: Mapping[str, Any]) -> list[tuple[str, Any, Any, bool]]:
    """Every field of two environments, as ``packages.torch``: name, stored, here, whether they are equal."""
    one, two = _flat(stored), _flat(here)
    names = list(dict.fromkeys([*one, *two]))
    return [(name, one.get(name), two.get(name), one.get(name) == two.get(name)) for name in names]


def sweep_text(files: Files, name: str) -> str:
    """The text of a sweep file in a store; StoreError where it is none."""
    relative = f"{layout.sweep_folder(name)}/sweep.yaml"
    files.renew([relative])
    path, told = files.root / relative, files.told(relative)
    try:
        if not _is_plain(path, _LARGEST_SWEEP_BYTES):
            raise StoreError(f"{told}: is no sweep file that this program writes")
        return path.read_bytes().decode()
    except OSError as error:
        raise StoreError(f"{told}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise StoreError(f"{told}: is no text in UTF-8 (byte {error.start})") from error


def _brought(files: Files, environment_id: str) -> Path:
    """Where the description of an environment lies, as the store has it now."""
    path = layout.environment_path(environment_id)
    if is_environment_id(environment_id):
        files.renew([path])
    return files.root / path


def _read(path: Path, environment_id: str) -> dict[str, Any] | str:
    """The description in a file, or why there is none."""
    if not is_environment_id(environment_id):
        return "is not the id of an environment"
    try:
        if not _is_plain(path, _LARGEST_BYTES):
            return "is no description that this program writes"
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except (ValueError, RecursionError):
        return "is no JSON"
    if not isinstance(found, dict) or environment.identify(found) != environment_id:
        return "its content does not have the id in its name"
    return found


def _is_plain(path: Path, most_bytes: int) -> bool:
    """Whether a file is a regular one of the store itself, and not too large; OSError where there is none."""
    status = path.lstat()
    return S_ISREG(status.st_mode) and status.st_size <= most_bytes and not path.parent.is_symlink()


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested fields under dotted names."""
    found: dict[str, Any] = {}
    for name, entry in value.items():
        if isinstance(entry, Mapping):
            found |= _flat(entry, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = entry
    return found
