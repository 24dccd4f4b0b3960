"""An S3 server for tests: moto's, in a process of its own on a free port of this machine.

Run as a program it serves until its standard input closes, so that it ends with whoever started it,
however that one dies.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

BUCKET = "store-bucket"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "id-of-the-tests",
    "AWS_SECRET_ACCESS_KEY": "key-of-the-tests",
    "AWS_REGION": "us-east-1",
}
OTHER_VARIABLES = (
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT",
    "AWS_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_DEFAULT_REGION",
    "AWS_CA_BUNDLE",
    "HTTP_PROXY",
    "http_proxy",
)


@dataclass(frozen=True)
class S3Server:
    """A server that runs, with a bucket; ``port`` is on the loopback."""

    port: int

    @property
    def endpoint(self) -> str:
        """What AWS_ENDPOINT_URL has to be."""
        return f"http://127.0.0.1:{self.port}"

    def environment(self, endpoint: str = "") -> dict[str, str]:
        """The variables by which a client finds this server, or what stands before it."""
        return {**ENVIRONMENT, "AWS_ENDPOINT_URL": endpoint or self.endpoint}

    def request(self, method: str, path: str, body: bytes = b"") -> bytes:
        """The answer to a request that no client library has a hand in; ``path`` begins with a bucket."""
        headers = {"Authorization": "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request"}
        asked = urllib.request.Request(f"{self.endpoint}/{path}", body, headers, method=method)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=300) as answer:
            return answer.read()  # type: ignore[no-any-return]


def fresh_uri() -> str:
    """A prefix of the bucket that nobody has used."""
    return f"s3://{BUCKET}/{uuid.uuid4().hex}"


@contextmanager
def serving() -> Iterator[S3Server]:
    """A server with an empty bucket, which ends with the block."""
    environment = {**os.environ, **ENVIRONMENT}
    process = subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        told = process.stdout.readline()
        assert told, "the S3 server did not start"
        server = S3Server(int(told))
        server.request("PUT", BUCKET)
        yield server
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def _serve() -> None:
    """Serves until standard input closes; the first line on standard output is the port."""
    from moto.server import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    application = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=MotoRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    _serve()
