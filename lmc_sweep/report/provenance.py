"""With which code and hardware results were computed, what was asked for, and how to do it again."""

from __future__ import annotations

import shlex
from typing import Any

from lmc_sweep.errors import SweepError
from lmc_sweep.redaction import redact
from lmc_sweep.report.model import Block, Column, Facts, Listing, Note, Section, Table
from lmc_sweep.report.scope import Scope
from lmc_sweep.report.wording import size
from lmc_sweep.store.provenance import environment_problem, read_environment, sweep_text
from lmc_sweep.store.schema import TABLE_OF_KIND

TITLE = "Provenance"
_LARGEST_TEXT = 200_000  # characters of a sweep file
_USE = (
    Column("Environment", "id", "environments/ID.json in the store"),
    Column("Table", "choice"),
    Column("Rows", "count"),
    Column("Device", "choice", "that trained"),
)


_NAMES = {"cpu": "processor", "memory_bytes": "memory", "num_cores": "cores", "python": "Python"}
"""Keys that people would not write."""


def provenance(scope: Scope) -> Section:
    """Environments, sweep files and commands."""
    blocks: list[Block] = []
    use = _use(scope)
    for environment_id in _ids(use):
        blocks += _environment(scope, environment_id)
    blocks.append(Table("environment-use", "Rows by environment", _USE, use, "No result is there yet."))
    blocks += [_sweep_file(scope, name) for name in scope.sweeps]
    blocks.append(Listing("Commands that reproduce and check this", _commands(scope, use), is_open=True))
    return Section("provenance", TITLE, tuple(blocks))


def code_and_hardware(scope: Scope) -> str:
    """The environments in one line, for the top of the report."""
    told = [read_environment(scope.store.files, key) for key in _ids(_use(scope))]
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
            (of.name, kind, "device" if "device" in of.by_name else "''")
            for kind, of in TABLE_OF_KIND.items()
        )
    ]
    found = scope.ask(f"""
        SELECT environment_id, of_table, count(*) AS num_rows, device FROM ({" UNION ALL ".join(parts)})
        GROUP BY ALL ORDER BY environment_id, of_table DESC, device""")
    return [tuple(row.values()) for row in found]


def _ids(use: list[tuple[Any, ...]]) -> list[str]:
    """The environments, each once."""
    return list(dict.fromkeys(str(row[0]) for row in use))


def _environment(scope: Scope, environment_id: str) -> list[Block]:
    """The description of an environment, whatever keys it has."""
    found = read_environment(scope.store.files, environment_id)
    if found is None:
        why = environment_problem(scope.store.files, environment_id)
        return [Note(f"environments/{environment_id}.json: {why}.", is_warning=True)]
    return [Facts(tuple(_facts(found)), f"Environment {environment_id}")]


def _facts(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Keys and values as text; what lies deeper in one line."""
    told = []
    for key, value in found.items():
        if isinstance(value, dict):
            text = _in_a_line(value)
        elif key.endswith("_bytes") and isinstance(value, int | float):
            text = size(value)
        else:
            text = _said(value)
        told.append((_NAMES.get(key, key), redact(text)))
    return told


def _in_a_line(values: dict[str, Any]) -> str:
    """What a key holds; what is a yes or a no at the end."""
    ordered = sorted(values.items(), key=lambda item: isinstance(item[1], bool))
    return ", ".join(f"{name.replace('_', ' ')} {_said(of)}" for name, of in ordered)


def _said(value: Any) -> str:
    """A value as people say it."""
    if value is None:
        return "none"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _sweep_file(scope: Scope, name: str) -> Block:
    """The sweep file as it was run."""
    try:
        text = redact(sweep_text(scope.store.files, name))
    except SweepError as error:
        return Note(str(error), is_warning=True)
    cut = len(text) > _LARGEST_TEXT
    return Listing(f"Sweep file: {name}", text[:_LARGEST_TEXT] + ("\n..." if cut else ""))


def _commands(scope: Scope, use: list[tuple[Any, ...]]) -> str:
    """What is typed to do all of it again, and to check it."""
    store = shlex.quote(scope.named)
    commits = []
    for environment_id in _ids(use):
        git = (read_environment(scope.store.files, environment_id) or {}).get("git")
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
    return "\n".join(lines)
