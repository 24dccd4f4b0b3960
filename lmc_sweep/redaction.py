"""Texts without the secrets that they may have picked up, before anybody else gets to read them.

Errors quote what they failed on: the address of a bucket with its key, a header, the value of a variable.
Every such text that goes into a record, a file of advice, a report or a terminal's log passes here. What
cannot be recognized by its form (the ways in which services write their keys and URLs carry them) is
found by its value, where a variable of this process's environment holds it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import quote, quote_plus

MARK = "***"
"""Stands where a secret stood."""

SHORTEST = 6
"""Values of secret variables with fewer characters are no secrets, and would match anywhere."""

_SECRET_NAME = re.compile(
    r"TOKEN(?!IZER)|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE|SIGNATURE",
    re.IGNORECASE,
)
_WORDS = (
    r"(?:[\w.-]{0,40}"
    r"(?:token|secret|password|passwd|passphrase|credentials?|api[_-]?key|access[_-]?key|signature))"
)
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), replacement)
    for pattern, replacement in (  # every repetition is bounded: texts may be long, and made to hurt
        # a private key as a file holds it, whole or cut short
        (r"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?(?:-----END \1-----|\Z)", MARK),
        # scheme://user:password@host; passwords with a slash that nobody escaped, too
        (r"\b([a-z][a-z0-9+.-]{0,20}://)[^\s/?#'\"<>]{0,500}@", rf"\1{MARK}@"),
        (
            r"\b([a-z][a-z0-9+.-]{0,20}://)[^\s/:@'\"<>]{1,200}:(?!\d{1,5}[/?#])[^\s@'\"<>]{0,500}@",
            rf"\1{MARK}@",
        ),
        # headers: Authorization: Bearer abc, {'Authorization': 'Basic abc'}, X-Api-Key: abc
        (
            r"\b((?:proxy-)?authorization|x-api-key|x-auth-token|x-amz-security-token|cookie|set-cookie)"
            r"(\\?[\"']?\s*[:=]\s*\\?[\"']?)[^\r\n\"'},]+",
            rf"\1\2{MARK}",
        ),
        (r"\b(bearer|basic)\s+(?=\S*[\d=_-])[A-Za-z0-9._~+/=-]{8,}", rf"\1 {MARK}"),
        # parameters of a URL: ?X-Amz-Signature=abc, &sig=abc
        (
            rf"([?&;](?:{_WORDS}|X-Amz-[\w-]+|X-Goog-[\w-]+|AWSAccessKeyId|sig|auth|key|code)=)[^&\s\"'<>#]+",
            rf"\1{MARK}",
        ),
        # assignments of texts: password = "abc", 'token': 'abc'
        (rf"\b({_WORDS}\\?[\"']?\s*[:=]\s*\\?([\"']))(?:(?!\2)[^\r\n\\])+", rf"\1{MARK}"),
    )
) + tuple(
    (re.compile(pattern), MARK)
    for pattern in (
        r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b",
        r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,}|hf_[A-Za-z0-9]{30,}|xox[abprs]-[\w-]{10,})",
        r"\b(?:sk|pk|rk)-[A-Za-z0-9_-]{20,}",
        r"\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*",
    )
)


def redact(text: str, environment: Mapping[str, str] | None = None) -> str:
    """The text with ``***`` in the place of every secret that is known by its form or by its value.

    Cut a text to its length only afterwards: half a secret is found by neither. Redacting twice is
    redacting once.

    Args:
        environment: Variables, of which those with names such as ``*_TOKEN``, ``*_SECRET``, ``*PASSWORD*``
            hold secrets; those of this process where it is None.
    """
    values = _secret_values(os.environ if environment is None else environment)
    if values:
        text = _any_of(values).sub(MARK, text)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def _secret_values(environment: Mapping[str, str]) -> tuple[str, ...]:
    """What the variables with secret names hold, the longest first."""
    values = {
        value.strip()
        for name, value in environment.items()
        if len(value.strip()) >= SHORTEST and _SECRET_NAME.search(name)
    }
    return tuple(sorted(values, key=lambda value: (-len(value), value)))


@lru_cache(maxsize=8)
def _any_of(values: tuple[str, ...]) -> re.Pattern[str]:
    """Matches any of the values: as they are, and as texts of Python, JSON and URLs write them."""
    forms = {
        form
        for value in values
        for form in (
            value,
            repr(value)[1:-1],
            json.dumps(value)[1:-1],
            quote(value, safe=""),
            quote(value),
            quote_plus(value),
        )
    }
    return re.compile(
        "|".join(re.escape(form) for form in sorted(forms, key=lambda form: (-len(form), form)))
    )
