"""The command line: one file per command, each a thin layer over a function that a notebook can call."""

from lmc_sweep.cli.app import main

__all__ = ["main"]
