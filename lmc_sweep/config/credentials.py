"""Sweep files hold no credentials: they are recorded in the store, and stores are published."""

from __future__ import annotations

import os
import re
from typing import Any

from lmc_sweep.config.refusals import Refusal, join
from lmc_sweep.redaction import redact

_KEY = re.compile(r"(?:.*_)?(?:password|passwd|secret|api_?key|access_?key|credentials?)", re.IGNORECASE)
_SHORTEST = 12  # characters; what a variable holds may be a plain word, which a sweep file may hold as well


def refuse_credentials(value: Any, path: str = "") -> None:
    """Refuses a text of a sweep file that is, or holds, a secret; the refusal does not repeat it.

    Known are URLs with a user's name or a signature, the keys of common services, texts under keys such
    as ``password``, and whatever a secret variable of this process's environment holds.
    """
    if isinstance(value, dict):
        for key, part in value.items():
            where = join(path, str(key))
            if isinstance(part, str) and part and _KEY.fullmatch(str(key)):
                raise _refusal(where)
            refuse_credentials(part, where)
    elif isinstance(value, list):
        for position, part in enumerate(value):
            refuse_credentials(part, f"{path}[{position}]")
    elif isinstance(value, str) and without_secrets(value) != value:
        raise _refusal(path)


def without_secrets(text: str) -> str:
    """The text of a sweep file as it may be recorded: a comment may quote what no value may hold."""
    return redact(text, {name: value for name, value in os.environ.items() if len(value) >= _SHORTEST})


def _refusal(path: str) -> Refusal:
    return Refusal(
        path,
        "holds credentials, and sweep files are recorded in the store for everybody to read. Leave them out: "
        "credentials come from the environment (variables, a key file, the machine's role)",
    )
