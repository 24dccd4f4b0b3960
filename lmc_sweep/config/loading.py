"""From a sweep file to a checked ``Sweep``: the one way in."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lmc_sweep.config import document, fields, further_studies, networks, overrides, studies
from lmc_sweep.config.credentials import refuse_credentials, without_secrets
from lmc_sweep.config.refusals import Refusal, refuse_unknown_keys, shown
from lmc_sweep.config.sweep import Cell, Execution, KindResources, Resources, Sweep
from lmc_sweep.errors import SweepError
from lmc_sweep.kinds import CPU_KINDS, STUDY_KINDS

_KEYS = [*("name", "store", "networks", "barriers"), *further_studies.READERS, "execution"]
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_SCHEMES = ("file://", "s3://", "gs://", "az://")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_LABEL_KEY = re.compile(rf"(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?/)?{_LABEL}")
_LABEL_SELECTOR = re.compile(rf"!?{_LABEL}|!?in\({_LABEL}(?:, ?{_LABEL})*\)")
_LONGEST_NAME = 100  # it becomes the name of a folder


def load_sweep(path: Path, overrides: Sequence[str] = ()) -> Sweep:
    """The sweep that a file (``-``: standard input) describes, with overrides such as
    ``networks[0].seeds=12``.

    Raises:
        SweepError: If the file cannot be read, or breaks a rule; in one line: file, key, rule, value, remedy.
    """
    if str(path) == "-":
        return parse_sweep(sys.stdin.read(), "standard input", overrides)
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise SweepError(
            f"{path}: there is no such file. Name a sweep file, such as configs/quickstart.yaml"
        ) from None
    except IsADirectoryError:
        raise SweepError(f"{path}: is a folder. Name a sweep file in it") from None
    except UnicodeDecodeError as error:
        raise SweepError(
            f"{path}: is no text in UTF-8 (byte {error.start}). Name a sweep file in YAML"
        ) from None
    except OSError as error:
        raise SweepError(f"{path}: cannot be read ({error.strerror})") from None
    return parse_sweep(text, str(path), overrides)


def parse_sweep(text: str, source: str = "sweep", overrides: Sequence[str] = ()) -> Sweep:
    """The sweep that a YAML text describes; ``source`` is what errors call it.

    Raises:
        SweepError: As for ``load_sweep``.
    """
    try:
        return _parse(text, overrides)
    except Refusal as refusal:
        raise SweepError(f"{source}: {refusal}{_blame(refusal, overrides)}") from None


def _parse(text: str, changes: Sequence[str]) -> Sweep:
    value = document.read(text)
    if value is None:
        raise Refusal("", "is empty. A sweep needs the keys name, store and networks")
    if changes:
        value = overrides.apply(value, changes)
        text = document.write(value)
    if not isinstance(value, dict):
        raise Refusal("", f"a sweep is a mapping with the keys {', '.join(_KEYS)}, not {shown(value)}")
    refuse_credentials(value)  # first: other refusals repeat values
    text = without_secrets(text)
    refuse_unknown_keys(value, _KEYS, "")
    for key in ("name", "store"):
        if key not in value:
            raise Refusal("", f"'{key}' is missing, and has no default")
    name, store = _name(value["name"]), _store(value["store"])
    cells = networks.read(value["networks"]) if "networks" in value else ()
    study = studies.read(value.get("barriers"), cells) if cells else None
    others = further_studies.read(value, cells)
    _require_networks(value, others)
    execution = _execution(value.get("execution", {}), {*others, *(["barriers"] if study else [])})
    _refuse_tf32_without_gpu(cells, execution)
    return Sweep(
        name=name,
        store=store,
        networks=cells,
        barriers=study,
        execution=execution,
        text=text,
        studies=others,
    )


def _require_networks(value: dict[str, Any], others: dict[str, Any]) -> None:
    """Refuses a sweep without networks, but where all that it asks is asked of none."""
    if "networks" in value:
        return
    asked_of_none = [key for key in others if not further_studies.READERS[key].needs_networks(others[key])]
    if not asked_of_none or len(asked_of_none) < len(others) or value.get("barriers") is not None:
        raise Refusal("", "'networks' is missing, and has no default")


def _refuse_tf32_without_gpu(cells: Sequence[Cell], execution: Execution) -> None:
    """Refuses a precision that only GPUs have where none is reserved."""
    num_gpus = execution.resources("network")[1]
    for cell in cells:
        if cell.training is not None and cell.training.precision == "tf32" and not num_gpus:
            raise Refusal(
                f"{cell.origin}.training.precision",
                "tf32 has no effect: CPUs do not have it, and execution.num_gpus is 0. "
                "Reserve a GPU, or leave it out",
            )


def _name(value: Any) -> str:
    name: str = fields.checked(str, value, "name")
    if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        rule = f"1 to {_LONGEST_NAME} of the characters A-Z a-z 0-9 . _ -, the first no dot"
        raise Refusal("name", f"must be {rule}, not {shown(name)}")
    return name


def _store(value: Any) -> str:
    store: str = fields.checked(str, value, "store")
    if not store.strip():
        raise Refusal("store", "must not be empty. Name a folder, such as runs/quickstart")
    scheme = _SCHEME.match(store)
    if scheme and scheme[0].lower() not in _SCHEMES:
        known = ", ".join(_SCHEMES)
        raise Refusal("store", f"is a folder, or begins with one of {known}, not with {scheme[0]}")
    return store


def _execution(value: Any, asked: set[str]) -> Execution:
    """How the work is run."""
    section = fields.mapping(value, "execution", "{num_cpus: 1}")
    refuse_unknown_keys(section, fields.field_names(Execution), "execution")
    kinds = fields.mapping(section.get("kinds", {}), "execution.kinds", "{network: {num_gpus: 1}}")
    refuse_unknown_keys(kinds, fields.field_names(KindResources), "execution.kinds")
    for kind, own in kinds.items():
        path = f"execution.kinds.{kind}"
        refuse_unknown_keys(fields.mapping(own, path, "{num_gpus: 1}"), fields.field_names(Resources), path)
        askers = [key for key, kinds_asked in STUDY_KINDS.items() if kind in kinds_asked]
        if kind != "network" and asked.isdisjoint(askers):
            raise Refusal(path, f"has no effect: the sweep asks no {' or '.join(askers)}. Leave it out")
        if kind in CPU_KINDS and own.get("num_gpus"):
            raise Refusal(
                f"{path}.num_gpus",
                "has no effect: such tasks compute on CPUs, and reserve no GPU. Leave it out",
            )
    execution: Execution = fields.checked(Execution, section, "execution")
    for path, resources in (("execution", execution), *_of_kinds(execution)):
        gpus = resources.num_gpus
        if gpus is not None and gpus > 1 and gpus != int(gpus):
            raise Refusal(
                f"{path}.num_gpus", f"above 1 must be a whole number, not {gpus:g}: GPUs are not shared then"
            )
        _check_labels(resources.labels or {}, f"{path}.labels")
    if execution.placement == "measured" and not execution.num_gpus:
        raise Refusal(
            "execution.placement", "has no effect: execution.num_gpus is 0. Reserve GPUs, or leave it out"
        )
    return execution


def _check_labels(labels: dict[str, str], path: str) -> None:
    """Refuses labels that Ray would refuse once tasks ask for them."""
    for key, value in labels.items():
        if not _LABEL_KEY.fullmatch(key):
            raise Refusal(f"{path}", f"{shown(key)} is no name of a label, such as ray.io/accelerator-type")
        if not _LABEL_SELECTOR.fullmatch(value):
            raise Refusal(
                f"{path}.{key}", f"should be VALUE, '!VALUE', 'in(A, B)' or '!in(A, B)', not {shown(value)}"
            )


def _of_kinds(execution: Execution) -> list[tuple[str, Any]]:
    kinds = fields.field_names(KindResources)
    return [(f"execution.kinds.{kind}", getattr(execution.kinds, kind)) for kind in kinds]


def _blame(refusal: Refusal, changes: Sequence[str]) -> str:
    """Names the override that set what was refused, if one did."""
    for change in reversed(changes):
        key = change.partition("=")[0].strip()
        below = key.removeprefix(refusal.path).removeprefix(".").partition(".")[0]
        added = key.startswith(refusal.path) and f"unknown key '{below}'" in str(refusal)
        refused = key and (refusal.path == key or refusal.path.startswith((f"{key}.", f"{key}[")))
        if added or refused:
            return f" (set by the override {shown(change)})"
    return ""
