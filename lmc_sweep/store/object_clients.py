"""Clients of the three services, made of what the environment says and of nothing else.

Addresses and keys are read by the client library from each service's own variables. What is added here:
the keys of a profile in ``~/.aws``, the certificates of AWS_CA_BUNDLE, and a look whether there are
credentials at all, since the library would only find out at the first request, after minutes of asking an
address that answers in the cloud alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lmc_sweep.errors import StoreError
from lmc_sweep.store.aws_profiles import is_set, keys_of_a_profile, require_server
from lmc_sweep.store.object_errors import CREDENTIALS
from lmc_sweep.store.object_uris import ObjectUri, Scheme

if TYPE_CHECKING:
    from obstore.store import AzureStore, GCSStore, S3Store

    Client = AzureStore | GCSStore | S3Store

CONNECT_SECONDS = 3.0
RETRY_SECONDS = 6.0
"""For how long a request that failed is tried again: somebody may be waiting. Workers have more patience."""
SILENCE_SECONDS = 20.0
"""How long to wait for an answer, or for more of it."""
SENDING_SECONDS = 120.0
"""How long one request with content may take: a part of 8 MiB at 70 kB/s."""
_WHOLE_SECONDS = 24 * 3600.0  # large files may take long, as long as something arrives
_METADATA = "169.254.169.254"
_METADATA_SECONDS = 1.0

_ENOUGH: Mapping[Scheme, tuple[str, ...]] = {
    "s3": (
        "AWS_ACCESS_KEY_ID",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_SKIP_SIGNATURE",
    ),
    "gs": (
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GOOGLE_SERVICE_ACCOUNT",
        "GOOGLE_SERVICE_ACCOUNT_PATH",
        "GOOGLE_SERVICE_ACCOUNT_KEY",
        "GOOGLE_BEARER_TOKEN",
        "GOOGLE_SKIP_SIGNATURE",
    ),
    "az": (
        "AZURE_STORAGE_ACCOUNT_KEY",
        "AZURE_STORAGE_ACCESS_KEY",
        "AZURE_STORAGE_MASTER_KEY",
        "AZURE_STORAGE_SAS_KEY",
        "AZURE_STORAGE_SAS_TOKEN",
        "AZURE_STORAGE_TOKEN",
        "AZURE_STORAGE_CLIENT_SECRET",
        "AZURE_CLIENT_SECRET",
        "AZURE_FEDERATED_TOKEN_FILE",
        "AZURE_IDENTITY_ENDPOINT",
        "AZURE_MSI_ENDPOINT",
        "AZURE_USE_AZURE_CLI",
        "AZURE_SKIP_SIGNATURE",
        "AZURE_STORAGE_USE_EMULATOR",
    ),
}
# What answers on a machine in the cloud that has a role of its own.
_ROLE: Mapping[Scheme, tuple[str, str, dict[str, str]]] = {
    "s3": ("PUT", "/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"}),
    "gs": ("GET", "/computeMetadata/v1/instance/id", {"Metadata-Flavor": "Google"}),
    "az": ("GET", "/metadata/instance?api-version=2021-02-01", {"Metadata": "true"}),
}
_SERVERS: Mapping[Scheme, tuple[str, ...]] = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "gs": ("GOOGLE_BASE_URL",),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}


def make_clients(uri: ObjectUri) -> tuple[Client, Client]:
    """A client for requests that only ask, and one for requests that send content.

    They differ in how long one request may take. StoreError names the variables where there are no
    credentials, or where what they say cannot be used.
    """
    config = _config(uri)
    return (
        _client(uri, config, SILENCE_SECONDS),
        _client(uri, config, SENDING_SECONDS),
    )


def _client(uri: ObjectUri, config: dict[str, Any], silence_seconds: float) -> Client:
    """One client, which gives a request up after so many seconds of silence."""
    from obstore.exceptions import BaseError
    from obstore.store import AzureStore, GCSStore, S3Store

    options: dict[str, Any] = {
        "allow_http": True,  # where the environment names a server with http://, and nowhere else
        "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
        "read_timeout": timedelta(seconds=silence_seconds),
        "timeout": timedelta(seconds=_WHOLE_SECONDS),
        "user_agent": "lmc-sweep",
    }
    if uri.scheme == "s3" and (bundle := os.environ.get("AWS_CA_BUNDLE")):
        options["root_certificate"] = _read(Path(bundle), "AWS_CA_BUNDLE")
    retries: Any = {
        "max_retries": 10,
        "retry_timeout": timedelta(seconds=RETRY_SECONDS),
        "backoff": {
            "init_backoff": timedelta(seconds=0.1),
            "max_backoff": timedelta(seconds=2),
            "base": 2,
        },
    }
    make: Any = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}[uri.scheme]
    try:
        return make(  # type: ignore[no-any-return]
            uri.bucket,
            prefix=uri.prefix or None,
            config=config or None,
            client_options=options,
            retry_config=retries,
        )
    except (BaseError, ValueError) as error:
        told = str(error).split("\n")[0].split(": ", 1)[-1]
        raise StoreError(
            f"{uri}: what the environment says of {uri.service} cannot be used: {told}. "
            f"{CREDENTIALS[uri.scheme]}."
        ) from error


def _config(uri: ObjectUri) -> dict[str, Any]:
    """What the client library must be told beside what it reads from the environment itself."""
    config: dict[str, Any] = {}
    for variable in filter(is_set, _SERVERS[uri.scheme]):
        require_server(os.environ[variable], variable)
    if uri.scheme == "az" and not is_set("AZURE_STORAGE_USE_EMULATOR"):
        account = os.environ.get("AZURE_STORAGE_ACCOUNT_NAME")
        if not account:
            raise StoreError(f"{uri}: no storage account is named. {CREDENTIALS['az']}.")
        config["account_name"] = account
    if uri.scheme == "s3":
        # one request per name deletes on every service that speaks S3; requests for many do not
        config["disable_bulk_delete"] = True
        if not any(map(is_set, _ENOUGH["s3"])):
            config |= keys_of_a_profile(uri)
    found = "aws_access_key_id" in config or any(map(is_set, _ENOUGH[uri.scheme]))
    if uri.scheme == "gs":
        found = found or _google_default().is_file()
    if not found and not _has_role(uri.scheme):
        raise StoreError(
            f"{uri}: no credentials for {uri.service} were found, and no role of this machine. "
            f"{CREDENTIALS[uri.scheme]}."
        )
    if uri.scheme == "s3" and is_set("AWS_ACCESS_KEY_ID") and not is_set("AWS_SECRET_ACCESS_KEY"):
        raise StoreError(f"{uri}: AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not. Set both.")
    return config


def _google_default() -> Path:
    """Where ``gcloud auth application-default login`` leaves its credentials."""
    return Path("~/.config/gcloud/application_default_credentials.json").expanduser()


def _has_role(scheme: Scheme) -> bool:
    """Whether this machine is one in the cloud, which may have a role; asked for a second at most."""
    import http.client

    if scheme == "s3" and os.environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        return False
    method, path, headers = _ROLE[scheme]
    address = os.environ.get("AWS_METADATA_ENDPOINT") if scheme == "s3" else None
    place = urlsplit(address).netloc if address else _METADATA
    connection = http.client.HTTPConnection(place, timeout=_METADATA_SECONDS)
    try:
        connection.request(method, path, headers=headers)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _read(path: Path, variable: str) -> bytes:
    """The content of a file that a variable of the environment names."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise StoreError(
            f"{variable}={path}: cannot be read: {error.strerror}. Correct or unset it."
        ) from error
