"""The table of the study ``permutation_paths``: paths of low loss to where two neurons change places."""

from __future__ import annotations

from lmc_sweep.store.columns import COUNTS, REALS, TEXTS, Column, count, flag, real, text
from lmc_sweep.store.study_columns import study_table

_OF_LOSS = "of the path's loss"
_LABELED = "null without labels"
_VECTORS = "per neuron of the layer its two weights and its bias at {}; null unless two inputs"

PERMUTATION_PATHS = study_table(
    "permutation_paths",
    "path_id",
    "permutation_path",
    (
        text("start", "random or trained: the network from which the path leads"),
        text("network_id", "that network, where it is one of the store", nullable=True),
        text("dataset", "data set that it was trained on; null if it is random", nullable=True),
        real("label_noise", "share of training labels that were replaced; null likewise", "fraction"),
        count("seed", "seed of the network"),
        Column("sizes", COUNTS, "neurons of every layer, from inputs to outputs", "neurons"),
        text("activation", "of the hidden layers: relu, tanh or softplus"),
        count("width", "neurons of the layer in which two become one", "neurons"),
        count("layer", "that hidden layer, from 1"),
        text("pair_rule", "cosine or distance, by which the pair was chosen; null: named", nullable=True),
        count("pair_rank", "its place among all pairs by that rule, from 0; null likewise", nullable=True),
        Column(
            "neurons",
            COUNTS,
            "l and m, from 0; null if chosen by a rule in a network that diverged",
            "1",
            True,
        ),
        text("loss", "squared, relative_squared or cross_entropy"),
        text("variant", "constrained or penalized"),
        text("output_weights", "free or held; null if penalized", nullable=True),
        count("num_steps", "distances above 0, or multipliers of the penalty"),
        text("numeric_precision", "float64 or float32"),
        count("num_examples", "examples of the loss", "examples"),
        text("kind", "monotone, intermediate_saddle or minimum, by the losses up to t = 1/4", nullable=True),
        real("cosine", "of the two parameter vectors at the start, biases included"),
        real("start_loss", "of the network itself; null if it diverged", _OF_LOSS),
        real("start_error", f"of the network itself; {_LABELED}", "fraction"),
        real("point_loss", "at the permutation point, t = 1/2", _OF_LOSS),
        real("point_error", f"at the permutation point; {_LABELED}", "fraction"),
        real("barrier", "highest loss of the path above its first one", _OF_LOSS),
        real("barrier_between", "the same, points halfway between the path's included", _OF_LOSS),
        real("barrier_entered", "the same, losses_entered included; null if penalized", _OF_LOSS),
        real("error_barrier", f"highest error of the path above its first one; {_LABELED}", "fraction"),
        Column("times", REALS, "t from 0 to 1, in order; up to 1/4 the distance falls, up to 1/2 it is 0"),
        Column("losses", REALS, "at each t; one null if the network diverged", _OF_LOSS),
        Column("losses_between", REALS, "halfway, by weights, from each t to the next one", _OF_LOSS),
        Column("losses_entered", REALS, "per stage, as its distance begins; empty if penalized", _OF_LOSS),
        Column("errors", REALS, f"at each t, on the same examples; {_LABELED}", "fraction", True),
        Column("distances", REALS, "length of the difference of the two parameter vectors, at each t"),
        Column("squared_distances", REALS, "its square, which definition 5 of the paper calls the distance"),
        Column("output_distances", REALS, "length of the difference of their output weights, at each t"),
        Column("gradient_norms", REALS, "of the loss by all weights and biases, at each t", _OF_LOSS),
        Column("free_gradient_norms", REALS, "what was left of the gradient by what was free, per stage"),
        Column("num_evaluations", COUNTS, "of loss and gradient, per stage: one for each t up to 1/4"),
        Column("outcomes", TEXTS, "converged, max_evaluations or stalled, per stage"),
        Column("start_vectors", REALS, _VECTORS.format("the start"), "1", True),
        Column("point_vectors", REALS, _VECTORS.format("t = 1/2"), "1", True),
        flag("is_converged", "whether the last stage, at distance 0, converged", nullable=True),
    ),
)
