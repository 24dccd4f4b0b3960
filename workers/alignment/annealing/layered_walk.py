"""Chains of MLPs of any depth, on any device, as one tensor program with a chain axis.

What a chain keeps of every merge: the activations of the first hidden layer (where there is another), the
averaged weights above it, and the pre-activations of all layers above, on all examples. A transposition
in group g renews two rows of layer g (two rows of a product, or none in the first layer, whose
pre-activations are linear in the weights and cached by unit), adds four columns times four rows to the
pre-activations of the next layer, and forms full products only above that.

Shape legend: R chains, Q merges (q: those that a move touches), n members, W units, B examples.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from workers.alignment.annealing.layered_ground import LayeredGround
from workers.alignment.annealing.moves import Moves, Steps
from workers.alignment.annealing.problem import Problem, State, score
from workers.architectures.mlp import MLPProgram

REFRESH_AFTER = 1000
"""Steps that accepted anything after which everything is computed anew."""

MAX_ROWS = 2**26
"""Numbers of the first layer that are gathered at a time when everything is computed anew."""


class LayeredWalk:
    """Chains of one or more groups of networks."""

    def __init__(self, ground: LayeredGround, of_problem: Sequence[int], starts: Sequence[State]) -> None:
        """One chain per state; ``of_problem`` says which group of networks each belongs to."""
        self._ground, device = ground, ground.device
        self._of = torch.tensor(list(of_problem), device=device)
        self._endpoints = np.array([[ground.problems[k].endpoints] for k in of_problem])
        width, depth, num_members = len(starts[0][0]), ground.depth, ground.num_members
        slots = torch.stack([torch.from_numpy(np.stack(start)) for start in starts])
        moving = slots.reshape(len(starts), num_members - 1, depth, width)
        stay = torch.arange(width).expand(len(starts), 1, depth, width)
        self._permutations = torch.cat([stay, moving], dim=1).to(device)  # (R, n, groups, W)
        shape = (len(starts), len(ground.merges))
        num_examples = ground.below.shape[-1]
        num_classes = ground.weights[-1].shape[-2]
        new = ground.below.new_empty
        # layers[0]: activations of the first hidden layer; layers[l]: pre-activations of the layer l
        heights = [*[width] * depth, num_classes]
        heights[0] *= depth > 1  # with one hidden layer, its rows are cheaper to form than to keep
        self._layers = [new(*shape, height, num_examples) for height in heights]
        self._after = [torch.empty_like(layer) for layer in self._layers]
        self._present = torch.zeros(shape, dtype=torch.float64, device=device)
        self._everything = torch.arange(len(ground.merges), device=device)
        self._touched = {
            k: torch.tensor(
                [q for q, merge in enumerate(ground.problems[0].merges) if k in merge], device=device
            )
            for k in range(num_members)
        }
        self._num_accepted = 0
        self.drift = 0.0
        self._load(self._permutations)

    def states(self) -> list[State]:
        """Copies of the permutations, read back."""
        moving = self._permutations[:, 1:].flatten(1, 2).cpu().numpy()
        return [[index.copy() for index in chain] for chain in moving]

    def energies(self) -> list[float]:
        """Of the present states, read back."""
        return [float(energy) for energy in self._mean(self._present).cpu().numpy() - self._endpoints[:, 0]]

    def run(self, moves: Sequence[Moves]) -> list[Steps]:
        """Proposes the moves. On a CUDA device, nothing is read back before the last."""
        device, num_steps = self._ground.device, len(moves[0])
        firsts, seconds = (
            torch.from_numpy(np.stack(places)).to(device)
            for places in ([own.firsts for own in moves], [own.seconds for own in moves])
        )
        bounds = torch.from_numpy(np.stack([own.bounds for own in moves])).to(device)
        slots = moves[0].slots.tolist()
        proposed, present = torch.empty((2, len(moves), num_steps), dtype=torch.float64, device=device)
        accepted = torch.empty((len(moves), num_steps), dtype=torch.bool, device=device)
        with torch.no_grad():
            for step in range(num_steps):
                places = torch.stack([firsts[:, step], seconds[:, step]], dim=-1)  # (R, T, 2)
                proposed[:, step], accepted[:, step] = self._step(slots[step], places, bounds[:, step])
                present[:, step] = self._mean(self._present)
        arrays = [tensor.cpu().numpy() for tensor in (proposed, present, accepted)]
        arrays[0] -= self._endpoints
        arrays[1] -= self._endpoints
        return [Steps(arrays[0][r], arrays[1][r], arrays[2][r]) for r in range(len(moves))]

    def _mean(self, scores: Tensor) -> Tensor:
        """Energies (R,) without what endpoints subtract."""
        return scores.sum(dim=1) / (scores.shape[1] * self._ground.below.shape[-1])

    def _step(self, slots: list[int], places: Tensor, bounds: Tensor) -> tuple[Tensor, Tensor]:
        """One move of every chain: energies proposed, and whether accepted."""
        after = self._permutations.clone()
        for number, slot in enumerate(slots):
            index = after[:, 1 + slot // self._ground.depth, slot % self._ground.depth]
            exchanged = index.gather(1, places[:, number])
            index.scatter_(1, places[:, number].flip(1), exchanged)
        if len(slots) == 1:
            member, group = 1 + slots[0] // self._ground.depth, slots[0] % self._ground.depth
            scores = self._transposed(after, member, group, places[:, 0])
        else:
            member, group, scores = None, 0, self._forward(after)
        proposed = self._mean(scores)
        accepted = (proposed - self._mean(self._present) <= bounds) | (bounds == torch.inf)
        # on a CPU, looking costs nothing and spares the writing; elsewhere it would make the host wait
        if self._ground.device.type != "cpu" or bool(accepted.any()):
            self._commit(after, scores, accepted, member, group, places[:, 0])
            self._num_accepted += 1
            if self._num_accepted >= REFRESH_AFTER:
                self._num_accepted = 0
                self._load(self._permutations)
        return proposed, accepted

    def _load(self, permutations: Tensor) -> None:
        """Computes everything anew."""
        before = self._mean(self._present)
        is_first = not bool(self._present.any())
        self._present = self._forward(permutations)
        self._layers, self._after = self._after, self._layers
        self._weights, self._biases = self._ground.averages(self._of, permutations)
        if not is_first:
            self.drift = max(self.drift, float((self._mean(self._present) - before).abs().max()))

    def _forward(self, permutations: Tensor) -> Tensor:
        """Scores (R, Q) of permutations; all layers are left in ``_after``."""
        ground = self._ground
        weights, biases = ground.averages(self._of, permutations)
        members = torch.arange(ground.num_members, device=ground.device)
        units = permutations[:, :, 0]  # (R, n, W)
        labels = ground.problems[0].examples.labels
        total = torch.zeros_like(self._present)
        per_example = self._permutations.shape[0] * ground.num_members * units.shape[-1]
        for chosen in ground.chunks(max(1, MAX_ROWS // per_example)):
            rows = ground.below[..., chosen][self._of[:, None, None], members[:, None], units]
            hidden = rows[:, ground.merges].sum(dim=2).relu_()
            if ground.depth > 1:
                self._after[0][..., chosen] = hidden
            for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True), start=1):
                out = _product(bias, weight, hidden)
                self._after[layer][..., chosen] = out
                hidden = out.relu_() if layer < ground.depth else out
            total += score(hidden, labels[chosen], ground.problems[0].measures_loss)
        return total

    def _transposed(self, after: Tensor, member: int, group: int, places: Tensor) -> Tensor:
        """Scores (R, Q) after a transposition in one group; what changes is left in ``_after``."""
        ground, depth = self._ground, self._ground.depth
        touched = self._touched[member]
        everyone = len(touched) == len(ground.merges)
        labels = ground.problems[0].examples.labels
        own_rows = self._ground.rows(self._of, after, group, places)[:, touched] if group > 0 else None
        own_bias = self._ground.unit_biases(self._of, after, group, places)[:, touched] if group > 0 else None
        old_columns = self._ground.columns(self._of, self._permutations, group, places)[:, touched]
        columns = torch.cat(
            [self._ground.columns(self._of, after, group, places)[:, touched], -old_columns], dim=-1
        )
        self._changed_rows = []
        total = torch.zeros(len(after), len(touched), dtype=torch.float64, device=ground.device)
        at = places[:, None, :, None].expand(-1, len(touched), -1, ground.chunk)
        for chosen in ground.chunks():
            length = chosen.stop - chosen.start
            here = [
                layer[..., chosen] if everyone else layer[:, touched, :, chosen] for layer in self._layers
            ]
            if own_rows is None or own_bias is None:
                changed = self._ground.first_rows(self._of, after, places, chosen)[:, touched].relu_()
                new = changed
                old = self._ground.first_rows(self._of, self._permutations, places, chosen)[
                    :, touched
                ].relu_()
            else:
                old = here[group].gather(2, at[..., :length]).relu()
                hidden = here[group - 1] if group == 1 else here[group - 1].relu()
                changed = _product(own_bias, own_rows, hidden)
                new = changed.relu()
            self._changed_rows.append(changed)
            out = _accumulated(here[group + 1], columns, torch.cat([new, old], dim=2))
            for layer in range(group + 1, depth + 1):
                self._after[layer][:, touched, :, chosen] = out
                if layer < depth:
                    weight = self._weights[layer][:, touched]
                    out = _product(self._biases[layer][:, touched], weight, out.relu_())
            total += score(out, labels[chosen], ground.problems[0].measures_loss)
        scores = self._present.clone()
        scores[:, touched] = total
        return scores

    def _commit(
        self, after: Tensor, scores: Tensor, accepted: Tensor, member: int | None, group: int, places: Tensor
    ) -> None:
        """Takes over what was left by a proposal, in the chains that accepted it."""
        ground, mask = self._ground, accepted.view(-1, 1, 1, 1)
        touched = self._everything if member is None else self._touched[member]
        is_sure = ground.device.type == "cpu" and bool(accepted.all())

        def merged(old: Tensor, new: Tensor) -> Tensor:
            return new if is_sure else torch.where(mask.view(-1, *[1] * (old.dim() - 1)), new, old)

        self._permutations = merged(self._permutations, after)
        self._present = merged(self._present, scores)
        first = 0 if member is None else group + 1
        for layer in range(first, ground.depth + 1):
            if is_sure and len(touched) == len(ground.merges):
                self._layers[layer], self._after[layer] = self._after[layer], self._layers[layer]
            else:
                old, new = self._layers[layer], self._after[layer]
                if len(touched) == len(ground.merges):
                    torch.where(mask, new, old, out=old)
                else:
                    old[:, touched] = merged(old[:, touched], new[:, touched])
        if member is not None and (ground.depth > 1 or group > 0):
            rows = torch.cat(self._changed_rows, dim=-1)
            at = places[:, None, :, None].expand(-1, len(touched), -1, rows.shape[-1])
            old = self._layers[group][:, touched]
            self._layers[group][:, touched] = old.scatter(2, at, merged(old.gather(2, at), rows))
        self._weights, self._biases = ground.averages(self._of, self._permutations)


def _product(bias: Tensor, weight: Tensor, hidden: Tensor) -> Tensor:
    """bias + weight @ hidden of every chain and merge."""
    shape = weight.shape[:2]
    found = torch.baddbmm(
        bias.flatten(0, 1).unsqueeze(-1), weight.flatten(0, 1), hidden.expand(*shape, -1, -1).flatten(0, 1)
    )
    return found.view(*shape, *found.shape[1:])


def _accumulated(start: Tensor, columns: Tensor, rows: Tensor) -> Tensor:
    """start + columns @ rows of every chain and merge."""
    shape = start.shape[:2]
    found = torch.baddbmm(start.flatten(0, 1), columns.flatten(0, 1), rows.flatten(0, 1))
    return found.view(*shape, *found.shape[1:])


def serves(problem: Problem) -> bool:
    """Whether the networks are MLPs."""
    return isinstance(problem.examples.program, MLPProgram)


def chain_bytes(problem: Problem) -> float:
    """Memory of one chain: its layers, twice, its weights, and what lies between products."""
    program, member = problem.examples.program, problem.members[0]
    assert isinstance(program, MLPProgram)
    itemsize = next(iter(member.values())).element_size()
    weights = sum(tensor.numel() for tensor in member.values()) * (len(problem.merges) + len(problem.members))
    units = program.depth * program.width if program.depth > 1 else 0
    layers = (units + program.num_classes) * len(problem.examples.labels)
    return float(itemsize * (2 * weights + (2 * layers + layers // 4) * len(problem.merges)))
