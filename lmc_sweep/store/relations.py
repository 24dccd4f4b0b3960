"""The tables of a store as methods: what a notebook completes after ``store.``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any


class Relations(ABC):
    """A method for every table that people ask for, over ``relation``, which knows them all."""

    @abstractmethod
    def relation(self, table: str) -> Any:
        """DuckDB relation of any table of ``schema.TABLES``."""

    def networks(self) -> Any:
        """DuckDB relation of the trained networks, each once."""
        return self.relation("networks")

    def alignments(self) -> Any:
        """DuckDB relation of the alignments, each once."""
        return self.relation("alignments")

    def barriers(self) -> Any:
        """DuckDB relation of the barriers, each once."""
        return self.relation("barriers")

    def barrier_matrices(self) -> Any:
        """DuckDB relation of the barriers between all pairs of a cell, one row per cell and method."""
        return self.relation("barrier_matrices")

    def permutation_paths(self) -> Any:
        """DuckDB relation of the paths along which two neurons change places."""
        return self.relation("permutation_paths")

    def permutation_points(self) -> Any:
        """DuckDB relation of what was measured where neurons are one, one row per point."""
        return self.relation("permutation_points")

    def canonical_forms(self) -> Any:
        """DuckDB relation of cells with their networks' units in order, one row per cell and treatment."""
        return self.relation("canonical_forms")

    def canonical_averages(self) -> Any:
        """DuckDB relation of averages of such networks, one row per group of networks and split."""
        return self.relation("canonical_averages")

    def ensembles(self) -> Any:
        """DuckDB relation of the averages of two networks."""
        return self.relation("ensembles")

    def initialization(self) -> Any:
        """DuckDB relation of the random networks that were matched."""
        return self.relation("initialization")

    def search_traces(self) -> Any:
        """DuckDB relation of the traces of searches, one per alignment and chain, each once."""
        return self.relation("search_traces")

    def failures(self) -> Any:
        """DuckDB relation of the failures, with those of their items that still have no result."""
        return self.relation("failures")

    def attempts(self) -> Any:
        """DuckDB relation of the attempts that did not bring their results."""
        return self.relation("attempts")

    def sweep_items(self) -> Any:
        """DuckDB relation of the items of each sweep's newest plan."""
        return self.relation("sweep_items")
