"""Objects on a real S3 server: whole or absent, listed on all pages, under any name a store may have."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from s3_server import BUCKET, S3Server, fresh_uri

from lmc_sweep.store.objects import LARGEST_SINGLE_BYTES, PART_BYTES, Objects, open_objects


@pytest.fixture
def objects(s3_store_uri: str) -> Objects:
    """Objects of an empty prefix."""
    return open_objects(s3_store_uri)


def test_what_was_put_is_got(objects: Objects) -> None:
    """An object holds the pieces that were put, one after another."""
    objects.put("a/b", [b"one ", bytearray(b"two "), memoryview(b"three")], replace=False)
    assert b"one two three" == objects.get("a/b")


def test_nothing_is_a_content(objects: Objects) -> None:
    """An object without content is there, and is empty."""
    objects.put("empty", [], replace=False)
    assert objects.exists("empty")
    assert b"" == objects.get("empty")


def test_a_taken_name_is_left_as_it_is(objects: Objects) -> None:
    """Without ``replace`` the first content stays, and the second counts as written."""
    objects.put("name", [b"first"], replace=False)
    objects.put("name", [b"second"], replace=False)
    assert b"first" == objects.get("name")


def test_replacing(objects: Objects) -> None:
    """With ``replace`` the new content stands in the place of the old one."""
    objects.put("name", [b"first"], replace=True)
    objects.put("name", [b"second"], replace=True)
    assert b"second" == objects.get("name")


def test_of_many_who_make_one_name_all_see_one_content(objects: Objects) -> None:
    """When 16 write one new name at once, all succeed and one of their contents stays."""
    written = [str(number).encode() for number in range(16)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda content: objects.put("name", [content], replace=False), written))
    (seen,) = {objects.get("name") for _ in range(3)}
    assert seen in written


def test_a_missing_object(objects: Objects, tmp_path: Path) -> None:
    """Reading or copying a missing object raises FileNotFoundError with its URI; deleting it is no error."""
    assert not objects.exists("missing")
    with pytest.raises(FileNotFoundError) as error:
        objects.get("missing")
    assert f"{objects.uri}/missing" == error.value.filename
    with pytest.raises(FileNotFoundError):
        objects.download("missing", tmp_path / "target")
    with pytest.raises(FileNotFoundError):
        objects.copy("missing", "target")
    objects.delete("missing")
    assert [] == list(tmp_path.iterdir())


def test_copying_and_deleting(objects: Objects) -> None:
    """A copy has the content, stays when the source is deleted, and takes the place of what was there."""
    objects.put("source", [b"content"], replace=False)
    objects.put("quarantine/target", [b"old"], replace=False)
    objects.copy("source", "quarantine/target")
    objects.delete("source")
    assert not objects.exists("source")
    assert b"content" == objects.get("quarantine/target")


@pytest.mark.parametrize("extra", [0, 1])
def test_large_contents(objects: Objects, tmp_path: Path, extra: int) -> None:
    """What is larger than one request travels in parts, there and back, and is the same."""
    block = bytes(range(256)) * 4096
    num = LARGEST_SINGLE_BYTES // len(block)
    content = [*[block] * num, b"x" * extra]
    objects.put("large", content, replace=False)
    objects.download("large", tmp_path / "folder" / "large")
    assert b"".join(content) == (tmp_path / "folder" / "large").read_bytes()
    assert ["large"] == [path.name for path in (tmp_path / "folder").iterdir()]
    (stamp,) = objects.list().values()
    assert len(block) * num + extra == stamp.size


def test_large_contents_keep_to_the_rules_of_names(objects: Objects) -> None:
    """In parts, too, a taken name is left as it is without ``replace``, and is replaced with it."""
    large = [b"x" * (LARGEST_SINGLE_BYTES + 1)]
    objects.put("name", [b"small"], replace=False)
    objects.put("name", large, replace=False)
    assert b"small" == objects.get("name")
    objects.put("name", large, replace=True)
    assert large[0] == objects.get("name")


def test_an_upload_that_breaks_off_leaves_nothing(objects: Objects) -> None:
    """When a large content cannot be read to its end, that error comes out and no object is seen."""

    def content() -> Iterator[bytes]:
        for _ in range(LARGEST_SINGLE_BYTES // PART_BYTES + 2):
            yield bytes(PART_BYTES)
        raise RuntimeError("the source has gone")

    with pytest.raises(RuntimeError, match="the source has gone"):
        objects.put("name", content(), replace=False)
    assert {} == objects.list()


def test_listing_tells_sizes_times_and_changes(objects: Objects) -> None:
    """A listing holds what is below a folder, with sizes, times, and tags that change with the content."""
    objects.put("records/networks/a", [b"12345"], replace=False)
    objects.put("records/networks/deep/b", [b"1"], replace=False)
    objects.put("records/networks_of_others/c", [b"1"], replace=False)
    found = objects.list("records/networks/")
    assert ["records/networks/a", "records/networks/deep/b"] == sorted(found)
    before = found["records/networks/a"]
    assert 5 == before.size
    objects.put("records/networks/a", [b"54321"], replace=True)
    after = objects.list("records/networks")["records/networks/a"]
    assert before.etag != after.etag
    assert 0 <= after.modified_ns - before.modified_ns < 300e9
    assert {} == objects.list("records/alignments")


def test_listing_goes_over_all_pages(objects: Objects, s3: S3Server) -> None:
    """A listing of more names than fit one page of 1,000 holds every one."""
    names = [f"records/{number:04d}" for number in range(1001)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda name: objects.put(name, [b"x"], replace=True), names))
    assert names == sorted(objects.list("records"))


def test_what_lies_at_the_top_is_told_without_all_that_lies_below(objects: Objects) -> None:
    """Folders and files at the top are named once each; nothing where there is nothing."""
    assert set() == objects.tops()
    for path in ("a/b/c", "a/d", "store.json"):
        objects.put(path, [b"x"], replace=False)
    assert {"a", "store.json"} == objects.tops()


def test_folders_that_consoles_make_are_no_objects(objects: Objects, s3: S3Server) -> None:
    """The empty objects that stand for the folder itself are not listed."""
    prefix = objects.uri.removeprefix("s3://")
    s3.request("PUT", f"{prefix}/")
    s3.request("PUT", f"{prefix}/records/")
    objects.put("records/a", [b"x"], replace=False)
    assert ["records/a"] == list(objects.list("records"))
    assert {"records", "records/a"} == set(objects.list())


@pytest.mark.parametrize(
    "name", ["a b", "a+b", "ü", "100%", "%41", "a&b=c", "a#b", "a?b", ".hidden", "*", "~"]
)
def test_special_signs_in_names(objects: Objects, name: str) -> None:
    """Names of all signs come back from a listing as they were written."""
    objects.put(f"folder/{name}", [name.encode()], replace=False)
    assert [f"folder/{name}"] == list(objects.list("folder"))
    assert name.encode() == objects.get(f"folder/{name}")


def test_prefixes_with_special_signs(s3: S3Server) -> None:
    """A store may lie under a prefix with spaces and other scripts, and sees nothing of its neighbors."""
    objects = open_objects(f"{fresh_uri()}/a b+ü")
    objects.put("x", [b"1"], replace=False)
    assert ["x"] == list(objects.list())
    assert {} == open_objects(objects.uri[:-1]).list()


def test_a_whole_bucket(s3: S3Server) -> None:
    """A store may lie at the root of a bucket."""
    s3.request("PUT", "bucket-for-one-store")
    objects = open_objects("s3://bucket-for-one-store")
    objects.put("store.json", [b"{}"], replace=False)
    assert ["store.json"] == list(objects.list())


def test_travels_without_keys(objects: Objects, s3: S3Server) -> None:
    """Objects travel between processes as their URI; no key is among what travels."""
    objects.put("a", [b"content"], replace=False)
    travelled = pickle.dumps(objects)
    assert s3.environment()["AWS_SECRET_ACCESS_KEY"].encode() not in travelled
    assert b"content" == pickle.loads(travelled).get("a")  # noqa: S301


def test_any_thread(objects: Objects) -> None:
    """Threads other than the main one read and write, too."""
    thread = threading.Thread(target=lambda: objects.put("a", [b"content"], replace=False))
    thread.start()
    thread.join()
    assert b"content" == objects.get("a")


def test_the_bucket_of_the_tests_is_the_one_named(objects: Objects) -> None:
    """The bucket comes from the URI."""
    assert objects.uri.startswith(f"s3://{BUCKET}/")
