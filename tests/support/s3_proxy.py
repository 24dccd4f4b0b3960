"""Stands before an S3 server and does to requests what networks and services do: loses, delays, refuses.

It serves from threads of the test, which says by a rule what happens to each request, and sees afterwards
what was asked.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Literal

SLOW_DOWN = (
    b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"
)


@dataclass(frozen=True)
class Request:
    """What a client asks; ``number`` counts from 0, ``path`` holds the query too."""

    method: str
    path: str
    number: int
    headers: str


@dataclass(frozen=True)
class Fault:
    """What happens to a request.

    Attributes:
        kind: ``pass``: nothing. ``refuse``: ``status`` is answered and the server sees nothing. ``reset``:
            the connection breaks before the server sees anything. ``lose``: the server does what it is
            asked, and the connection breaks before it can say so. ``cut``: the answer breaks off half-way.
            ``hang``: the connection stays open, and there is no answer.
        seconds: Goes by before anything else.
    """

    kind: Literal["pass", "refuse", "reset", "lose", "cut", "hang"] = "pass"
    seconds: float = 0.0
    status: str = "503 Slow Down"
    body: bytes = SLOW_DOWN


PASS = Fault()
Rule = Callable[[Request], Fault]


def refusing(status: str, code: str) -> Fault:
    """A fault by which the service refuses with a status such as ``403 Forbidden`` and a code of S3."""
    return Fault("refuse", status=status, body=f"<Error><Code>{code}</Code></Error>".encode())


def some(share: float, *faults: Fault, seed: int = 0) -> Rule:
    """A rule by which a share of the requests fails, with each of the faults alike; the rest passes."""

    def rule(request: Request) -> Fault:
        drawn = zlib.crc32(f"{seed}/{request.number}".encode()) / 2**32
        return faults[int(drawn / share * len(faults))] if drawn < share else PASS

    return rule


def first(num: int, fault: Fault, method: str = "", part: str = "") -> Rule:
    """A rule by which the first requests fail that have a method and a part of a path."""
    left = [num]

    def rule(request: Request) -> Fault:
        if request.method.startswith(method) and part in request.path and left[0] > 0:
            left[0] -= 1
            return fault
        return PASS

    return rule


class Proxy:
    """A proxy that runs. ``rule`` may change at any time; ``seen`` is what was asked, and what happened."""

    def __init__(self, server_port: int) -> None:
        self.rule: Rule = lambda request: PASS
        self.seen: list[tuple[Request, Fault]] = []
        self._server_port = server_port
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener = self._listen(0)
        self.port: int = self._listener.getsockname()[1]

    @property
    def endpoint(self) -> str:
        """What AWS_ENDPOINT_URL has to be."""
        return f"http://127.0.0.1:{self.port}"

    def num_seen(self, method: str, part: str = "") -> int:
        """How many requests were asked that have a method and a part of a path."""
        return sum(r.method == method and part in r.path for r, _ in list(self.seen))

    def go_away(self) -> None:
        """Nobody answers under the address any more, and all connections break."""
        _end(self._listener)
        with self._lock:
            for connection in self._open:
                _end(connection)

    def come_back(self) -> None:
        """Answers again under the same address."""
        self._listener = self._listen(self.port)

    def _listen(self, port: int) -> socket.socket:
        """A socket that listens, and a thread that serves it."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(128)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return listener

    def _accept(self, listener: socket.socket) -> None:
        """Serves every connection in a thread of its own, until the socket is closed."""
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        """Answers one request, as the rule says; connections are not kept."""
        with self._lock:
            self._open.add(connection)
        with closing(connection), suppress(OSError):
            asked = _message(connection)
            if asked:
                self._answer(connection, asked)
        with self._lock:
            self._open.discard(connection)

    def _answer(self, connection: socket.socket, asked: bytes) -> None:
        """What becomes of one request."""
        head = asked.partition(b"\r\n\r\n")[0].decode("latin-1")
        method, path, _ = head.split("\r\n")[0].split(" ", 2)
        with self._lock:
            request = Request(method, path, len(self.seen), head)
            fault = self.rule(request)
            self.seen.append((request, fault))
        time.sleep(fault.seconds)
        if fault.kind == "hang":
            connection.recv(1)  # until the client gives up
            return
        if fault.kind == "reset":
            _break(connection)
            return
        if fault.kind == "refuse":
            length = 0 if method == "HEAD" else len(fault.body)
            connection.sendall(
                f"HTTP/1.1 {fault.status}\r\nContent-Type: application/xml\r\nContent-Length: {length}\r\n"
                "Connection: close\r\n\r\n".encode()
                + fault.body[:length]
            )
            return
        answer = self._forward(asked)
        if fault.kind == "lose":
            _break(connection)
        elif fault.kind == "cut":
            head_bytes, _, body = answer.partition(b"\r\n\r\n")
            connection.sendall(head_bytes + b"\r\n\r\n" + body[: len(body) // 2])
            time.sleep(0.05)  # the client gets the half before the connection breaks
            _break(connection)
        else:
            connection.sendall(answer)

    def _forward(self, asked: bytes) -> bytes:
        """The server's whole answer."""
        with socket.create_connection(("127.0.0.1", self._server_port)) as server:
            server.sendall(asked)
            pieces = []
            while piece := server.recv(1 << 20):
                pieces.append(piece)
        return b"".join(pieces)


@contextmanager
def standing_before(server_port: int) -> Iterator[Proxy]:
    """A proxy before the server on this port, which ends with the block."""
    proxy = Proxy(server_port)
    try:
        yield proxy
    finally:
        proxy.go_away()


def _message(connection: socket.socket) -> bytes:
    """A whole request; empty when the client has closed the connection."""
    received = bytearray()
    while b"\r\n\r\n" not in received:
        piece = connection.recv(1 << 16)
        if not piece:
            return b""
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    pieces, have = [bytes(received)], len(body)
    while have < length:
        piece = connection.recv(1 << 20)
        if not piece:
            return b""
        pieces.append(piece)
        have += len(piece)
    return b"".join(pieces)


def _break(connection: socket.socket) -> None:
    """Ends a connection so that the other side gets "connection reset"."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def _end(opened: socket.socket) -> None:
    """Closes a socket, and wakes whoever waits for it."""
    with suppress(OSError):
        opened.shutdown(socket.SHUT_RDWR)
    opened.close()
