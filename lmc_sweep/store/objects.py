"""Objects below one prefix of a bucket: read, written, listed, whole or not at all.

A name appears with its whole content or does not appear: a service shows an object when its PUT, or the
last request of an upload in parts, has succeeded. What fails on the way is tried again for some seconds
here; who has results in hand waits longer around that (``terms.patiently``). A request that succeeded and
whose answer was lost is asked again, which is harmless: names say what the content is, so a name that is
taken holds what was to be written.
"""

from __future__ import annotations

import errno
import itertools
import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from lmc_sweep.store.object_calls import asked
from lmc_sweep.store.object_clients import RETRY_SECONDS, make_clients
from lmc_sweep.store.object_errors import AGAIN, PASSING, ObjectError, is_conflict, is_not_offered
from lmc_sweep.store.object_uris import ObjectUri, parse_uri

T = TypeVar("T")
Bytes = bytes | bytearray | memoryview

PART_BYTES = 8 * 2**20
"""Size of one request with content. What is larger travels in parts, of which S3 allows ten thousand."""
LARGEST_SINGLE_BYTES = 16 * 2**20
_PARTS_AT_ONCE = 4
_PAGE = 1000  # names that one request lists, on all three services
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 2.0


@dataclass(frozen=True)
class ObjectStamp:
    """What a listing tells of an object.

    Attributes:
        size: Bytes.
        modified_ns: Time of its last change by the service's clock, in nanoseconds since 1970, UTC; services
            tell whole seconds or thousandths.
        etag: Changes whenever the content does; some services have none.
    """

    size: int
    modified_ns: int
    etag: str | None


