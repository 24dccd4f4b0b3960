"""Refusals of a sweep file, and the words they share: what was found, what was perhaps meant."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from typing import Any

_ABBREVIATIONS: dict[str, tuple[str, ...]] = {
    "alpha": ("alphas",),
    "annealing": ("simulated_annealing",),
    "arch": ("architecture",),
    "batch": ("batch_size",),
    "brute": ("brute_force",),
    "bs": ("batch_size",),
    "budget": ("max_seconds",),
    "c2m3": ("cycle_consistent",),
    "chains": ("restarts",),
    "cpus": ("num_cpus",),
    "data": ("dataset",),
    "energy": ("objective",),
    "epochs": ("max_epochs",),
    "error": ("midpoint_error",),
    "fmnist": ("fashion_mnist",),
    "gpus": ("num_gpus",),
    "hidden_size": ("width",),
    "iterations": ("steps",),
    "layers": ("depth",),
    "loss": ("midpoint_loss",),
    "lr": ("learning_rate",),
    "lr_schedule": ("schedule",),
    "members": ("networks_per_alignment",),
    "memory": ("max_stack_bytes",),
    "methods": ("alignments",),
    "model": ("architecture", "model"),
    "model_name": ("architecture",),
    "mom": ("momentum",),
    "noise": ("planted_noise", "label_noise"),
    "num_alphas": ("alphas",),
    "num_epochs": ("max_epochs",),
    "num_layers": ("depth",),
    "num_pairs": ("pairs",),
    "num_seeds": ("seeds",),
    "num_steps": ("steps",),
    "opt": ("optimizer",),
    "output": ("store",),
    "rebasin": ("weight_matching",),
    "sa": ("simulated_annealing",),
    "samples": ("num_examples",),
    "sa1": ("pairwise_barrier",),
    "sa2": ("average_error",),
    "sched": ("schedule",),
    "seed": ("seeds",),
    "ste": ("straight_through",),
    "study": ("barriers",),
    "threshold": ("stop_train_loss",),
    "timeout": ("max_seconds",),
    "tol": ("tolerance",),
    "type": ("name", "method"),
    "units": ("width",),
    "wd": ("weight_decay",),
    "wm": ("weight_matching",),
}
"""What people write, and the keys or names it may stand for, of which the first that is known is meant."""

_LONGEST_SHOWN = 60  # characters of a value that a message repeats


class Refusal(Exception):
    """A rule of the sweep file that is broken at ``path`` (empty: the file as a whole)."""

    def __init__(self, path: str, text: str) -> None:
        super().__init__(f"{path}: {text}" if path else text)
        self.path = path


def join(path: str, key: str) -> str:
    """The path of a key below ``path``."""
    return f"{path}.{key}" if path else key


def shown(value: Any) -> str:
    """A value as a message repeats it: on one line, not too long, in the words of YAML."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "..."


def unknown(what: str, found: Any, known: Collection[str], plural: str) -> str:
    """``unknown key 'wd'. Did you mean 'weight_decay'? Known keys: ...``."""
    meant = _meant(str(found), known)
    question = f" Did you mean '{meant}'?" if meant else ""
    return f"unknown {what} {shown(found)}.{question} Known {plural}: {', '.join(known)}"


def refuse_unknown_keys(found: Iterable[str], known: Collection[str], path: str) -> None:
    """Refuses the first key that is not known."""
    for key in found:
        if key not in known:
            raise Refusal(path, unknown("key", key, known, "keys"))


def _meant(found: str, known: Collection[str]) -> str | None:
    """The known name that was probably meant: by a common abbreviation, else by spelling."""
    lowered = found.lower().replace("-", "_")
    for meant in (lowered, *_ABBREVIATIONS.get(lowered, ())):
        if meant in known:
            return meant
    close = difflib.get_close_matches(lowered, known, n=1, cutoff=0.6)
    return close[0] if close else None
