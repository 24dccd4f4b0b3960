"""The store on systems that do not know everything that Linux knows."""

from __future__ import annotations

import subprocess
import sys

WITHOUT = """
import errno, os
del errno.EREMOTEIO, os.posix_fadvise, os.POSIX_FADV_DONTNEED
from lmc_sweep.store import compaction, merging, repair, store, verification
"""


def test_the_store_can_be_imported_where_macos_lacks_names_of_linux() -> None:
    """macOS has no error EREMOTEIO and no posix_fadvise; nothing of the store needs them."""
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, timeout=600)
    assert (0, "") == (done.returncode, done.stderr)
