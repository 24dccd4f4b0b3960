"""Downloading a data set into the data root, through torchvision."""

from __future__ import annotations

import contextlib
import http.client
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lmc_sweep.data import locations
from lmc_sweep.errors import SweepError
from workers import user_code

_SILENCE_SECONDS = 60.0  # torchvision sets no limit: a silent server would hold the command for ever


def fetch(name: str) -> Path:
    """The folder of the data set, downloaded if it was not whole there.

    The download happens in a folder of its own beside it; each file is moved into place when it is
    whole, so that one that was interrupted never passes for a data set.

    Raises:
        SweepError: If the data set is unknown, or cannot be fetched or downloaded, or what came is
            corrupt, or the root cannot be written.
    """
    if user_code.is_name(name):
        raise SweepError(
            f"data set '{name}' is yours: there is nothing to fetch, its function is asked for it"
        )
    location = locations.location(name)
    if locations.present(name):
        return location
    if name not in locations.TORCHVISION_CLASSES:
        raise SweepError(f"data set '{name}' is never fetched. {locations.remedy(name)}")
    try:
        location.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".fetch-{name}-", dir=locations.data_root()))
    except OSError as error:
        raise SweepError(
            f"data set '{name}' cannot be fetched: {locations.data_root()} cannot be written "
            f"({error.strerror}). Set LMC_SWEEP_DATA to a folder of yours"
        ) from error
    try:
        downloaded = _download(name, staging, location)
        for file in sorted(path for path in downloaded.iterdir() if path.is_file()):
            file.replace(location / file.name)
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        cause = _corrupt_file(name, staging) or _last_line(error)
        raise SweepError(
            f"data set '{name}' could not be downloaded: {cause}. "
            f"Check the network, or lay its files under {location} as torchvision does"
        ) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    locations.require(name)
    return location


def _download(name: str, staging: Path, location: Path) -> Path:
    """The folder of files that torchvision has downloaded and unpacked under ``staging``."""
    import torchvision.datasets

    made = getattr(torchvision.datasets, locations.TORCHVISION_CLASSES[name])
    folder = staging / location.relative_to(locations.data_root())
    folder.mkdir(parents=True, exist_ok=True)
    for file, _ in _archives(
        name
    ):  # torchvision checks the digest of what lies there, and spares the download
        for place in (location, locations.data_root()):
            if (place / file).is_file():
                shutil.copyfile(place / file, _archive_folder(name, staging) / file)
                break
    with _socket_timeout(_SILENCE_SECONDS):
        if name == "svhn":
            for split in ("train", "test"):
                made(staging, split=split, download=True)
        else:
            made(staging, download=True)
    return folder


def _archives(name: str) -> list[tuple[str, str]]:
    """The files that torchvision downloads, and their MD5."""
    import torchvision.datasets

    made = getattr(torchvision.datasets, locations.TORCHVISION_CLASSES[name])
    if name == "svhn":
        return [(made.split_list[split][1], made.split_list[split][2]) for split in ("train", "test")]
    if name.startswith("cifar"):
        return [(made.filename, made.tgz_md5)]
    return list(made.resources)


def _archive_folder(name: str, staging: Path) -> Path:
    """Where torchvision puts what it downloads: the folder of the raw files for MNIST, else the root."""
    return staging / locations.TORCHVISION_CLASSES[name] / "raw" if "mnist" in name else staging


def _corrupt_file(name: str, staging: Path) -> str | None:
    """Which downloaded file is not what it should be, in words; None where all that came is right."""
    from torchvision.datasets.utils import check_integrity

    for file, digest in _archives(name):
        path = _archive_folder(name, staging) / file
        if path.is_file() and not check_integrity(path, digest):
            return f"{file} came corrupt: {path.stat().st_size} bytes whose MD5 is not {digest}"
    return None


@contextlib.contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    """Limits the wait for each answer of a server."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _last_line(error: Exception) -> str:
    """The last line of an error's text: torchvision lists there what the last mirror answered."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
