"""How much there is to compute for one network on one example, told from its spec."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from workers.architectures.shapes import layers, num_parameters
from workers.datasets.definitions import DatasetDefinition, define
from workers.specs import ArchitectureSpec, DataSpec, MLPSpec, ModuleSpec

FLOAT_BYTES = 4
EFFICIENCY = 0.6  # of the matrix-product rate, in products of the sizes that occur
CONVOLUTION_EFFICIENCY = 0.25  # of the same rate, forward and backward of small convolutions
USER_ACTIVATIONS = 4  # floats of activations for each that a layer with weights returns


@dataclass(frozen=True)
class Workload:
    """Of one network: parameters, and per example multiply-adds, activations and units.

    ``endpoint_products`` are those of a first layer that is multiplied for the two ends of a segment
    alone; the others are formed at every alpha. ``is_dense``: large matrix products alone.
    """

    num_parameters: int
    endpoint_products: int
    products: int
    activations: int
    hidden_units: int
    is_dense: bool

    @property
    def all_products(self) -> int:
        """Multiply-adds of one forward pass."""
        return self.endpoint_products + self.products


@cache
def workload(architecture: ArchitectureSpec, data: DataSpec) -> Workload:
    """The workload of an architecture on the examples of a spec."""
    definition = define(data)
    if isinstance(architecture, ModuleSpec):
        return _of_module(architecture, definition)
    shapes = layers(architecture, definition)
    products = [shape.in_units * shape.out_units * shape.kernel_area * shape.positions for shape in shapes]
    first = products[0] if isinstance(architecture, MLPSpec) else 0
    outputs = sum(shape.out_units * shape.positions for shape in shapes)
    return Workload(
        num_parameters=num_parameters(architecture, definition),
        endpoint_products=first,
        products=sum(products) - first,
        activations=definition.num_inputs + (1 if isinstance(architecture, MLPSpec) else 3) * outputs,
        hidden_units=sum(shape.out_units for shape in shapes[:-1]),
        is_dense=isinstance(architecture, MLPSpec),
    )


def rate(work: Workload, flops_per_second: float) -> float:
    """Floating-point operations per second that a network's layers reach."""
    return (EFFICIENCY if work.is_dense else CONVOLUTION_EFFICIENCY) * flops_per_second


def _of_module(spec: ModuleSpec, definition: DatasetDefinition) -> Workload:
    """Of a module of the user's own, which is built and run once on zeros."""
    from workers.architectures.build import build
    from workers.architectures.module_program import ModuleProgram

    program = build(spec, definition)
    assert isinstance(program, ModuleProgram)
    return Workload(
        num_parameters=program.num_parameters,
        endpoint_products=0,
        products=program.num_products,
        activations=program.floats_per_example() * USER_ACTIVATIONS,
        hidden_units=program.num_parameters // 100,
        is_dense=False,
    )
