"""Ensembles of two networks: averaged in weight space, and in their predictions."""
