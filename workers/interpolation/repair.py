"""REPAIR: a network between two others, its units' statistics set between theirs.

Halfway between two networks the variance of hidden units collapses. REPAIR gives every unit the
alpha-mixture of the means and of the standard deviations that its pre-activation has in the two
endpoints, layer by layer from input to output, each measured with those below already corrected.

It is done in one pass over the batches, as batch norm in training mode does it: on each batch every
site is measured and set to the mixture of what the endpoints show on that same batch, before the next
layer sees it. The averages over batches then say the one scale and shift of each unit that is folded
into the weights. Since both sides see the same batches, an endpoint is left as it is exactly, and
batch norms that are nothing but measured anew leave nothing to correct: after every layer a batch norm,
and ``repair`` is ``reset_bn``.

Source: Jordan et al. 2022. Theirs normalizes by inserted batch norms; the correction is the same map.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from workers.architectures.module_program import ModuleProgram, laid_out
from workers.device import map_on_threads
from workers.interpolation.moments import Affine, Moments, affine_to, average, mixed, moments
from workers.interpolation.sites import Repairable, Site, repairable
from workers.params import Params, ParamStack, num_networks, row, stack

SiteMoments = dict[str, list[Moments]]
"""Of every site its moments on each batch."""


def repaired_modules(
    program: ModuleProgram, params_a: ParamStack, params_b: ParamStack, batches: Sequence[Tensor]
) -> tuple[ModuleProgram, Callable[[Sequence[float]], ParamStack]]:
    """The program of the corrected networks, and for some alphas the networks, the pairs of each together.

    The endpoints are measured once. What is left of each network is one of the program, with scales
    and shifts folded in and statistics measured anew.
    """
    target = repairable(program)
    batches = [laid_out(inputs) for inputs in batches]
    ends = [target.extend(params) for params in (params_a, params_b)]
    num_pairs = num_networks(params_a)

    def measure_end(task: tuple[ParamStack, int]) -> tuple[Params, SiteMoments]:
        return _pass(target, row(task[0], task[1]), batches, None)

    measured = map_on_threads(measure_end, [(end, pair) for end in ends for pair in range(num_pairs)])

    def corrected(task: tuple[float, int]) -> Params:
        alpha, pair = task
        (state_a, moments_a), (state_b, moments_b) = measured[pair], measured[num_pairs + pair]
        if alpha in (0.0, 1.0):
            return state_a if alpha == 0.0 else state_b
        between = {
            name: torch.lerp(tensor, ends[1][name][pair], alpha) if tensor.is_floating_point() else tensor
            for name, tensor in row(ends[0], pair).items()
        }
        wanted = _mixed(moments_a, moments_b, alpha)
        state, own = _pass(target, between, batches, wanted)
        for site in target.sites:
            to = mixed(average(moments_a[site.layer]), average(moments_b[site.layer]), alpha)
            _fold(state, site, affine_to(to, average(own[site.layer])))
        return state

    def states(alphas: Sequence[float]) -> ParamStack:
        tasks = [(alpha, pair) for alpha in alphas for pair in range(num_pairs)]
        return stack(map_on_threads(corrected, tasks))

    return target.program, states


def _mixed(a: SiteMoments, b: SiteMoments, alpha: float) -> SiteMoments:
    """The moments wanted at alpha, batch by batch."""
    return {
        layer: [mixed(of_a, of_b, alpha) for of_a, of_b in zip(a[layer], b[layer], strict=True)]
        for layer in a
    }


def _pass(
    target: Repairable, state: Params, batches: Sequence[Tensor], wanted: SiteMoments | None
) -> tuple[Params, SiteMoments]:
    """The network with its batch-norm statistics measured anew, and the moments of its sites.

    With ``wanted``, what a site gives out has these moments on each batch; those returned are from
    before.
    """
    program = target.program
    renewed = {name: state[name].clone() for name in program.buffers}
    for name in renewed:
        if name.endswith("num_batches_tracked"):
            renewed[name].zero_()
    state = {**state, **renewed}
    found: SiteMoments = {site.layer: [] for site in target.sites}

    def correct(site: Site, output: Tensor) -> Tensor | None:
        axis = site.output_axis % output.ndim
        own = moments(output, [axis])
        found[site.layer].append(own)
        if wanted is None:
            return None
        affine = affine_to(wanted[site.layer][len(found[site.layer]) - 1], own)
        shape = [-1 if position == axis else 1 for position in range(output.ndim)]
        scale, shift = (part.to(output.dtype).view(shape) for part in (affine.scale, affine.shift))
        return torch.addcmul(shift, output, scale)

    with (
        program.forward("statistics", state) as run,
        _hooked(run.module, target.sites, correct),
        torch.no_grad(),
    ):
        for inputs in batches:
            run(state, inputs)  # updates the statistics in place
    return state, found


@contextmanager
def _hooked(
    module: nn.Module, sites: Sequence[Site], correct: Callable[[Site, Tensor], Tensor | None]
) -> Iterator[None]:
    """What ``correct`` returns for a site's output stands in its place inside."""
    handles = [
        module.get_submodule(site.layer).register_forward_hook(
            lambda _, __, output, site=site: correct(site, output)
        )
        for site in sites
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _fold(state: Params, site: Site, affine: Affine) -> None:
    """Puts scale and shift into the layer's weight and bias, in place of the old tensors in ``state``."""
    weight, bias = (state[f"{site.layer}.{kind}"] for kind in ("weight", "bias"))
    state[f"{site.layer}.weight"] = (weight * _along(affine.scale, site, weight)).to(weight.dtype)
    state[f"{site.layer}.bias"] = (
        bias * _along(affine.scale, site, bias) + _along(affine.shift, site, bias)
    ).to(bias.dtype)


def _along(units: Tensor, site: Site, like: Tensor) -> Tensor:
    """One figure per unit, to be broadcast against a weight or a bias of the site."""
    return units.view([-1 if axis == site.weight_axis else 1 for axis in range(like.ndim)])
