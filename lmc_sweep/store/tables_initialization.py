"""The table of the study ``initialization``: random networks, matched, and how far from linear they are."""

from __future__ import annotations

from lmc_sweep.store.columns import REALS, Column, count, real, text
from lmc_sweep.store.study_columns import study_table

INITIALIZATION = study_table(
    "initialization",
    "initialization_id",
    "initialization",
    (
        count("input_dim", "inputs of both networks"),
        count("width", "hidden units of each"),
        text("matching", "identity, grid or hungarian: how hidden units were matched"),
        text("grid_cells", "least_bound, rate or a number, as asked for; null without a grid", nullable=True),
        text("activation", "relu, tanh or softplus"),
        count("seed", "of the pair of networks"),
        count("num_inputs", "inputs of length sqrt(input_dim)"),
        count("num_draws", "draws of both networks' output weights"),
        real("delta", "share of draws and inputs that may exceed deviation_quantile", nullable=False),
        Column("alphas", REALS, "positions on the segment between the networks, from 0 to 1", "1"),
        Column("deviations", REALS, "mean deviation from linearity at each alpha", "1"),
        real("deviation_mean", "mean over draws and inputs of the largest deviation over alphas"),
        real("deviation_midpoint", "mean deviation at alpha 1/2"),
        real("deviation_quantile", "what a share of 1 - delta of the largest deviations does not exceed"),
        real("deviation_max", "largest deviation of all"),
        real("output_rms", "root mean square of the two networks' outputs"),
        real("matching_distance", "root mean square distance of input weights of matched units"),
        count("cells_per_axis", "cells of the grid along each axis", nullable=True),
        count("num_unmatched", "units that found none in their cell", nullable=True),
        real("proof_bound", "bound of the proof (inequality 13) for this grid, constants included"),
    ),
)
