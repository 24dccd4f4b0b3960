"""Compiled kernels that are kept on disk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from workers.alignment.annealing import kernels

INNER = """
from kernels import kernel

@kernel
def inner(x):
    return x + {added}
"""
OUTER = """
from kernels import kernel
from inner_kernels import inner

@kernel
def outer(x):
    return 2.0 * inner(x)
"""


def test_a_kernel_is_compiled_anew_when_one_that_it_calls_has_changed(tmp_path: Path) -> None:
    """In another file, too; and when nothing has changed, it is not."""
    (tmp_path / "kernels.py").write_text(Path(kernels.__file__).read_text())
    (tmp_path / "outer_kernels.py").write_text(OUTER)
    code = "from outer_kernels import outer; print(outer(1.0), sum(outer.stats.cache_hits.values()))"
    said = []
    for added in (1.0, 1.0, 10.0):
        (tmp_path / "inner_kernels.py").write_text(INNER.format(added=added))
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        said.append(done.stdout.split())
    assert [["4.0", "0"], ["4.0", "1"], ["22.0", "0"]] == said
