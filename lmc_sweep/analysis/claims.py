"""A paper's claims as a file tells them: where they stand, what measures them, what bears them out."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lmc_sweep.analysis.claim_statistics import BY_POINT, NAMES
from lmc_sweep.config import fields
from lmc_sweep.config.refusals import Refusal, refuse_unknown_keys, shown, unknown
from lmc_sweep.errors import SweepError

Quantity = Literal["loss", "error"]
At = Literal["supremum", "midpoint"]
Split = Literal["train", "test"]

PLACEHOLDERS = (
    "barrier",
    "barriers",
    "ensembles",
    "groups",
    "initialization",
    "networks",
    "quantity",
    "split",
)
_PLACEHOLDER = re.compile(r"\{(\w*)\}")
_NAME = re.compile(r"[a-z0-9_]+")


@dataclass(frozen=True)
class Accept:
    """What a statistic may be, in its own unit, for the claim to hold; None for no bound."""

    at_least: float | None = None
    at_most: float | None = None


@dataclass(frozen=True)
class Printed:
    """A number that the paper prints, of one part of a claim, and of one place ``x`` where it has several."""

    value: float
    part: str
    x: float | None = None


@dataclass(frozen=True)
class Claim:
    """One claim.

    Attributes:
        name: What it is called here: lower-case letters, digits, ``_``.
        where: Figure, table or section.
        claim: What is claimed, in a sentence.
        statistic: One of NAMES; None only where ``lacks`` says why nothing measures it.
        measure: What the statistic is here, in words.
        query: One SELECT that gives the columns part, x, pair, value, and what else the statistic needs.
        accept: Bounds of the statistic. Without them, the printed values and their tolerance are the bounds.
        tolerance: Of printed values, as a fraction of them.
        printed: Numbers of the paper.
        parts: Parts that the paper has, such as its data sets; the store lacks what the query does not give.
        quantity: The only one of which the claim makes sense; None where it follows the view.
        at: Likewise.
        split: Likewise.
        sweeps: Sweep files that bring what the query needs.
        lacks: Why nothing measures the claim.
    """

    name: str
    where: str
    claim: str
    statistic: str | None = None
    measure: str | None = None
    query: str | None = None
    accept: Accept | None = None
    tolerance: float | None = None
    printed: tuple[Printed, ...] = ()
    parts: tuple[str, ...] = ()
    quantity: Quantity | None = None
    at: At | None = None
    split: Split | None = None
    sweeps: tuple[str, ...] = ()
    lacks: str | None = None

    def bounds(self, part: str, x: float | None) -> tuple[float, float]:
        """The least and the largest value of the statistic with which this part of the claim holds."""
        told = self.printed_value(part, x)
        if self.accept is None and told is not None and self.tolerance is not None:
            reach = abs(told) * self.tolerance
            return told - reach, told + reach
        accept = self.accept or Accept()
        low = -math.inf if accept.at_least is None else accept.at_least
        return low, math.inf if accept.at_most is None else accept.at_most

    def printed_value(self, part: str, x: float | None) -> float | None:
        """What the paper prints for a part, or for one place of it."""
        found = [told.value for told in self.printed if told.part == part and told.x in (None, x)]
        return found[0] if found else None


@dataclass(frozen=True)
class ClaimsFile:
    """The claims of one source, such as a paper."""

    source: str
    claims: tuple[Claim, ...]


def load_claims(path: Path) -> ClaimsFile:
    """The claims that a file tells.

    Raises:
        SweepError: If the file cannot be read, or breaks a rule: file, key, rule, value, remedy.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        told = getattr(error, "strerror", None) or "no text in UTF-8"
        raise SweepError(f"{path}: cannot be read ({told}). Name a file of claims: --claims FILE") from None
    return parse_claims(text, str(path))


