"""Barriers drawn from a store, each measured a second time from the stored weights and permutations."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from lmc_sweep.errors import StoreError
from lmc_sweep.execution.agreement import Compared, compare, worst
from lmc_sweep.execution.recomputation import recompute, scratch_store
from lmc_sweep.planning.reconstruction import items_of, kind_of, user_names
from lmc_sweep.store import environment
from lmc_sweep.store.store import Store

MEASURED = (
    *("losses", "errors", "loss_barrier", "error_barrier"),
    *("loss_midpoint_barrier", "error_midpoint_barrier", "endpoint_disagreement", "num_examples"),
)
"""The columns of a barrier that are compared."""

CANNOT = "cannot be recomputed"
LEFT_OUT = "left out"


@dataclass(frozen=True)
class Sampled:
    """One barrier that was drawn.

    Attributes:
        id: Its barrier_id.
        verdict: One of ``agreement.VERDICTS``, ``CANNOT`` or ``LEFT_OUT``.
        compared: Its columns, stored and measured again.
        reason: Why there are none.
        same_environment: Whether code, packages and hardware were the same.
    """

    id: str
    verdict: str
    compared: tuple[Compared, ...] = ()
    reason: str = ""
    same_environment: bool = False


def draw(ids: set[str], count: int, seed: int) -> list[str]:
    """So many ids, each set of them as likely as any other; the same for the same ids and seed."""
    keyed = sorted(ids, key=lambda key: hashlib.sha256(f"{seed} {key}".encode()).digest())
    return keyed[:count]


def sample(store: Store, ids: list[str], *, user_code: bool) -> Iterator[Sampled]:
    """Every barrier, measured again; those that name modules of the user's own only where that is allowed."""
    with scratch_store() as scratch:
        for key in ids:
            yield _measured_again(store, scratch, key, user_code)


def _measured_again(store: Store, scratch: Store, key: str, user_code: bool) -> Sampled:
    """One barrier, measured again."""
    try:
        (item,) = items_of(store, "barrier", [key])
        named = user_names(kind_of(item))
        if named and not user_code:
            return Sampled(key, LEFT_OUT, reason=f"names {', '.join(named)}; --user-code imports it")
        recompute(store, scratch, item, user_code=user_code)
        compared = tuple(one for one in compare(store, scratch, item) if one.name in MEASURED)
        (row,) = store.fetch("barriers", [key], ["environment_id"])
    except StoreError as error:
        return Sampled(key, CANNOT, reason=str(error))
    except Exception as error:  # the task boundary: a stored input may make anything fail
        return Sampled(key, CANNOT, reason=f"{type(error).__name__}: {' '.join(str(error).split())[:500]}")
    here = environment.identify(environment.describe())
    return Sampled(key, worst(compared), compared, same_environment=row["environment_id"] == here)
