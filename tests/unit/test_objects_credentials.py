"""What is read of the environment before a service is asked, and what is told where that does not do."""

from __future__ import annotations

import http.server
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from s3_server import S3Server, fresh_uri

from lmc_sweep.errors import StoreError
from lmc_sweep.store import object_clients
from lmc_sweep.store.object_errors import ObjectError
from lmc_sweep.store.objects import open_objects


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, and no variable of any service."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "AZURE_", "GOOGLE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(object_clients, "_METADATA", "127.0.0.1:9")
    return tmp_path


class _Role(http.server.BaseHTTPRequestHandler):
    """Answers as a machine of the cloud does that has a role."""

    asked: ClassVar[list[str]] = []

    def do_PUT(self) -> None:
        _Role.asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_PUT

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def role() -> Iterator[str]:
    """The address of what tells of a machine's role."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Role)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("uri", "variable"),
    [
        ("s3://bucket/x", "AWS_ACCESS_KEY_ID"),
        ("gs://bucket/x", "GOOGLE_APPLICATION_CREDENTIALS"),
        ("az://container/x", "AZURE_STORAGE_ACCOUNT_NAME"),
    ],
)
def test_without_credentials(uri: str, variable: str) -> None:
    """Without credentials a store is refused at once, with the variables that are missing."""
    started = time.monotonic()
    with pytest.raises(StoreError) as refused:
        open_objects(uri)
    assert variable in str(refused.value)
    assert "\n" not in str(refused.value)
    assert time.monotonic() - started < 90  # the client library by itself asks for a role for 180 s


def test_an_account_without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """An Azure account without a key or a role is refused with the variable of the key."""
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    with pytest.raises(StoreError, match="AZURE_STORAGE_ACCOUNT_KEY"):
        open_objects("az://container/x")


def test_half_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """An id without its secret is refused with the name of what is missing."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    with pytest.raises(StoreError, match="AWS_SECRET_ACCESS_KEY is not"):
        open_objects("s3://bucket/x")


@pytest.mark.parametrize("scheme", ["s3", "gs", "az"])
def test_a_machine_with_a_role(scheme: str, role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the machine has a role of its own no variable is needed but Azure's account."""
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://{role}")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setattr(object_clients, "_METADATA", role)
    asked = len(_Role.asked)
    assert f"{scheme}://bucket/x" == open_objects(f"{scheme}://bucket/x").uri
    assert asked + 1 == len(_Role.asked)


def test_metadata_that_is_disabled_is_not_asked(role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS_EC2_METADATA_DISABLED keeps from asking for a role."""
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://{role}")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    asked = len(_Role.asked)
    with pytest.raises(StoreError, match="no credentials"):
        open_objects("s3://bucket/x")
    assert asked == len(_Role.asked)


@pytest.mark.parametrize("profile", ["default", "lab"])
def test_keys_of_a_profile(
    profile: str, home: Path, s3_process: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys, region and server of a profile in ~/.aws serve where the environment has none."""
    section = "default" if profile == "default" else f"profile {profile}"
    (home / ".aws").mkdir()
    (home / ".aws" / "credentials").write_text(
        f"[{profile}]\naws_access_key_id = id-of-a-profile\naws_secret_access_key = secret\n"
    )
    (home / ".aws" / "config").write_text(
        f"[{section}]\nregion = us-east-1\nendpoint_url = {s3_process.endpoint}\n"
    )
    if profile != "default":
        monkeypatch.setenv("AWS_PROFILE", profile)
    objects = open_objects(fresh_uri())
    objects.put("a", [b"content"], replace=False)
    assert b"content" == objects.get("a")


def test_a_profile_that_is_not_there(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS_PROFILE with a name that no file has is refused with that name."""
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(StoreError, match="AWS_PROFILE=nobody"):
        open_objects("s3://bucket/x")


@pytest.mark.parametrize("key", ["sso_session", "role_arn", "credential_process"])
def test_profiles_that_get_their_keys_elsewhere(home: Path, key: str) -> None:
    """A profile without keys of its own is refused with what it uses, and the way round."""
    (home / ".aws").mkdir()
    (home / ".aws" / "config").write_text(f"[default]\n{key} = something\n")
    with pytest.raises(StoreError, match=f"{key}.*export-credentials"):
        open_objects("s3://bucket/x")


def test_a_broken_profile_file(home: Path) -> None:
    """A file of profiles that is none is refused with its variable, and not quoted."""
    (home / ".aws").mkdir()
    (home / ".aws" / "credentials").write_text("aws_secret_access_key = 12345678\n")
    with pytest.raises(StoreError, match="AWS_SHARED_CREDENTIALS_FILE") as refused:
        open_objects("s3://bucket/x")
    assert "12345678" not in str(refused.value)


def test_a_bundle_of_certificates_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS_CA_BUNDLE with a path that cannot be read is refused with both."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_CA_BUNDLE", "/nowhere/certificates.pem")
    with pytest.raises(StoreError, match=r"AWS_CA_BUNDLE=/nowhere/certificates.pem"):
        open_objects("s3://bucket/x")


def test_an_unreadable_service_account(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials of Google that are not there, or are no service account, are refused at once."""
    for name, content in (("missing.json", None), ("other.json", json.dumps({"private_key": "12345678"}))):
        if content is not None:
            (home / name).write_text(content)
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(home / name))
        with pytest.raises(StoreError, match="cannot be used") as refused:
            open_objects("gs://bucket/x")
        assert "12345678" not in str(refused.value)


def test_a_key_of_azure_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """An account key that is no base64 is refused at once and not repeated."""
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "notbase64!!")
    with pytest.raises(StoreError, match="AZURE_STORAGE_ACCOUNT_KEY") as refused:
        open_objects("az://container/x")
    assert "notbase64" not in str(refused.value)


@pytest.mark.parametrize(
    "address", ["localhost:9000", "127.0.0.1:9000", "http://", "http://a:b:c", "http://a b"]
)
@pytest.mark.parametrize(
    ("uri", "variable"),
    [
        ("s3://bucket/x", "AWS_ENDPOINT_URL"),
        ("gs://bucket/x", "GOOGLE_BASE_URL"),
        ("az://bucket/x", "AZURE_STORAGE_ENDPOINT"),
    ],
)
def test_addresses_that_are_none(
    uri: str, variable: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable that should name a server and does not is refused with its name before anything else."""
    monkeypatch.setenv(variable, address)
    with pytest.raises(StoreError, match=f"{variable}=.*http://HOST:PORT"):
        open_objects(uri)


def test_the_client_library_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What breaks inside the client library, which raises no Exception then, is told like other errors."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setattr(object_clients, "require_server", lambda address, said: None)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "localhost:9000")
    with pytest.raises(ObjectError, match="the client library broke"):
        open_objects("s3://bucket/x").get("a")
