"""Checkpoints that were trained elsewhere: found, read without running their code, checked, stacked.

``find`` lists files, ``sha256`` names their content, ``read`` gives their tensors, ``check`` holds them
against the module that they are to be loaded into, and ``load_many`` stacks those that fit.
"""

from lmc_sweep.checkpoints.checking import check, fit, load_many, state_dict, unwrapped
from lmc_sweep.checkpoints.content import sha256
from lmc_sweep.checkpoints.finding import find, require
from lmc_sweep.checkpoints.reading import Checkpoint, read

__all__ = [
    "Checkpoint",
    "check",
    "find",
    "fit",
    "load_many",
    "read",
    "require",
    "sha256",
    "state_dict",
    "unwrapped",
]
