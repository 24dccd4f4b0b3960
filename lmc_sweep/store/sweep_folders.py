"""The folders of a store's sweeps as methods: which there are, and the advice that their runs leave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmc_sweep.store import layout, sweeps
from lmc_sweep.store.files import Files


class SweepFolders:
    """What lies in ``sweeps/<name>/``; nothing here is a result."""

    files: Files

    def sweeps(self) -> list[str]:
        """Names of the sweeps that were recorded."""
        return sweeps.names(self.files)

    def sweep_file(self, sweep: str) -> str:
        """Path or URI of a sweep's file, from which it can be run again wherever the store can be used."""
        return self.files.told(f"{layout.sweep_folder(sweep)}/sweep.yaml")

    def write_progress(self, sweep: str, run_id: str, progress: Mapping[str, Any]) -> None:
        """Replaces a run's advice on how far along it is."""
        sweeps.write_progress(self.files, sweep, run_id, progress)

    def read_runs(self, sweep: str) -> list[dict[str, Any]]:
        """The advice of every run of a sweep that left any, with its ``run_id``; the newest last."""
        return sweeps.read_runs(self.files, sweep)

    def request_cancel(self, sweep: str, run_id: str) -> None:
        """Asks one run of a sweep to stop in order."""
        sweeps.request_cancel(self.files, sweep, run_id)

    def cancel_requested(self, sweep: str, run_id: str) -> bool:
        """Whether a run was asked to stop."""
        return sweeps.cancel_requested(self.files, sweep, run_id)