class Objects:
    """The objects below a prefix; may be used by several threads, and travels between processes as its URI.

    Paths are relative to the prefix, with slashes. Errors are OSErrors: FileNotFoundError where the object
    is missing, else ObjectError, which tells a remedy and by its ``errno`` whether waiting may help.
    """

    def __init__(self, uri: ObjectUri) -> None:
        self.uri = str(uri)
        self._uri = uri
        self._asking, self._sending = make_clients(uri)
        self._offers_new = True  # conditional writes, until the service says otherwise

    def __reduce__(self) -> tuple[Any, ...]:
        """Travels without keys: every process reads its own environment."""
        return open_objects, (self.uri,)

    def __repr__(self) -> str:
        return f"Objects({self.uri!r})"

    def get(self, path: str) -> bytes:
        """The content of an object; FileNotFoundError when there is none."""
        import obstore

        return self._asked(lambda: bytes(obstore.get(self._asking, path).bytes()), path)

    def download(self, path: str, target: Path) -> None:
        """Puts an object's content at a path of this machine, whole and on disk, or not at all."""
        import obstore

        answer = self._asked(lambda: obstore.get(self._asking, path), path)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.parent / f".{uuid.uuid4().hex}.tmp"
        try:
            with temporary.open("xb") as file:
                pieces = iter(answer.stream(PART_BYTES))
                while (piece := self._asked(lambda: next(pieces, None), path)) is not None:
                    file.write(piece)
                if file.tell() != answer.meta["size"]:
                    raise self._torn(path)
                file.flush()
                os.fsync(file.fileno())  # a loss of power must not leave an empty copy under the name
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)

    def put(self, path: str, content: Iterable[Bytes], replace: bool) -> None:
        """Writes an object, which is seen whole or not at all.

        Args:
            content: Pieces of the content, one after another; read once.
            replace: Put it in the place of one that is there; else that one is left as it is, and counts as
                written. Of several who write a new name at once the first one counts, except where the
                content takes more than one request or the service has no conditional writes: there the last.
        """
        beginning, rest = _begun(content)
        if rest is not None:
            self._put_parts(path, itertools.chain([beginning], rest), replace)
        elif replace:
            self._put_over(path, beginning)
        else:
            self._put_new(path, beginning)

    def list(self, prefix: str = "") -> dict[str, ObjectStamp]:
        """Every object below a folder, by path, on however many pages; {} when there is none.

        Several pages are not of one moment: what appears or vanishes meanwhile may be among them or not.
        """
        import obstore

        folder = prefix.strip("/")
        found: dict[str, ObjectStamp] = {}
        pages: Iterator[Any] = iter(
            self._asked(lambda: obstore.list(self._asking, folder or None, chunk_size=_PAGE), prefix)
        )
        while (page := self._asked(lambda: next(pages, None), prefix)) is not None:
            for entry in page:
                # consoles of the services make empty objects that stand for the folder itself
                if entry["path"] not in ("", folder):
                    modified = round(entry["last_modified"].timestamp() * 1e6) * 1000
                    found[entry["path"]] = ObjectStamp(entry["size"], modified, entry["e_tag"])
        return found

    def tops(self) -> set[str]:
        """What the paths begin with, up to the first slash: one request, however much lies below."""
        import obstore

        found = self._asked(lambda: obstore.list_with_delimiter(self._asking), "")
        names = [*found["common_prefixes"], *(entry["path"] for entry in found["objects"])]
        return {name.partition("/")[0] for name in names} - {""}

    def delete(self, path: str) -> None:
        """Deletes an object; one that is not there is no error."""
        import obstore

        with suppress(FileNotFoundError):
            self._asked(lambda: obstore.delete(self._asking, path), path)

    def copy(self, source: str, target: str) -> None:
        """Copies an object within the service, over one that is there; FileNotFoundError without a source."""
        import obstore

        self._asked(lambda: obstore.copy(self._sending, source, target), source)

    def exists(self, path: str) -> bool:
        """Whether there is an object of this name."""
        import obstore

        try:
            self._asked(lambda: obstore.head(self._asking, path), path)
        except FileNotFoundError:
            return False
        return True

    def _put_over(self, path: str, content: bytes) -> None:
        """Writes an object in one request, whatever is there."""
        import obstore

        self._asked(lambda: obstore.put(self._sending, path, content, use_multipart=False), path)

    def _put_new(self, path: str, content: bytes) -> None:
        """Writes an object in one request unless the name is taken.

        The client library does not try such a request again when the connection broke, since it may have
        succeeded; to us that makes no difference. Nor when S3 says "conflict", which it also says of a name
        that somebody is deleting or writing and that may be free in a moment.
        """
        import obstore

        give_up_at = time.monotonic() + RETRY_SECONDS
        pause = _FIRST_PAUSE_SECONDS
        while self._offers_new:
            try:
                self._asked(lambda: obstore.put(self._sending, path, content, mode="create"), path)
                return
            except OSError as error:
                cause = error.__cause__ or error
                if is_conflict(cause) and self.exists(path):
                    return
                if is_not_offered(cause):
                    self._offers_new = False
                elif error.errno not in PASSING or time.monotonic() + pause > give_up_at:
                    raise
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        if not self.exists(path):
            self._put_over(path, content)

    def _put_parts(self, path: str, content: Iterable[Bytes], replace: bool) -> None:
        """Writes a large object, which appears with the last request."""
        import obstore

        if not replace and self.exists(path):
            return
        options: Any = {"use_multipart": True, "chunk_size": PART_BYTES, "max_concurrency": _PARTS_AT_ONCE}
        try:
            self._asked(lambda: obstore.put(self._sending, path, content, **options), path)
        except OSError as error:
            # when the answer to the last request is lost and that is asked again, the upload is not known
            if replace or not self.exists(path):
                lost = ObjectError(
                    errno.EIO, f"the upload failed: {error.strerror}", f"{self.uri}/{path}", AGAIN
                )
                raise (lost if isinstance(error, FileNotFoundError) else error) from error.__cause__

    def _torn(self, path: str) -> ObjectError:
        """What to raise where less arrived than the service said there is."""
        return ObjectError(errno.EIO, "the content arrived only in part", f"{self.uri}/{path}", AGAIN)

    def _asked(self, action: Callable[[], T], path: str) -> T:
        """What a request of the client library returns; its errors as OSErrors."""
        return asked(action, self._uri, path)


def open_objects(uri: str) -> Objects:
    """The objects below a URI such as ``s3://bucket/prefix``, of which there need not be any.

    Nothing is asked of the service yet. StoreError names the remedy where the URI is of another kind, and
    where there are no credentials.
    """
    return Objects(parse_uri(uri))


def _begun(content: Iterable[Bytes]) -> tuple[bytes, Iterator[Bytes] | None]:
    """All of the content, or its beginning and the pieces that follow where it is large."""
    beginning = bytearray()
    pieces = _pieces(content)
    for piece in pieces:
        beginning += piece
        if len(beginning) > LARGEST_SINGLE_BYTES:
            return bytes(beginning), pieces
    return bytes(beginning), None


def _pieces(content: Iterable[Bytes]) -> Iterator[memoryview]:
    """The content in pieces that are no larger than one request."""
    for chunk in content:
        view = memoryview(chunk).cast("B")
        for start in range(0, len(view), PART_BYTES):
            yield view[start : start + PART_BYTES]
