"""Permutations of hidden units: which axes of which parameters they act on, and how they act."""
