"""Object storage in this process: what a bucket holds, what was asked of it, and how it can fail."""

from __future__ import annotations

import errno
import hashlib
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest


@dataclass(frozen=True)
class FakeStamp:
    """What a listing says of an object."""

    size: int
    modified_ns: int
    etag: str | None


class Away(OSError):
    """The storage does not answer."""

    remedy = "Check the network"


@dataclass
class Bucket:
    """All objects under one URI, and the requests that were made."""

    content: dict[str, bytes] = field(default_factory=dict)
    stamps: dict[str, FakeStamp] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    before: Callable[[str, str], None] = lambda verb, path: None
    """Called with each request before it is answered; what it raises is the answer."""
    lock: threading.RLock = field(default_factory=threading.RLock)

    def away(self) -> None:
        """From now on nothing is answered."""

        def refuse(verb: str, path: str) -> None:
            raise Away(errno.ECONNREFUSED, "the service cannot be reached", path)

        self.before = refuse

    def back(self) -> None:
        """From now on everything is answered again."""
        self.before = lambda verb, path: None


class FakeObjects:
    """``lmc_sweep.store.objects.Objects`` over a bucket in memory."""

    def __init__(self, uri: str, bucket: Bucket) -> None:
        self.uri, self.bucket = uri.rstrip("/"), bucket

    def _ask(self, verb: str, path: str) -> None:
        with self.bucket.lock:
            self.bucket.asked[verb] += 1
        self.bucket.before(verb, path)

    def get(self, path: str) -> bytes:
        """The content."""
        self._ask("get", path)
        if path not in self.bucket.content:
            raise FileNotFoundError(errno.ENOENT, "no such object", path)
        return self.bucket.content[path]

    def download(self, path: str, target: Path) -> None:
        """The content as a file."""
        content = self.get(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.parent / f".{target.name}.{uuid.uuid4().hex}.tmp"
        temporary.write_bytes(content)
        temporary.replace(target)

    def put(self, path: str, content: Iterable[bytes], replace: bool) -> None:
        """Stores the content, whole."""
        joined = b"".join(bytes(piece) for piece in content)
        self._ask("put", path)
        with self.bucket.lock:
            if replace or path not in self.bucket.content:
                self.bucket.content[path] = joined
                etag = hashlib.sha256(joined).hexdigest()
                self.bucket.stamps[path] = FakeStamp(len(joined), time.time_ns(), etag)

    def list(self, prefix: str = "") -> dict[str, FakeStamp]:
        """What lies below a folder."""
        self._ask("list", prefix)
        folder = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        with self.bucket.lock:
            return {path: stamp for path, stamp in self.bucket.stamps.items() if path.startswith(folder)}

    def tops(self) -> set[str]:
        """What the paths begin with."""
        self._ask("list", "")
        return {path.partition("/")[0] for path in self.bucket.content}

    def delete(self, path: str) -> None:
        """Takes an object away."""
        self._ask("delete", path)
        with self.bucket.lock:
            self.bucket.content.pop(path, None)
            self.bucket.stamps.pop(path, None)

    def copy(self, source: str, target: str) -> None:
        """The same content under another name."""
        self._ask("copy", source)
        self.put(target, [self.get(source)], replace=True)

    def exists(self, path: str) -> bool:
        """Whether an object is there."""
        self._ask("head", path)
        return path in self.bucket.content


class Buckets:
    """The buckets of a test by URI; whoever opens a URI in this process gets its bucket."""

    def __init__(self) -> None:
        self._found: dict[str, Bucket] = {}

    def __getitem__(self, uri: str) -> Bucket:
        return self._found.setdefault(uri.rstrip("/"), Bucket())

    def open(self, uri: str) -> FakeObjects:
        """What ``open_objects`` returns; of a folder in a bucket what it holds now."""
        for outer, bucket in self._found.items():
            if uri.startswith(f"{outer}/"):
                folder = uri.removeprefix(f"{outer}/").rstrip("/") + "/"
                inside = {
                    p.removeprefix(folder): c for p, c in bucket.content.items() if p.startswith(folder)
                }
                return FakeObjects(uri, Bucket(inside))
        return FakeObjects(uri, self[uri])


def use_fake_objects(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Buckets:
    """Buckets that take the place of object storage, and a mirror in a folder of the test's own."""
    buckets = Buckets()
    monkeypatch.setattr("lmc_sweep.store.objects.open_objects", buckets.open)
    monkeypatch.setenv("LMC_SWEEP_CACHE", str(cache))
    return buckets
