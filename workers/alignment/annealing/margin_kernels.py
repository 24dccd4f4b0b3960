"""Compiled inner loop of the annealer for MLPs with one hidden layer, on margins."""

from __future__ import annotations

import numpy as np

from workers.alignment.annealing.kernels import BLOCK, TERMS, count_errors, fill, kernel, sum_losses, swap

_ZERO = np.float32(0.0)


@kernel
def score(  # type: ignore[no-untyped-def]
    below, above, margins, merge, old, new, rows, places, blocks, labels, measures_loss, commits, work
):
    """Errors, or summed loss, of one merge after its members' units at some places have changed.

    Args:
        below: (members, rows, B) pre-activations of single units, divided by the size of a merge.
        above: (members, W, C) weights from each unit to the logits, divided likewise.
        margins: (C, B) of the merge; overwritten if ``commits``.
        merge: The members that it is the mean of.
        old: (members, places) unit of each member at each place before.
        new: The same after.
        rows: (members, W) where in ``below`` a unit's row is.
        places: How many there are; those where nothing changed in this merge are passed over.
        blocks: Where each block of examples begins, and the end of the last; uint64.
        labels: Of the blocks.
        measures_loss: Loss instead of errors.
        commits: Whether the change is written to the margins.
        work: Hidden rows (terms, BLOCK), weights (C, terms), scratch (C + 2, BLOCK), changed places
            (terms,), to work in.
    """
    hidden, weights, scratch, changed = work
    num_classes = len(margins)
    num_changed = 0
    for j in range(places):
        for k in merge:
            if old[k, j] != new[k, j]:
                changed[num_changed] = j
                num_changed += 1
                break
    num_terms = max(2 * num_changed, TERMS)
    for i in range(num_changed):
        j = changed[i]
        for c in range(num_classes):
            before, after = _ZERO, _ZERO
            for k in merge:
                before -= above[k, old[k, j], c]
                after += above[k, new[k, j], c]
            weights[c, 2 * i] = before
            weights[c, 2 * i + 1] = after
    for term in range(2 * num_changed, num_terms):
        for t in range(BLOCK):
            hidden[term, t] = _ZERO
        for c in range(num_classes):
            weights[c, term] = _ZERO
    total = 0.0
    for b in range(len(labels)):
        begin, length = blocks[b], blocks[b + 1] - blocks[b]
        for i in range(num_changed):
            fill(hidden, 2 * i, below, rows, old, changed[i], merge, begin, length)
            fill(hidden, 2 * i + 1, below, rows, new, changed[i], merge, begin, length)
        if measures_loss:
            total += sum_losses(
                margins, hidden, weights, num_terms, labels[b], begin, length, commits, scratch
            )
        else:
            total += count_errors(
                margins, hidden, weights, num_terms, labels[b], begin, length, commits, scratch
            )
    return total


@kernel
def walk(  # type: ignore[no-untyped-def]
    ground, state, merges, moves, bounds, measures_loss, denominator, max_accepted, steps, work
):
    """The number of moves made; proposes one after another and carries out those within their bounds.

    It stops after ``max_accepted`` moves were accepted, when margins are to be computed anew.

    Args:
        ground: below, above, rows, blocks, labels, as ``score`` takes them.
        state: Permutations (members, W), margins (merges, C, B), scores (merges,); all overwritten.
        merges: (merges, size) members of each.
        moves: Members, first and second places, each of shape (S, transpositions).
        bounds: (S,) by how much the energy may rise; infinite where the move is carried out in any case.
        measures_loss: Loss instead of errors.
        denominator: Examples times merges: what sums are divided by.
        max_accepted: Where to stop.
        steps: Proposed and present energies (without an offset), and whether accepted; written, (S,).
        work: As ``score`` takes it.
    """
    below, above, rows, blocks, labels = ground
    permutations, margins, scores = state
    members, firsts, seconds = moves
    proposed, present, accepted = steps
    num_members, num_merges, num_swaps = len(permutations), len(merges), members.shape[1]
    places = np.empty(2 * num_swaps, np.int64)
    old = np.empty((num_members, 2 * num_swaps), np.int64)
    new = np.empty((num_members, 2 * num_swaps), np.int64)
    scores_after = np.empty(num_merges, np.float64)
    is_touched = np.empty(num_merges, np.bool_)
    is_in = np.zeros((num_merges, num_members), np.bool_)
    for q in range(num_merges):
        for k in merges[q]:
            is_in[q, k] = True
    num_accepted = 0
    energy = scores.sum() / denominator
    for step in range(len(bounds)):
        num_places = 0
        for s in range(num_swaps):
            for place in (firsts[step, s], seconds[step, s]):
                is_new = True
                for j in range(num_places):
                    is_new &= places[j] != place
                if is_new:
                    places[num_places] = place
                    num_places += 1
        for k in range(num_members):
            for j in range(num_places):
                old[k, j] = permutations[k, places[j]]
        for s in range(num_swaps):
            swap(permutations[members[step, s]], firsts[step, s], seconds[step, s])
        for k in range(num_members):
            for j in range(num_places):
                new[k, j] = permutations[k, places[j]]
        is_sure = bounds[step] == np.inf  # carried out at once, whatever the energy
        for q in range(num_merges):
            is_touched[q] = False
            for s in range(num_swaps):
                is_touched[q] |= is_in[q, members[step, s]]
            scores_after[q] = scores[q]
            if is_touched[q]:
                scores_after[q] = score(
                    below, above, margins[q], merges[q], old, new, rows, num_places, blocks, labels,
                    measures_loss, is_sure, work,
                )  # fmt: skip
        after = scores_after.sum() / denominator
        proposed[step] = after
        accepted[step] = is_sure or after - energy <= bounds[step]  # or else never where it is NaN
        if accepted[step]:
            for q in range(num_merges):
                if is_touched[q] and not is_sure:
                    score(
                        below, above, margins[q], merges[q], old, new, rows, num_places, blocks, labels,
                        measures_loss, True, work,
                    )  # fmt: skip
                scores[q] = scores_after[q]
            energy = after
            num_accepted += 1
        else:
            for s in range(num_swaps - 1, -1, -1):
                swap(permutations[members[step, s]], firsts[step, s], seconds[step, s])
        present[step] = energy
        if num_accepted == max_accepted:
            return step + 1
    return len(bounds)
