"""Barriers drawn from a store, each measured a second time from the stored weights and permutations.

Where a store has none, results of its other studies are drawn and computed a second time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from lmc_sweep.errors import StoreError
from lmc_sweep.execution.agreement import Compared, compare, worst
from lmc_sweep.execution.recomputation import recompute, scratch_store
from lmc_sweep.kinds import ALWAYS_SHOWN, KINDS
from lmc_sweep.planning.reconstruction import items_of, kind_of, user_names
from lmc_sweep.store import environment
from lmc_sweep.store.schema import TABLE_OF_KIND
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
    """One result that was drawn.

    Attributes:
        kind: ``barrier``, or the kind of another study.
        id: Of its row.
        verdict: One of ``agreement.VERDICTS``, ``CANNOT`` or ``LEFT_OUT``.
        compared: Its columns, stored and computed again.
        reason: Why there are none.
        same_environment: Whether code, packages and hardware were the same.
    """

    kind: str
    id: str
    verdict: str
    compared: tuple[Compared, ...] = ()
    reason: str = ""
    same_environment: bool = False


def drawable(store: Store, sweep: str | None) -> dict[str, str]:
    """Kinds by id of what may be drawn from a store, or from one sweep in it: its barriers, if it has any."""
    others = tuple(kind for kind in KINDS if kind not in ALWAYS_SHOWN)
    for kinds in (("barrier",), others):
        found = {
            key: kind
            for kind in kinds
            for key in (store.ids(kind) if sweep is None else store.ids(kind) & store.item_ids(sweep, kind))
        }
        if found:
            return found
    return {}


def draw(ids: Iterable[str], count: int, seed: int) -> list[str]:
    """So many ids, each set of them as likely as any other; the same for the same ids and seed."""
    keyed = sorted(ids, key=lambda key: hashlib.sha256(f"{seed} {key}".encode()).digest())
    return keyed[:count]


def sample(store: Store, drawn: Mapping[str, str], *, user_code: bool) -> Iterator[Sampled]:
    """Every result, computed again; those that name modules of the user's own only where that is allowed.

    Args:
        drawn: Kinds by id.
    """
    with scratch_store() as scratch:
        for key, kind in drawn.items():
            yield _computed_again(store, scratch, kind, key, user_code)


def _computed_again(store: Store, scratch: Store, kind: str, key: str, user_code: bool) -> Sampled:
    """One result, computed again."""
    try:
        (item,) = items_of(store, kind, [key])
        named = user_names(kind_of(item))
        if named and not user_code:
            return Sampled(kind, key, LEFT_OUT, reason=f"names {', '.join(named)}; --user-code imports it")
        recompute(store, scratch, item, user_code=user_code)
        compared = tuple(
            one for one in compare(store, scratch, item) if kind != "barrier" or one.name in MEASURED
        )
        (row,) = store.fetch(TABLE_OF_KIND[kind].name, [key], ["environment_id"])
    except StoreError as error:
        return Sampled(kind, key, CANNOT, reason=str(error))
    except Exception as error:  # the task boundary: a stored input may make anything fail
        told = " ".join(str(error).split())[:500]
        return Sampled(kind, key, CANNOT, reason=f"{type(error).__name__}: {told}")
    here = environment.identify(environment.describe())
    return Sampled(kind, key, worst(compared), compared, same_environment=row["environment_id"] == here)
