"""Keys of a profile in ``~/.aws``, as far as they stand there; and what variables of the environment hold."""

from __future__ import annotations

import configparser
import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from lmc_sweep.errors import StoreError
from lmc_sweep.redaction import redact
from lmc_sweep.store.object_uris import ObjectUri

_KEYS_OF_PROFILES = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
_ELSEWHERE = ("sso_session", "sso_start_url", "role_arn", "credential_process", "login_session")
_ADDRESS = re.compile(r"https?://[A-Za-z0-9._:\[\]/-]+")


def keys_of_a_profile(uri: ObjectUri) -> dict[str, str]:
    """Keys, region and server of the profile that AWS_PROFILE names, as the client library is told them.

    Nothing where no profile is named and the default one has no keys; StoreError where a named one is not
    there, or gets its keys in a way that is not read here.
    """
    named = os.environ.get("AWS_PROFILE")
    profile = named or "default"
    told: dict[str, str] = {}
    for variable, default, section in (
        ("AWS_CONFIG_FILE", "~/.aws/config", profile if profile == "default" else f"profile {profile}"),
        ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials", profile),
    ):
        parser = configparser.RawConfigParser(strict=False)
        try:
            parser.read(Path(os.environ.get(variable) or default).expanduser(), encoding="utf-8")
        except (OSError, configparser.Error, UnicodeDecodeError) as error:
            raise StoreError(f"{variable} ({default}): cannot be read: {type(error).__name__}.") from error
        if parser.has_section(section):
            told |= dict(parser.items(section))
    if named and not told:
        raise StoreError(f"{uri}: AWS_PROFILE={named}: there is no such profile in ~/.aws. Name another.")
    keys = {key: told[key] for key in _KEYS_OF_PROFILES if told.get(key)}
    if not keys and (other := [key for key in _ELSEWHERE if key in told]):
        raise StoreError(
            f"{uri}: profile {profile!r} of ~/.aws gets its keys by {other[0]}, which is not read here. "
            'Put them into the environment: eval "$(aws configure export-credentials --format env)".'
        )
    if keys and told.get("region") and not (is_set("AWS_REGION") or is_set("AWS_DEFAULT_REGION")):
        keys["aws_region"] = told["region"]
    if keys and told.get("endpoint_url") and not is_set("AWS_ENDPOINT_URL"):
        require_server(told["endpoint_url"], f"endpoint_url of profile {profile!r}")
        keys["aws_endpoint"] = told["endpoint_url"]
    return keys


def require_server(address: str, said: str) -> None:
    """Raises StoreError unless an address is one of a server: the client library breaks on some others."""
    try:
        parts = urlsplit(address)
        usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port)
    except ValueError:
        usable = False
    if not usable or not _ADDRESS.fullmatch(address):
        raise StoreError(
            f"{said}={redact(address)}: is no address of a server. Write http://HOST:PORT or https://HOST."
        )


def is_set(variable: str) -> bool:
    """Whether a variable of the environment holds something."""
    return bool(os.environ.get(variable))