def parse_claims(text: str, source: str = "claims") -> ClaimsFile:
    """The claims that a YAML text tells; ``source`` is what errors call it."""
    try:
        value = fields.mapping(_read(text), "", "{source: ..., claims: [...]}")
        refuse_unknown_keys(value, fields.field_names(ClaimsFile), "")
        for key in ("source", "claims"):
            if key not in value:
                raise Refusal("", f"'{key}' is missing, and has no default")
        listed = value["claims"]
        if not isinstance(listed, list) or not listed:
            raise Refusal("claims", f"should be a list of claims, not {shown(listed)}")
        claims = tuple(_claim(entry, f"claims[{place}]") for place, entry in enumerate(listed))
        _refuse_doubles(claims)
        return ClaimsFile(fields.checked(str, value["source"], "source"), claims)
    except Refusal as refusal:
        raise SweepError(f"{source}: {refusal}") from None


def _read(text: str) -> Any:
    """The value of a YAML document, whose queries may have many lines, as those of a sweep file may not."""
    import yaml

    try:
        _refuse_double_keys(yaml.compose(text, yaml.SafeLoader))
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:  # the second of a list that holds itself
        raise Refusal("", f"not valid YAML: {' '.join(str(error).split())[:200]}") from None


def _refuse_double_keys(node: Any) -> None:
    """Refuses a mapping in which a key stands twice, of which YAML would take the last in silence."""
    if getattr(node, "id", None) == "sequence":
        for entry in node.value:
            _refuse_double_keys(entry)
    elif getattr(node, "id", None) == "mapping":
        seen: set[str] = set()
        for key, entry in node.value:
            if str(key.value) in seen:
                raise Refusal("", f"line {key.start_mark.line + 1}: key {shown(key.value)} stands twice")
            seen.add(str(key.value))
            _refuse_double_keys(entry)


def _claim(entry: Any, path: str) -> Claim:
    section = fields.mapping(entry, path, "{name: ..., where: ..., claim: ...}")
    refuse_unknown_keys(section, fields.field_names(Claim), path)
    claim: Claim = fields.checked(Claim, section, path)
    if not _NAME.fullmatch(claim.name):
        raise Refusal(f"{path}.name", f"must be lower-case letters, digits and _, not {shown(claim.name)}")
    if (claim.query is None) == (claim.lacks is None):
        raise Refusal(path, f"{claim.name} needs either 'query', or 'lacks' to say why nothing measures it")
    if claim.query is None:
        return claim
    if claim.measure is None:
        raise Refusal(path, f"{claim.name} needs 'measure': what its statistic is, in words")
    if claim.statistic not in NAMES:
        raise Refusal(f"{path}.statistic", unknown("statistic", claim.statistic, NAMES, "statistics"))
    for name in _PLACEHOLDER.findall(claim.query):
        if name not in PLACEHOLDERS:
            raise Refusal(f"{path}.query", unknown("placeholder", name, PLACEHOLDERS, "placeholders"))
    _check_bounds(claim, path)
    return claim


def _check_bounds(claim: Claim, path: str) -> None:
    """Refuses a claim that every value would bear out, or none."""
    if claim.accept is not None:
        low, high = claim.bounds("", None)
        if (low, high) == (-math.inf, math.inf) or low > high:
            raise Refusal(f"{path}.accept", "needs at_least or at_most, the first no larger than the second")
    elif not claim.printed or claim.tolerance is None:
        raise Refusal(path, f"{claim.name} needs 'accept', or 'printed' values with a 'tolerance'")
    if claim.tolerance is not None and claim.tolerance <= 0:
        raise Refusal(f"{path}.tolerance", f"must be greater than 0, not {claim.tolerance:g}")
    for place, told in enumerate(claim.printed):
        if (told.x is None) == (claim.statistic == BY_POINT):
            need = "needs x" if told.x is None else "has no x"
            raise Refusal(f"{path}.printed[{place}]", f"with statistic {claim.statistic}, it {need}")


def _refuse_doubles(claims: Iterable[Claim]) -> None:
    names: set[str] = set()
    for place, claim in enumerate(claims):
        if claim.name in names:
            raise Refusal(f"claims[{place}].name", f"{claim.name} stands twice; names are unique")
        names.add(claim.name)
