"""What is measured where two neurons of a path have become one, and where more of them are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class PermutationPoint:
    """A network in which neurons of one hidden layer repeat those of a smaller one.

    The smaller, reduced network is the end of a path with its two neurons made one: as found, and polished,
    that is led to a critical point next to it. Fields are None where they were not asked for, do not exist
    (second derivatives of ReLU), or could not be told.

    Attributes:
        order: K, the neurons that the reduced network has fewer.
        copies: How often each neuron stands there that is repeated, most often first.
        loss, gradient_norm: At the point made of the reduced network as found.
        reduced_gradient_norm: Of the reduced network as found.
        copy_deviation: Largest change of an output from the end of the path to that point.
        nearest_kink: Of ReLU networks, how far the weights may move before a neuron turns on or off.
        polished_loss, polished_gradient_norm: Of the polished reduced network.
        polish_distance: How far polishing moved it.
        point_gradient_norm: At the point made of it.
        critical: Whether that is below ``CRITICAL``; None where polishing did not reach ``POLISHED``.
        line_gradient_norm: The same after half of a neuron's output weights went from each copy to the first.
        plateau_gradient_norm: The same at unit distance along the steepest direction of equal loss.
        plateau_gradient_predicted: That from the reduced network: the largest singular value of M.
        subspace_dimension: Independent directions of equal loss.
        subspace_deviation: Largest change of an output over random points of that subspace, as a share of
            the largest output, or of 1.
        num_zero, num_zero_reduced: Zero modes of the point and of the reduced network; None unless all
            eigenvalues were found.
        num_zero_added: Their difference; of larger networks, zero modes among the contrasts of the copies.
        num_zero_predicted: What the antisymmetric block says.
        num_zero_paper: K n_{k+1}.
        num_negative, num_negative_reduced, num_negative_added, num_negative_predicted: Falling directions,
            likewise. Of larger networks the lowest eigenvalues are counted; None where all found fall.
        contrast_deviation: Largest difference of predicted and measured eigenvalues of contrasts, as a share
            of the largest eigenvalue.
        is_whole: Whether all eigenvalues were found, or the lowest alone.
        largest_curvature: The largest absolute eigenvalue.
        lowest_curvatures: The smallest eigenvalues, ascending.
        equal_loss_deviation: Of order 1, largest change of an output on the way to a random order of the
            layer, at 1,000 points, as a share of the largest output, or of 1.
        equal_loss_length: Of that path.
    """

    order: int
    copies: tuple[int, ...]
    loss: float
    gradient_norm: float
    reduced_gradient_norm: float
    copy_deviation: float
    nearest_kink: float | None
    polished_loss: float | None = None
    polished_gradient_norm: float | None = None
    polish_distance: float | None = None
    point_gradient_norm: float | None = None
    critical: bool | None = None
    line_gradient_norm: float | None = None
    plateau_gradient_norm: float | None = None
    plateau_gradient_predicted: float | None = None
    subspace_dimension: int
    subspace_deviation: float
    num_zero: int | None = None
    num_zero_reduced: int | None = None
    num_zero_added: int | None = None
    num_zero_predicted: int | None = None
    num_zero_paper: int
    num_negative: int | None = None
    num_negative_reduced: int | None = None
    num_negative_added: int | None = None
    num_negative_predicted: int | None = None
    contrast_deviation: float | None = None
    is_whole: bool | None = None
    largest_curvature: float | None = None
    lowest_curvatures: tuple[float, ...] = ()
    equal_loss_deviation: float | None = None
    equal_loss_length: float | None = None
