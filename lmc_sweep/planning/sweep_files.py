"""A sweep file from wherever it lies: a path, standard input, or object storage, as in a store there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lmc_sweep.config import load_sweep, parse_sweep
from lmc_sweep.config.sweep import Sweep
from lmc_sweep.errors import SweepError
from lmc_sweep.store import layout


def load(file: str | Path, overrides: Sequence[str] = ()) -> Sweep:
    """The sweep that a file describes, with overrides such as ``networks[0].seeds=12``.

    Args:
        file: A path, ``-`` for standard input, or a URI such as ``s3://bucket/store/sweeps/NAME/sweep.yaml``.

    Raises:
        SweepError: If the file cannot be read, or breaks a rule; in one line: file, key, rule, value, remedy.
    """
    if not layout.is_remote(file):
        return load_sweep(Path(file), overrides)
    return parse_sweep(_downloaded(str(file)), str(file), overrides)


def _downloaded(uri: str) -> str:
    """The text of an object."""
    from lmc_sweep.store import objects

    folder, _, name = uri.rpartition("/")
    if not name or folder.endswith(":/"):
        raise SweepError(
            "a sweep file on object storage is named by bucket and path, such as "
            "s3://bucket/store/sweeps/NAME/sweep.yaml"
        )
    opened = objects.open_objects(folder)
    try:
        return opened.get(name).decode("utf-8-sig")
    except FileNotFoundError:
        raise SweepError(
            f"{uri}: there is no such file. Name a sweep file, such as "
            "s3://bucket/store/sweeps/NAME/sweep.yaml"
        ) from None
    except UnicodeDecodeError as error:
        raise SweepError(
            f"{uri}: is no text in UTF-8 (byte {error.start}). Name a sweep file in YAML"
        ) from None
    except OSError as error:
        remedy = getattr(error, "remedy", "Check the network")
        raise SweepError(f"{uri}: cannot be read: {error.strerror}. {remedy}") from error
