"""What is said where the marker of a store cannot be read on object storage."""

from __future__ import annotations

import errno
from types import SimpleNamespace

import pytest

from lmc_sweep.errors import StoreError
from lmc_sweep.store.marker import check
from lmc_sweep.store.object_errors import ObjectError


def test_a_service_that_refuses_the_marker_is_told_with_its_remedy() -> None:
    """One line of the store's own name: no number of an error, no file that nobody has heard of."""

    def refuse() -> bytes:
        raise ObjectError(errno.EINVAL, "there is no bucket 'b'", "s3://b/x/store.json", "Make the bucket")

    files = SimpleNamespace(uri="s3://b/x", told=lambda path: f"s3://b/x/{path}", read_marker=refuse)
    with pytest.raises(StoreError) as told:
        check(files)  # type: ignore[arg-type]
    assert "s3://b/x: cannot be read: there is no bucket 'b'. Make the bucket." == str(told.value)
