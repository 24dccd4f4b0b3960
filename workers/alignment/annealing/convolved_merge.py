"""One merge of shallow convolutional networks: what every layer is on every example, and what moves change.

What is kept of a merge: the activations of the first layer, the pre-activations of the layers between,
and, of the last convolution, what each member's units would be above them. Its map has one position, so
that the last costs little; a transposition there is a sum of other rows, and one in the group below adds
two channels' change to every member's rows. Further below, four channels (two as they were and as they
would be) go through the next convolution, and all others are evaluated in full.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from workers.alignment.annealing.convolved_ground import ConvolvedGround, convolved
from workers.alignment.annealing.problem import score


class ConvolvedMerge:
    """The mean of some members, under permutations that its owner holds: (n, L, W) units by place."""

    def __init__(self, ground: ConvolvedGround, members: tuple[int, ...]) -> None:
        self._ground, self.members = ground, members
        new, lengths = ground.first.new_empty, ground.lengths()

        def maps(channels: int) -> list[Tensor]:
            return [new(channels, *ground.sides, length) for length in lengths]

        self._hidden = maps(ground.width)
        self._layers = [maps(ground.width) for _ in ground.between]
        self._after = [maps(ground.width) for _ in ground.between]
        self._changed = maps(2)
        self._rows = new(len(members), ground.width, ground.num_examples)
        self._rows_after = torch.empty_like(self._rows)
        self._has_rows = False
        self._weights: dict[int, Tensor] = {}
        self._labels = ground.problem.examples.labels
        self._linear_bias = ground.linear[1][list(members)].sum(dim=0)

    def evaluate(self, permutations: np.ndarray, keeps: bool) -> float:
        """Errors, or summed loss, of permutations, in full; all layers are kept if ``keeps``."""
        ground = self._ground
        if keeps:
            self._weights, self._has_rows = {}, False
        weights = self._weights if keeps else {}
        top = ground.first.new_empty(ground.width, ground.num_examples)
        for number, chosen in enumerate(ground.blocks):
            hidden = ground.first_rows(number, permutations[:, 0], self.members).relu_()
            if keeps:
                self._hidden[number] = hidden
            top[:, chosen] = self._above(
                hidden, 1, number, permutations, weights, self._layers if keeps else None
            )
        return self._score(top, permutations)

    def transposed(
        self, before: np.ndarray, after: np.ndarray, member: int, group: int, places: list[int]
    ) -> float:
        """The same after a transposition in one group; what changes is left for ``accept``."""
        ground = self._ground
        if group == ground.depth - 1:
            return self._score_of_rows(self._member_rows(before), after)
        own = self._places(after, group, places) if group > 0 else None
        if group == ground.depth - 2:
            return self._last_changed(before, after, member, group, places, own)
        columns = self._columns(after, group, places)
        old_columns = self._weight(group + 1, before, self._weights)[:, places]
        weight = torch.cat([columns, -old_columns], dim=1)
        top = ground.first.new_empty(ground.width, ground.num_examples)
        for number, chosen in enumerate(ground.blocks):
            new, old = self._channels(number, after, group, places, own)
            channels = torch.cat([new, *(one.unsqueeze(0) for one in old)])
            layer, out = self._layers[group][number], self._after[group][number]
            hidden = convolved(layer, weight, channels, out).relu()
            top[:, chosen] = self._above(hidden, group + 2, number, before, self._weights, self._after)
        return self._score(top, after)

    def accept(self, group: int, places: list[int]) -> None:
        """Takes over what the last proposal left, which was of this group."""
        last = self._ground.depth - 1
        if group < last:
            kept = self._hidden if group == 0 else self._layers[group - 1]
            for maps, changed in zip(kept, self._changed, strict=True):
                maps[places] = changed
        if group == last - 1:
            self._rows, self._rows_after = self._rows_after, self._rows
        elif group < last:
            self._has_rows = False
            for layer in range(group, len(self._layers)):
                self._layers[layer], self._after[layer] = self._after[layer], self._layers[layer]
        for layer in (group, group + 1):
            self._weights.pop(layer, None)

    def _above(
        self,
        hidden: Tensor,
        first: int,
        number: int,
        permutations: np.ndarray,
        weights: dict[int, Tensor],
        into: list[list[Tensor]] | None,
    ) -> Tensor:
        """The last convolution's pre-activations (W, B), from the activations below a layer, in full."""
        ground = self._ground
        for layer in range(first, ground.depth - 1):
            weight = self._weight(layer, permutations, weights)
            bias = self._bias(layer, permutations)
            out = convolved(bias, weight, hidden, torch.empty_like(hidden))
            if into is not None:
                into[layer - 1][number] = out
            hidden = out.relu()
        weight, bias = self._weight(ground.depth - 1, permutations, weights), self._bias(-1, permutations)
        return torch.addmm(bias.unsqueeze(1), weight.flatten(1), hidden.view(-1, hidden.shape[-1]))

    def _channels(
        self, number: int, after: np.ndarray, group: int, places: list[int], own: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, list[Tensor]]:
        """Activations of two channels as they would be, (2, height, width, B), and as they are."""
        if own is None:
            new = self._ground.first_rows(number, after[:, 0, places], self.members).relu_()
            self._changed[number] = new
            return new, [self._hidden[number][place] for place in places]
        weight, bias = own
        below = self._hidden[number] if group == 1 else self._layers[group - 2][number].relu()
        convolved(bias, weight, below, self._changed[number])
        return self._changed[number].relu(), [
            self._layers[group - 1][number][place].relu() for place in places
        ]

    def _last_changed(
        self,
        before: np.ndarray,
        after: np.ndarray,
        member: int,
        group: int,
        places: list[int],
        own: tuple[Tensor, Tensor] | None,
    ) -> float:
        """The score after a transposition in the last group but one: every member's rows change.

        A member's unit keeps its weights: where it stays, its channel's change is that of its place; the
        two that are exchanged find at their new place what is not what they left at the other.
        """
        ground, rows = self._ground, self._member_rows(before)
        columns = torch.stack([ground.last[k][:, after[k, group, places].tolist()] for k in self.members])
        for number, chosen in enumerate(ground.blocks):
            new, old = self._channels(number, after, group, places, own)
            changes = new.new_empty(len(self.members), *new.shape)
            for change, k in zip(changes, self.members, strict=True):
                left = old[::-1] if k == member else old
                for one, now, then in zip(change, new, left, strict=True):
                    torch.sub(now, then, out=one)
            torch.baddbmm(
                rows[..., chosen],
                columns.flatten(2),
                changes.flatten(1, 3),
                out=self._rows_after[..., chosen],
            )
        return self._score_of_rows(self._rows_after, after)

    def _member_rows(self, permutations: np.ndarray) -> Tensor:
        """What each member's units of the last convolution would be, (members, W, B) in their own order."""
        ground = self._ground
        if self._has_rows:
            return self._rows
        for row, k in zip(self._rows, self.members, strict=True):
            weight = ground.last[k][:, ground.units(permutations[k, -2])].flatten(1)
            for number, chosen in enumerate(ground.blocks):
                hidden = self._hidden[number] if not self._layers else self._layers[-1][number].relu()
                row[:, chosen] = torch.addmm(
                    ground.biases[-1][k].unsqueeze(1), weight, hidden.view(-1, hidden.shape[-1])
                )
        self._has_rows = True
        return self._rows

    def _score_of_rows(self, rows: Tensor, permutations: np.ndarray) -> float:
        """The score of members' rows in the order of the last group."""
        units = [self._ground.units(permutations[k, -1]) for k in self.members]
        top = rows[0].index_select(0, units[0])
        for row, index in zip(rows[1:], units[1:], strict=True):
            top += row.index_select(0, index)
        return self._score(top, permutations)

    def _score(self, top: Tensor, permutations: np.ndarray) -> float:
        """The score of the last convolution's pre-activations (W, B), which are overwritten."""
        own = self._ground.linear[0]
        weight = own.new_zeros(own.shape[1:])
        for k in self.members:
            weight += own[k][:, self._ground.units(permutations[k, -1])]
        logits = torch.addmm(self._linear_bias.unsqueeze(1), weight, top.relu_())
        return float(score(logits, self._labels, self._ground.problem.measures_loss))

    def _weight(self, layer: int, permutations: np.ndarray, weights: dict[int, Tensor]) -> Tensor:
        """Averaged weights of one convolution above the first, formed where they are not there."""
        if layer not in weights:
            ground = self._ground
            own = ground.last if layer == ground.depth - 1 else ground.between[layer - 1]
            weight = own.new_zeros(own.shape[1:])
            for k in self.members:
                units, below = (ground.units(permutations[k, group]) for group in (layer, layer - 1))
                weight += own[k][units][:, below]
            weights[layer] = weight
        return weights[layer]

    def _bias(self, layer: int, permutations: np.ndarray) -> Tensor:
        """Averaged biases (W,) of one convolution."""
        own = self._ground.biases[layer]
        bias = own.new_zeros(own.shape[1:])
        for k in self.members:
            bias += own[k][self._ground.units(permutations[k, layer])]
        return bias

    def _places(self, permutations: np.ndarray, group: int, places: list[int]) -> tuple[Tensor, Tensor]:
        """Averaged weights (2, W, 3, 3) into two places of a layer between, and their biases (2,)."""
        own, biases = self._ground.between[group - 1], self._ground.biases[group]
        weight, bias = own.new_zeros(2, *own.shape[2:]), biases.new_zeros(2)
        for k in self.members:
            units, below = permutations[k, group, places].tolist(), permutations[k, group - 1]
            weight += own[k][units][:, self._ground.units(below)]
            bias += biases[k][units]
        return weight, bias

    def _columns(self, permutations: np.ndarray, group: int, places: list[int]) -> Tensor:
        """Averaged weights (W, 2, 3, 3) out of two places into a layer between."""
        own = self._ground.between[group]
        weight = own.new_zeros(own.shape[1], 2, 3, 3)
        for k in self.members:
            units, above = permutations[k, group, places].tolist(), permutations[k, group + 1]
            weight += own[k][self._ground.units(above)][:, units]
        return weight
