"""Files of claims: what they may say, and how they are refused."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from lmc_sweep.analysis.claims import PLACEHOLDERS, load_claims, parse_claims
from lmc_sweep.errors import SweepError

PAPER = Path(__file__).resolve().parents[2] / "configs" / "entezari" / "claims.yaml"
QUERY = "SELECT dataset AS part, width AS x, pair_id AS pair, {barrier} AS value FROM {barriers}"


def claims_text(**changes: str) -> str:
    """A file of one claim; a key with an empty text is left out."""
    keys = {
        "name": "low",
        "where": "figure 1",
        "claim": "It is low",
        "statistic": "mean",
        "measure": "the mean",
        "accept": "{at_most: 0.1}",
        "query": f'"{QUERY}"',
        **changes,
    }
    lines = "\n    ".join(f"{key}: {value}" for key, value in keys.items() if value)
    return f"source: a paper\nclaims:\n  - {lines}\n"


def test_bounds_are_those_told() -> None:
    """Without a lower bound, everything below the upper one is accepted."""
    (claim,) = parse_claims(claims_text()).claims
    assert (-math.inf, 0.1) == claim.bounds("mnist", None)


def test_printed_values_with_a_tolerance_are_bounds() -> None:
    """A tolerance of a quarter accepts 0.3 to 0.5 about 0.4, at its own place alone."""
    printed = "[{part: mnist, x: 10, value: 0.4}]"
    text = claims_text(accept="", statistic="each", printed=printed, tolerance="0.25")
    (claim,) = parse_claims(text).claims
    assert (0.3, 0.5) == pytest.approx(claim.bounds("mnist", 10.0))
    assert (-math.inf, math.inf) == claim.bounds("mnist", 100.0)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"statistic": "peek_from_fit"}, "Did you mean 'peak_from_fit'?"),
        ({"statistc": "mean"}, "unknown key 'statistc'. Did you mean 'statistic'?"),
        ({"query": '"SELECT {barier}"'}, "unknown placeholder 'barier'. Did you mean 'barrier'?"),
        ({"query": ""}, "low needs either 'query', or 'lacks'"),
        ({"lacks": "a study"}, "low needs either 'query', or 'lacks'"),
        ({"accept": ""}, "low needs 'accept', or 'printed' values with a 'tolerance'"),
        ({"accept": "{}"}, "claims[0].accept: needs at_least or at_most"),
        ({"accept": "{at_least: 2, at_most: 1}"}, "claims[0].accept: needs at_least or at_most"),
        ({"quantity": "accuracy"}, "claims[0].quantity"),
        ({"name": "Low one"}, "must be lower-case letters, digits and _"),
        ({"printed": "[{part: a, x: 1, value: 2}]"}, "with statistic mean, it has no x"),
        ({"where": ""}, "where"),
        ({"measure": ""}, "low needs 'measure'"),
        ({"claim": "a: b: c"}, "not valid YAML"),
    ],
)
def test_a_claim_that_breaks_a_rule_is_refused(changes: dict[str, str], told: str) -> None:
    """The error names the file, the key and the rule."""
    with pytest.raises(SweepError, match=re.escape(told)) as refused:
        parse_claims(claims_text(**changes), "my.yaml")
    assert str(refused.value).startswith("my.yaml: ")


def test_a_name_stands_once() -> None:
    """Two claims of one name are refused."""
    text = claims_text()
    with pytest.raises(SweepError, match="low stands twice"):
        parse_claims(text + text.partition("claims:\n")[2])


def test_a_key_stands_once() -> None:
    """A claim with two tolerances is refused at the second: YAML would take it in silence."""
    with pytest.raises(SweepError, match=r"line 6: key 'accept' stands twice"):
        parse_claims(
            "source: s\nclaims:\n  - name: c\n    where: w\n    accept: {}\n    accept: {at_most: 1}\n"
        )


def test_a_missing_file_is_told_with_the_remedy(tmp_path: Path) -> None:
    """A file that is not there, and a folder, are refused in one line."""
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(SweepError, match=r"cannot be read .* --claims"):
            load_claims(path)


def test_the_papers_claims_name_files_that_exist() -> None:
    """Every claim of the paper that a query measures names the sweep files that bring what it needs."""
    for claim in load_claims(PAPER).claims:
        assert (claim.query is None) == (not claim.sweeps)
        assert all((PAPER.parent / f"{name}.yaml").is_file() for name in claim.sweeps)
        assert claim.lacks or set(re.findall(r"\{(\w+)\}", claim.query or "")) <= set(PLACEHOLDERS)


def test_table_2_is_printed_in_full() -> None:
    """Five numbers of steps at each of three widths; after 50,000 steps, 0.055 at width 16."""
    claims = {claim.name: claim for claim in load_claims(PAPER).claims}
    table = claims["annealing_steps"]
    assert 15 == len(table.printed)
    assert 0.055 == table.printed_value("width 16", 50000.0)
    assert ("error", "midpoint") == (table.quantity, table.at)
