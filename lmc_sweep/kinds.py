"""The kinds of items, and the studies that ask for them."""

from __future__ import annotations

KIND_NAMES = {
    "network": "networks",
    "alignment": "alignments",
    "barrier": "barriers",
    "barrier_matrix": "barrier matrices",
    "permutation_path": "permutation paths",
    "canonical_form": "canonical forms",
    "ensemble": "ensembles",
    "initialization": "initializations",
}
"""Every kind, with the word for several; in an order in which none needs a later one."""

KINDS = tuple(KIND_NAMES)

ALWAYS_SHOWN = ("network", "alignment", "barrier")
"""Kinds that plans and statuses tell of whether or not a sweep asks for them; others where it does."""

STUDY_KINDS = {
    "barriers": ("alignment", "barrier"),
    "all_pairs": ("alignment", "barrier", "barrier_matrix"),
    "permutation_paths": ("permutation_path",),
    "canonical": ("canonical_form",),
    "ensembles": ("ensemble",),
    "initialization": ("initialization",),
}
"""Keys of a sweep file that ask questions, and the kinds of item that they ask for."""

CPU_KINDS = frozenset({"barrier_matrix", "permutation_path", "initialization"})
"""Kinds whose tasks compute on CPUs wherever they run, and reserve no GPU."""


def in_singular(kind: str) -> str:
    """The word for one item of a kind: canonical form."""
    return kind.replace("_", " ")
