"""The table of what was measured where two neurons are one: rows that belong to ``permutation_paths``."""

from __future__ import annotations

from lmc_sweep.store.columns import (
    COUNTS,
    CREATED_AT,
    ENVIRONMENT,
    REALS,
    TEXTS,
    Column,
    Table,
    count,
    flag,
    real,
    text,
)

_OF_HESSIAN = "null without second derivatives"

PERMUTATION_POINTS = Table(
    "permutation_points",
    (
        text("point_id", "identity of the point: path and copies"),
        text("path_id", "path that leads to it; it has no row yet where a run was cut short"),
        text("cell_id", "cell of that path"),
        count("point_order", "K, the neurons that the reduced network has fewer than this one", "neurons"),
        Column("copies", COUNTS, "how often each neuron stands there that is repeated", "neurons"),
        real("loss", "at the point made of the reduced network as the path left it", "of the path's loss"),
        real("gradient_norm", "length of the gradient there", "of the path's loss"),
        real("reduced_gradient_norm", "of the reduced network as the path left it", "of the path's loss"),
        real("copy_deviation", "largest change of an output from the end of the path to the point"),
        real("nearest_kink", "how far weights may move before a ReLU turns; null for other activations"),
        real("polished_loss", f"of the reduced network led to a critical point; {_OF_HESSIAN}"),
        real("polished_gradient_norm", "length of its gradient there; null likewise"),
        real("polish_distance", "how far that moved its weights; null likewise"),
        real("point_gradient_norm", "of the gradient at the point made of it; null likewise"),
        flag(
            "critical", "whether that is below 1e-9; null where polishing left more than 1e-10", nullable=True
        ),
        real("line_gradient_norm", "the same after half the output weights went from each copy to the first"),
        real("plateau_gradient_norm", "the same at distance 1 along the steepest direction of equal loss"),
        real("plateau_gradient_predicted", "that from the reduced network: largest singular value of M"),
        count("subspace_dimension", "independent directions of equal loss"),
        real("subspace_deviation", "largest change of an output over that subspace, share of the largest"),
        count("num_zero", f"zero modes of the Hessian at the point; {_OF_HESSIAN}", nullable=True),
        count("num_zero_reduced", "those of the reduced network; null likewise", nullable=True),
        count("num_zero_added", "those that the copies add, measured; null likewise", nullable=True),
        count("num_zero_predicted", "those that the antisymmetric block has; null likewise", nullable=True),
        count("num_zero_paper", "those of the paper: point_order times neurons of the next layer"),
        count("num_negative", "falling directions at the point: the saddle index", nullable=True),
        count("num_negative_reduced", "those of the reduced network", nullable=True),
        count("num_negative_added", "those that the copies add, measured", nullable=True),
        count("num_negative_predicted", "those that the antisymmetric block has", nullable=True),
        real("contrast_deviation", "predicted from measured eigenvalues of contrasts, share of the largest"),
        flag("is_whole", "whether all eigenvalues were found, or the lowest alone", nullable=True),
        real("largest_curvature", "largest absolute eigenvalue"),
        Column("lowest_curvatures", REALS, "smallest eigenvalues, ascending", "of the path's loss"),
        real("equal_loss_deviation", "largest change of an output on the way to a random order of the layer"),
        real("equal_loss_length", "length of that way"),
        Column("held", TEXTS, "statements of the paper that hold at the point"),
        Column("falsified", TEXTS, "statements of the paper that do not"),
        CREATED_AT,
        ENVIRONMENT,
    ),
    key="point_id",
)
