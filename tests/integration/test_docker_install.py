"""What the image installs is the package with the versions of constraints.txt, whole."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PACKAGES = ("lmc_sweep", "workers")
COPIED = (*PACKAGES, "docker", "constraints.txt", "pyproject.toml", "README.md", "LICENSE")


def tracked(*paths: str) -> list[str]:
    """Files of the checkout below the paths, but those that git ignores."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *paths]
    listed = subprocess.check_output(command, cwd=ROOT, text=True)
    return [path for path in listed.splitlines() if (ROOT / path).exists()]


@pytest.fixture(scope="module")
def installed() -> Iterator[Path]:
    """The environment that the image's steps make of a copy of the checkout.

    It lies beside uv's cache, where files are linked and not copied.
    """
    cache = subprocess.check_output([BIN / "uv", "cache", "dir"], text=True).strip()
    folder = Path(tempfile.mkdtemp(prefix="lmc_sweep_image_", dir=Path(cache).parent))
    try:
        for path in tracked(*COPIED):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / path, folder / path)
        variables = {name: value for name, value in os.environ.items() if not name.startswith("VIRTUAL")}
        variables |= {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "TORCH": "cuda"}
        variables["PYTHON"] = getattr(sys, "_base_executable", sys.executable)
        for step in ("dependencies", "package"):
            script = [str(folder / "docker" / "install.sh"), step, str(folder / "venv")]
            told = subprocess.run(
                script, cwd=folder, env=variables, capture_output=True, text=True, check=False
            )
            assert 0 == told.returncode, told.stderr[-3000:]
        yield folder / "venv"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def listed(venv: Path) -> dict[str, str]:
    """Name and version of everything that is installed."""
    command = [str(BIN / "uv"), "pip", "freeze", "--quiet", "--python", str(venv / "bin" / "python")]
    lines = subprocess.check_output(command, text=True).splitlines()
    return dict(line.split("==") for line in lines if "==" in line)


def test_versions_are_those_that_were_tested(installed: Path) -> None:
    """Everything but the package itself stands in constraints.txt with the version that was installed."""
    pins = dict(re.findall(r"^([\w.-]+)==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    found = listed(installed)
    assert {name: version for name, version in found.items() if pins.get(name) != version} == {}
    assert {"ray", "torch", "aiohttp", "obstore"} <= set(found)
    assert "pytest" not in found


def test_no_file_of_the_package_is_missing(installed: Path) -> None:
    """Every file of both packages is installed, templates and other data too."""
    (site,) = installed.glob("lib/python*/site-packages")
    assert [] == [path for path in tracked(*PACKAGES) if not (site / path).exists()]


def test_the_command_works_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    """`lmc-sweep` plans a sweep with the installed package alone."""
    sweep = ROOT / "configs" / "quickstart.yaml"
    command = [
        str(installed / "bin" / "lmc-sweep"),
        "plan",
        str(sweep),
        "--store",
        str(tmp_path / "store"),
        "--json",
    ]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert 0 == told.returncode, told.stderr
    assert "network" in told.stdout
