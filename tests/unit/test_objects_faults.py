"""Objects on a server that fails, is slow, loses answers, refuses or is not there: what is tried again, for
how long, and what is told."""

from __future__ import annotations

import errno
import os
import pickle
import signal
import threading
import time
from pathlib import Path

import pytest
from s3_proxy import Fault, Proxy, Request, first, refusing, some
from s3_server import fresh_uri

from lmc_sweep.store import object_clients, objects
from lmc_sweep.store.object_errors import PASSING, ObjectError
from lmc_sweep.store.objects import LARGEST_SINGLE_BYTES, Objects, open_objects

DEFAULT_RETRY_SECONDS = object_clients.RETRY_SECONDS
OVERLOADED = Fault("refuse")
BROKEN = Fault("reset")
LOST = Fault("lose")
CUT = Fault("cut")


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What may pass is waited for as long as it takes: a test's machine may pause at any time."""
    _wait(monkeypatch, retry=600.0, silence=600.0)


@pytest.fixture
def objects_behind(s3_proxy: Proxy, s3_store_uri: str) -> Objects:
    """Objects of an empty prefix behind the proxy, asked with all patience."""
    return open_objects(s3_store_uri)


@pytest.fixture
def impatient(_patient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails again and again is given up within a second."""
    _wait(monkeypatch, retry=0.3, silence=600.0)


def _wait(monkeypatch: pytest.MonkeyPatch, *, retry: float, silence: float) -> None:
    """How long clients that are made from now on try again, and wait for an answer, in seconds."""
    monkeypatch.setattr(object_clients, "RETRY_SECONDS", retry)
    monkeypatch.setattr(objects, "RETRY_SECONDS", retry)
    monkeypatch.setattr(object_clients, "SILENCE_SECONDS", silence)
    monkeypatch.setattr(object_clients, "SENDING_SECONDS", silence)


@pytest.mark.parametrize(
    "fault", [OVERLOADED, BROKEN, LOST, refusing("500 Internal Server Error", "InternalError")]
)
@pytest.mark.parametrize("replace", [True, False])
def test_a_write_that_fails_once_succeeds(
    s3_proxy: Proxy, objects_behind: Objects, fault: Fault, replace: bool
) -> None:
    """A PUT that is refused, broken off or applied without an answer is asked again, with success."""
    s3_proxy.rule = first(2, fault, "PUT")
    objects_behind.put("name", [b"content"], replace=replace)
    assert b"content" == objects_behind.get("name")
    assert 3 == s3_proxy.num_seen("PUT")


def test_a_lost_answer_does_not_replace_what_is_there(s3_proxy: Proxy, objects_behind: Objects) -> None:
    """Asked again after a lost answer, a conditional PUT finds its own content and counts as written."""
    s3_proxy.rule = first(1, LOST, "PUT")
    objects_behind.put("name", [b"first"], replace=False)
    objects_behind.put("name", [b"second"], replace=False)
    assert b"first" == objects_behind.get("name")


def test_a_conflict_over_a_free_name_is_asked_again(s3_proxy: Proxy, objects_behind: Objects) -> None:
    """S3 also says "conflict" of a name that is free in the next moment: the object is then written."""
    s3_proxy.rule = first(2, refusing("409 Conflict", "ConditionalRequestConflict"), "PUT")
    objects_behind.put("name", [b"content"], replace=False)
    assert b"content" == objects_behind.get("name")


@pytest.mark.usefixtures("impatient")
def test_a_service_without_conditional_writes(s3_proxy: Proxy, s3_store_uri: str) -> None:
    """Where conditional PUTs are not offered, a free name is written plainly and a taken one is left, and
    they are asked for once only."""
    objects_behind = open_objects(s3_store_uri)
    missing = refusing("501 Not Implemented", "NotImplemented")
    s3_proxy.rule = lambda request: missing if "if-none-match" in request.headers.lower() else Fault()
    objects_behind.put("name", [b"first"], replace=False)
    objects_behind.put("name", [b"second"], replace=False)
    assert b"first" == objects_behind.get("name")
    asked = s3_proxy.num_seen("PUT")
    objects_behind.put("other", [b"third"], replace=False)
    assert asked + 1 == s3_proxy.num_seen("PUT")


def test_an_answer_that_breaks_off_is_completed(
    s3_proxy: Proxy, objects_behind: Objects, tmp_path: Path
) -> None:
    """A download whose answer is cut half-way goes on from there, and the file is whole."""
    content = os.urandom(300_000)
    objects_behind.put("name", [content], replace=False)
    s3_proxy.rule = first(2, CUT, "GET")
    objects_behind.download("name", tmp_path / "file")
    assert content == (tmp_path / "file").read_bytes()
    assert ["file"] == [path.name for path in tmp_path.iterdir()]


@pytest.mark.usefixtures("impatient")
def test_a_download_that_cannot_be_completed_leaves_no_file(
    s3_proxy: Proxy, s3_store_uri: str, tmp_path: Path
) -> None:
    """When a download breaks off again and again, an error that may pass comes out and no file is left."""
    behind = open_objects(s3_store_uri)
    behind.put("name", [os.urandom(300_000)], replace=False)
    s3_proxy.rule = lambda request: CUT if request.method == "GET" else Fault()
    with pytest.raises(ObjectError) as error:
        behind.download("name", tmp_path / "file")
    assert error.value.errno in PASSING
    assert [] == list(tmp_path.iterdir())


def test_many_requests_through_many_faults(s3_proxy: Proxy, objects_behind: Objects) -> None:
    """With a third of all requests refused, broken or lost, everything is written, listed and read."""
    s3_proxy.rule = some(0.33, OVERLOADED, BROKEN, LOST, seed=1)
    contents = {f"records/{number}": str(number).encode() for number in range(30)}
    for name, content in contents.items():
        objects_behind.put(name, [content], replace=False)
    assert set(contents) == set(objects_behind.list("records"))
    assert contents == {name: objects_behind.get(name) for name in contents}


def test_a_large_upload_whose_last_answer_is_lost(s3_proxy: Proxy, objects_behind: Objects) -> None:
    """An upload in parts that was completed without an answer counts as written."""
    large = [bytes(LARGEST_SINGLE_BYTES + 1)]
    s3_proxy.rule = first(1, LOST, "POST", "uploadId=")
    objects_behind.put("name", large, replace=False)
    assert LARGEST_SINGLE_BYTES + 1 == objects_behind.list()["name"].size


def test_a_large_upload_through_faults(s3_proxy: Proxy, objects_behind: Objects) -> None:
    """Parts that fail are sent again, and the object is the same."""
    large = os.urandom(LARGEST_SINGLE_BYTES + 1)
    s3_proxy.rule = some(0.3, OVERLOADED, BROKEN, LOST, seed=3)
    objects_behind.put("name", [large], replace=False)
    s3_proxy.rule = lambda request: Fault()
    assert large == objects_behind.get("name")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("fault", "number", "words"),
    [
        (OVERLOADED, errno.EAGAIN, "503 SlowDown"),
        (refusing("500 Internal Server Error", "InternalError"), errno.EIO, "500 InternalError"),
        (refusing("507 Insufficient Storage", "XMinioStorageFull"), errno.ENOSPC, "no space left"),
        (BROKEN, errno.ECONNRESET, "the connection broke"),
        (Fault("hang"), errno.ETIMEDOUT, "does not answer"),
        (refusing("403 Forbidden", "AccessDenied"), errno.EACCES, "refuses access (403 AccessDenied)"),
        (refusing("403 Forbidden", "InvalidAccessKeyId"), errno.EACCES, "InvalidAccessKeyId"),
        (refusing("400 Bad Request", "ExpiredToken"), errno.EACCES, "ExpiredToken"),
        (refusing("403 Forbidden", "RequestTimeTooSkewed"), errno.EACCES, "clock"),
        (refusing("404 Not Found", "NoSuchBucket"), errno.EINVAL, "there is no bucket"),
        (refusing("301 Moved Permanently", "PermanentRedirect"), errno.EINVAL, "another region"),
        (refusing("400 Bad Request", "AuthorizationHeaderMalformed"), errno.EINVAL, "another region"),
    ],
)
def test_what_lasts_is_told(
    s3_proxy: Proxy,
    s3_store_uri: str,
    fault: Fault,
    number: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A failure that lasts tells a cause, a remedy, and by its number whether it may pass."""
    if fault.kind == "hang":
        _wait(monkeypatch, retry=0.3, silence=0.4)
    behind = open_objects(s3_store_uri)
    s3_proxy.rule = lambda request: fault
    with pytest.raises(ObjectError) as error:
        behind.get("name")
    assert number == error.value.errno
    assert words in str(error.value.strerror)
    assert error.value.remedy
    assert f"{behind.uri}/name" == error.value.filename


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("fault", [OVERLOADED, Fault("hang"), refusing("403 Forbidden", "AccessDenied")])
def test_whatever_is_asked_fails_alike(
    s3_proxy: Proxy, s3_store_uri: str, tmp_path: Path, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure that lasts is the same error, after few tries, whatever is asked; nothing is written here."""
    if fault.kind == "hang":
        _wait(monkeypatch, retry=0.3, silence=0.4)
    behind = open_objects(s3_store_uri)
    s3_proxy.rule = lambda request: fault
    numbers = set()
    for action in (
        lambda: behind.get("name"),
        lambda: behind.list("records"),
        lambda: behind.put("name", [b"x"], replace=True),
        lambda: behind.put("name", [b"x"], replace=False),
        lambda: behind.put("name", [bytes(LARGEST_SINGLE_BYTES + 1)], replace=False),
        lambda: behind.download("name", tmp_path / "file"),
        lambda: behind.delete("name"),
        lambda: behind.copy("name", "other"),
        lambda: behind.exists("name"),
    ):
        with pytest.raises(ObjectError) as error:
            action()
        numbers.add(error.value.errno)
    assert 1 == len(numbers)
    assert [] == list(tmp_path.iterdir())
    assert len(s3_proxy.seen) < 60  # 34 of what is refused for a moment; ten tries of each would be 90


def test_a_bucket_that_does_not_exist(s3_proxy: Proxy) -> None:
    """A missing bucket is no missing object: it is told by name, at once, with the remedy."""
    nowhere = open_objects("s3://there-is-no-such-bucket/x")
    for action in (lambda: nowhere.get("a"), nowhere.list, lambda: nowhere.put("a", [b"x"], replace=False)):
        with pytest.raises(ObjectError, match="no bucket 'there-is-no-such-bucket'") as error:
            action()
        assert error.value.errno not in PASSING


@pytest.mark.usefixtures("impatient")
def test_a_server_that_is_away_is_given_up(s3_proxy: Proxy, s3_store_uri: str) -> None:
    """Without a server an error that may pass comes when the tries are over, which by default is within ten
    seconds; once it is back, all is well."""
    assert DEFAULT_RETRY_SECONDS <= 10
    behind = open_objects(s3_store_uri)
    s3_proxy.go_away()
    started = time.monotonic()
    with pytest.raises(ObjectError, match="no connection") as error:
        behind.get("name")
    assert time.monotonic() - started < 90  # the client library by itself tries for 180 s
    assert error.value.errno in PASSING
    s3_proxy.come_back()
    behind.put("name", [b"content"], replace=False)
    assert b"content" == behind.get("name")


def test_a_server_that_comes_back_in_time(s3_proxy: Proxy, objects_behind: Objects) -> None:
    """A write while the server is away for a second and a half succeeds when it is back."""
    s3_proxy.go_away()
    back = threading.Timer(1.5, s3_proxy.come_back)
    back.start()
    objects_behind.put("name", [b"content"], replace=False)
    assert b"content" == objects_behind.get("name")
    back.join()


@pytest.mark.usefixtures("impatient")
def test_an_unknown_server(s3_store_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server whose name is not known is told with the variable that names it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://no-such-server.invalid")
    with pytest.raises(ObjectError) as error:
        open_objects(s3_store_uri).get("name")
    assert "AWS_ENDPOINT_URL" in error.value.remedy


def test_interrupts_end_the_wait(s3_proxy: Proxy, objects_behind: Objects) -> None:
    """Ctrl-C ends a request that is not answered, long before the time-out."""

    def rule(request: Request) -> Fault:
        os.kill(os.getpid(), signal.SIGINT)
        return Fault("hang")

    s3_proxy.rule = rule
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        objects_behind.get("name")
    assert time.monotonic() - started < object_clients.SILENCE_SECONDS / 2


def test_errors_travel(s3_proxy: Proxy, objects_behind: Objects) -> None:
    """An error of object storage is the same in another process."""
    s3_proxy.rule = lambda request: refusing("403 Forbidden", "AccessDenied")
    with pytest.raises(ObjectError) as error:
        objects_behind.get("name")
    there = pickle.loads(pickle.dumps(error.value))  # noqa: S301
    assert (str(error.value), error.value.remedy) == (str(there), there.remedy)


def test_a_forked_process_is_told_and_does_not_hang(objects_behind: Objects) -> None:
    """In a process that was forked while object storage was in use, requests fail at once with the reason."""
    objects_behind.put("name", [b"x"], replace=False)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(200)
        try:
            objects_behind.get("name")
            os.write(write, b"answered")
        except ObjectError as error:
            os.write(write, str(error.strerror).encode())
        finally:
            os._exit(0)
    os.close(write)
    told = os.read(read, 1000)
    os.waitpid(child, 0)
    os.close(read)
    assert b"object storage was in use when this process was forked" == told


def test_no_address_or_key_is_told(s3_proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told of an error holds no query of the URL that was asked, where services put signatures."""
    behind = open_objects(fresh_uri())
    s3_proxy.rule = lambda request: refusing("400 Bad Request", "Whatever")
    with pytest.raises(ObjectError) as error:
        behind.list("records")
    assert "list-type" not in str(error.value)
    assert "127.0.0.1" not in str(error.value)
