"""With which code and hardware results were computed, what was asked for, and how to do it again."""

from __future__ import annotations

import json
import shlex
from typing import Any

from lmc_sweep.redaction import redact
from lmc_sweep.report.model import Block, Column, Facts, Listing, Note, Section, Table
from lmc_sweep.report.scope import Scope
from lmc_sweep.report.wording import counted, size
from lmc_sweep.store import layout

TITLE = "Provenance"
_LARGEST_TEXT = 200_000  # characters of a sweep file
_USE = (
    Column("Environment", "id", "environments/ID.json in the store"),
    Column("Table", "choice"),
    Column("Rows", "count"),
    Column("Device", "choice", "that trained"),
)


def provenance(scope: Scope) -> Section:
    """Environments, sweep files and commands."""
    blocks: list[Block] = []
    use = _use(scope)
    for environment_id in dict.fromkeys(str(row[0]) for row in use):
        blocks += _environment(scope, environment_id)
    blocks.append(Table("environment-use", "Rows by environment", _USE, use, "No result is there yet."))
    blocks += [_sweep_file(scope, name) for name in scope.sweeps]
    blocks.append(Listing("Commands that reproduce and check this", _commands(scope, use), is_open=True))
    return Section("provenance", TITLE, tuple(blocks))


def code_and_hardware(scope: Scope) -> str:
    """The environments in one line, for the top of the report."""
    told = [_read(scope, str(row[0])) for row in _use(scope)]
    known = [environment for environment in told if environment is not None]
    lines = dict.fromkeys(_line(environment) for environment in known)
    return "; ".join(lines)


def _line(environment: dict[str, Any]) -> str:
    git = environment.get("git")
    commit = str(git.get("commit", ""))[:12] if isinstance(git, dict) else ""
    changed = " with local changes" if isinstance(git, dict) and git.get("changed") else ""
    code = f"lmc_sweep {environment.get('lmc_sweep')}" + (f" ({commit}{changed})" if commit else "")
    hardware = environment.get("gpu") or environment.get("cpu")
    return f"{code}, {environment.get('num_cores')} cores, {hardware}"


def _use(scope: Scope) -> list[tuple[Any, ...]]:
    """Environments with the rows that they computed, by table."""
    parts = [
        f"SELECT environment_id, '{table}' AS of_table, {device} AS device "
        f"FROM {table} WHERE {scope.of_sweep(kind)}"
        for table, kind, device in (
            ("networks", "network", "device"),
            ("alignments", "alignment", "''"),
            ("barriers", "barrier", "''"),
        )
    ]
    found = scope.ask(f"""
        SELECT environment_id, of_table, count(*) AS num_rows, device FROM ({" UNION ALL ".join(parts)})
        GROUP BY ALL ORDER BY environment_id, of_table DESC, device""")
    return [tuple(row.values()) for row in found]


def _environment(scope: Scope, environment_id: str) -> list[Block]:
    """The description of an environment, whatever keys it has."""
    found = _read(scope, environment_id)
    if found is None:
        text = f"environments/{environment_id}.json is missing or cannot be read."
        return [Note(text, is_warning=True)]
    return [Facts(tuple(_facts(found)), f"Environment {environment_id}")]


def _read(scope: Scope, environment_id: str) -> dict[str, Any] | None:
    """An environment's file; None where it cannot be read."""
    path = layout.environment_path(environment_id)
    try:
        scope.store.files.bring([path])
        found = json.loads((scope.store.path / path).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _facts(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Keys and values as text; what lies deeper in one line."""
    told = []
    for key, value in found.items():
        if isinstance(value, dict):
            text = ", ".join(f"{name} {of}" for name, of in value.items())
        elif key.endswith("_bytes") and isinstance(value, int | float):
            text = size(value)
        else:
            text = "none" if value is None else str(value)
        told.append((key.removesuffix("_bytes").replace("_", " "), redact(text)))
    return told


def _sweep_file(scope: Scope, name: str) -> Block:
    """The sweep file as it was run."""
    path = scope.store.sweep_file(name)
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        told = f"sweeps/{name}/sweep.yaml cannot be read: {error.strerror}"
        return Note(told, is_warning=True)
    cut = len(text) > _LARGEST_TEXT
    return Listing(f"Sweep file: {name}", redact(text)[:_LARGEST_TEXT] + ("\n..." if cut else ""))


def _commands(scope: Scope, use: list[tuple[Any, ...]]) -> str:
    """What is typed to do all of it again, and to check it."""
    store = shlex.quote(scope.named)
    commits = []
    for environment_id in dict.fromkeys(str(row[0]) for row in use):
        git = (_read(scope, environment_id) or {}).get("git")
        if isinstance(git, dict) and git.get("commit"):
            changed = "   # and local changes, which are not recorded" if git.get("changed") else ""
            commits.append(f"git checkout {git['commit']}{changed}")
    lines = list(dict.fromkeys(commits))
    for name in scope.sweeps:
        lines += [
            f"cp {store}/sweeps/{shlex.quote(name)}/sweep.yaml {shlex.quote(name)}.yaml",
            f"lmc-sweep run {shlex.quote(name)}.yaml --store runs/again   # computes it anew",
        ]
    (found,) = scope.ask(f"SELECT min(barrier_id) AS id FROM barriers WHERE {scope.of_sweep('barrier')}")
    lines.append(f"lmc-sweep verify {store} --sample 20   # checks every file, measures 20 barriers again")
    if found["id"] is not None:
        lines.append(f"lmc-sweep repro {store} {found['id']}   # one row computed again")
    lines.append(f"lmc-sweep report {store}{f' --sweep {scope.sweep}' if scope.sweep else ''}")
    return "\n".join(lines) or counted(0, "command")
