"""A URI of object storage that lost a slash."""

from __future__ import annotations

import pytest

from lmc_sweep.errors import StoreError
from lmc_sweep.store.layout import local_path


@pytest.mark.parametrize("uri", ["s3:/bucket/runs", "gs:/bucket/runs", "az:/bucket/runs"])
def test_a_slash_that_was_forgotten_makes_no_folder_of_that_name(uri: str) -> None:
    """It is refused with the URI that was meant."""
    with pytest.raises(StoreError, match=rf"Write {uri[:2]}://bucket/runs"):
        local_path(uri)
