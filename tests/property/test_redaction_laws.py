"""Redaction: planted secrets are gone, everything else stays, and twice is once."""

from __future__ import annotations

import json
import time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmc_sweep.redaction import MARK, redact

SECRETS = st.text(
    st.characters(codec="utf-8", exclude_characters="*", exclude_categories=["C", "Z"]), min_size=6
)
NAMES = st.sampled_from(
    [
        "WANDB_API_KEY",
        "HF_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "DB_PASSWORD",
        "my_passwd",
        "GCP_CREDENTIALS",
        "SSH_PRIVATE",
    ]
)
PROSE = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=30)
KEYS = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=16, max_size=40)
FORMS = (
    "s3://user:{}@host/bucket/file",
    "postgresql://u:{}@10.0.0.1:5432/db?x=1",
    "https://{}@example.org/repository.git",
    "https://host/bucket?X-Amz-Signature={}&x=1",
    "https://host/file?a=b&sig={}",
    "GET https://host/?access_token={} failed",
    "Authorization: Bearer {}",
    "{{'Authorization': 'Basic {}', 'Host': 'x'}}",
    'headers = {{"X-Api-Key": "{}"}}',
    'client(password="{}")',
    "{{'api_key': '{}'}}",
)


@given(SECRETS, NAMES, PROSE, PROSE)
def test_the_values_of_secret_variables_never_stay(secret: str, name: str, before: str, after: str) -> None:
    """A value of a secret variable is gone from a text: plain, quoted by Python or JSON, or in a URL."""
    text = f"{before} {secret!r} {json.dumps(secret)} {quote(secret, safe='')} {secret} {after}"
    told = redact(text, {name: secret})
    assert secret not in told.replace(before, "").replace(after, "")
    assert told == redact(told, {name: secret})


@given(KEYS, st.sampled_from(FORMS), PROSE, PROSE)
def test_secrets_known_by_their_form_never_stay(key: str, form: str, before: str, after: str) -> None:
    """What a URL, a header, a parameter or an assignment carries is gone, whatever stands around it."""
    told = redact(f"{before}\n{form.format(key)}\n{after}", {})
    assert key not in told.replace(before, "").replace(after, "")
    assert MARK in told
    assert told == redact(told, {})
    assert MARK in redact(form.format(key), {})


@pytest.mark.parametrize(
    "text",
    [
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_" + "a1B2" * 9,
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nMIIE cut short",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abcdefgh",
    ],
)
def test_keys_of_known_services_are_marks(text: str) -> None:
    """Keys that are recognized by themselves leave nothing but the mark."""
    assert f"key {MARK}" == redact(f"key {text}", {})


@pytest.mark.parametrize(
    "text",
    [
        "mat1 and mat2 shapes cannot be multiplied (64x784 and 100x10)",
        'File "/home/me/nets.py", line 3, in build\n    token = os.environ["HF_TOKEN"]',
        "https://example.org:8080/a/b?width=64&seed=3",
        "KeyError: 'password'",
        "runs/quickstart: no sweep 'token' here. Known sweeps: secret",
        "num_tokens=12, tokenizer='bpe' is fine",
        "mail me@example.org about AKIA",
        "basic understanding of bearer channels",
        "3f2a" * 16,
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    """Shapes, paths, hashes, plain addresses and the names of variables are left as they are."""
    assert text == redact(
        text, {"TOKENIZERS_PARALLELISM": "multiplied", "PATH": "example", "MY_TOKEN": "3f2a"}
    )


def test_a_name_that_holds_another_is_covered_by_the_longest() -> None:
    """Of two secrets of which one begins the other, nothing of the longer one stays."""
    assert MARK == redact("abcdef-ghijkl", {"A_TOKEN": "abcdef", "B_TOKEN": "abcdef-ghijkl"})


@pytest.mark.parametrize(
    "part", ["a.", "a://b:c", "token=", "-----BEGIN PRIVATE KEY-----", "x", "?sig=", "eyJaaaaaaaaaa."]
)
def test_long_texts_are_read_in_linear_time(part: str) -> None:
    """A text of a quarter of a million characters that is made to hurt takes no minutes of a processor."""
    start = time.process_time()
    redact(part * (250_000 // len(part)), {})
    assert time.process_time() - start < 60
