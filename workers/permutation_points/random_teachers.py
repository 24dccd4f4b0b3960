"""Random networks that students imitate, and the random points on which they do."""

from __future__ import annotations

import torch
from jaxtyping import Float64
from torch import Tensor

from workers.permutation_points.dense import DenseShape
from workers.permutation_points.specs import RandomTeacher
from workers.seeding import generator


def teacher_shape(teacher: RandomTeacher) -> DenseShape:
    """Its neurons and activation."""
    return DenseShape(teacher.sizes, teacher.activation)


def teacher_network(teacher: RandomTeacher) -> Float64[Tensor, " D"]:
    """Its weights and biases, standard normal; the same for every activation."""
    draws = generator("permutation_path_teacher", teacher.seed, *teacher.sizes)
    return torch.randn(teacher_shape(teacher).num_parameters, generator=draws, dtype=torch.float64)


def teacher_points(teacher: RandomTeacher) -> Float64[Tensor, "B inputs"]:
    """Its examples, standard normal; the same for all teachers of one ``points_seed``."""
    draws = generator("permutation_path_points", teacher.points_seed, teacher.inputs, teacher.num_points)
    return torch.randn(teacher.num_points, teacher.inputs, generator=draws, dtype=torch.float64)
