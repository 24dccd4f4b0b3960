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

_SILENCE_SECONDS = 60.0  # torchvision sets no limit: a silent server would hold the command for ever


def fetch(name: str) -> Path:
    """The folder of the data set, downloaded if it was not whole there.

    The download happens in a folder of its own beside it; each file is moved into place when it is
    whole, so that one that was interrupted never passes for a data set.

    Raises:
        SweepError: If the data set is unknown, or cannot be downloaded, or the root cannot be written.
    """
    location = next(iter(locations.source_files(name))).parent
    if locations.present(name):
        return location
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
        for file in sorted(downloaded.iterdir()):
            file.replace(location / file.name)
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        raise SweepError(
            f"data set '{name}' could not be downloaded: {_last_line(error)}. "
            f"Check the network, or lay its files under {location} as torchvision does"
        ) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    locations.require(name)
    return location


def _download(name: str, staging: Path, location: Path) -> Path:
    """The folder of raw files that torchvision has downloaded and unpacked under ``staging``."""
    import torchvision.datasets

    folder = locations.TORCHVISION_CLASSES[name]
    raw = staging / folder / "raw"
    raw.mkdir(parents=True)
    for archive in location.glob("*.gz"):  # torchvision checks its digest and spares the download
        shutil.copyfile(archive, raw / archive.name)
    with _socket_timeout(_SILENCE_SECONDS):
        getattr(torchvision.datasets, folder)(staging, download=True)
    return raw


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
