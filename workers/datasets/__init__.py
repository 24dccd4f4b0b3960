"""Data sets as tensors: definitions, normalization, label noise. Reading files is ``lmc_sweep.data``."""
