"""The items of the study ``all_pairs``: alignments and barriers of pairs, and the matrices made of them.

The alignments and barriers are those that the study ``barriers`` asks of the same two networks in world
``real``: a store that holds them for one study holds them for the other.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from lmc_sweep.config.all_pairs_study import AllPairsStudy
from lmc_sweep.config.sweep import Cell, Interpolation
from lmc_sweep.errors import StoreError
from lmc_sweep.planning import pair_items
from lmc_sweep.planning.decoding import decode_method, read_json
from lmc_sweep.planning.identity import canonical_json
from lmc_sweep.planning.item_classes import AlignmentItem, BarrierItem, Item, NetworkItem, StudyItem
from lmc_sweep.planning.pair_items import alignment_items, barrier_items
from workers.all_pairs.drawing import Pair, all_pairs, drawn_pairs
from workers.all_pairs.specs import BarrierMatrixSpec
from workers.specs import Correction, Split

ROW_SECONDS = 2e-5  # of reading one barrier back
MATRIX_SECONDS = 5e-9  # per cubed number of networks, of all that is derived
BYTES_OF_PAIR = 60
BYTES_OF_ROW = 2000  # a barrier's row while it is read

Question = tuple[str, Split, Correction]
"""Method in canonical JSON, split and correction: what the barriers of one matrix share."""


@dataclass(frozen=True)
class BarrierMatrixItem(StudyItem):
    """One matrix. ``requires`` are the barriers of its pairs, in their order; one drawn twice comes twice."""

    kind: ClassVar[str] = "barrier_matrix"
    spec_class: ClassVar[type[BarrierMatrixSpec]] = BarrierMatrixSpec

    @classmethod
    def of(cls, spec: BarrierMatrixSpec, networks: Mapping[str, NetworkItem]) -> Self:
        """The item of a spec.

        Raises:
            StoreError: Where the barriers of its pairs have other ids by now: numerics were changed.
        """
        members = [networks[key] for key in spec.networks]
        study = AllPairsStudy(
            alignments=(decode_method(read_json(spec.method_json, "method_json"), "method_json"),),
            interpolation=Interpolation(
                alphas=spec.alphas, splits=(spec.split,), corrections=(spec.correction,)
            ),
        )
        barriers = [
            item for item in _of_pairs(members, pairs_of(spec), study) if isinstance(item, BarrierItem)
        ]
        by_pair = {item.alignment.networks: item.id for item in barriers}
        requires = tuple(by_pair[members[a].id, members[b].id] for a, b in pairs_of(spec))
        if _hash(requires) != spec.barriers_sha256:
            raise StoreError(
                "barrier_matrices: a matrix was made of barriers that have other ids by now. A version of "
                "the program with other numerics wrote it, and recomputes it"
            )
        return cls.named(spec, members[0].cell_id, requires, members[0].spec)

    @property
    def group(self) -> tuple[object, ...]:
        """Its cell and method: a matrix waits for no barriers but its own."""
        return (self.cell_id, self.spec.method_json)

    @property
    def words(self) -> str:
        """How many networks, how aligned, measured on what."""
        method = read_json(self.spec.method_json, "method_json")["method"]
        return f"matrix of {len(self.spec.networks)} networks, {method}, {self.spec.split}"

    def seconds(self, flops_per_second: float) -> float:
        """Of reading the barriers and finding the ways between the networks."""
        return ROW_SECONDS * len(self.requires) + MATRIX_SECONDS * len(self.spec.networks) ** 3

    def stored_bytes(self) -> int:
        """Of one row."""
        return BYTES_OF_PAIR * len(self.requires) + 40 * len(self.spec.networks) + 1000

    def working_bytes(self) -> int:
        """Rows that were read, and a few matrices."""
        return BYTES_OF_ROW * len(self.requires) + 100 * len(self.spec.networks) ** 2


def items(study: AllPairsStudy, cells: Sequence[Sequence[NetworkItem]]) -> Iterator[Item]:
    """Alignments, barriers and matrices of every cell."""
    for cell in cells:
        members = cell[: study.networks]
        ids = tuple(member.id for member in members)
        pairs = (
            all_pairs(len(members)) if study.pairs is None else drawn_pairs(ids, study.pairs, study.draw_seed)
        )
        ids_by_question: dict[Question, dict[tuple[str, ...], str]] = defaultdict(dict)
        methods: dict[int, str] = {}
        for item in _of_pairs(members, pairs, study):
            yield item
            if isinstance(item, BarrierItem):
                method = item.alignment.method
                if id(method) not in methods:
                    methods[id(method)] = canonical_json(method)
                question = (methods[id(method)], item.split, item.correction)
                ids_by_question[question][item.alignment.networks] = item.id
        for (method_json, split, correction), by_pair in ids_by_question.items():
            requires = tuple(by_pair[ids[a], ids[b]] for a, b in pairs)
            for height in study.heights:
                spec = BarrierMatrixSpec(
                    networks=ids,
                    method_json=method_json,
                    split=split,
                    correction=correction,
                    alphas=study.interpolation.alphas,
                    height=height,
                    pairing=study.pairing,
                    num_pairs=study.pairs,
                    draw_seed=None if study.pairs is None else study.draw_seed,
                    barriers_sha256=_hash(requires),
                )
                yield BarrierMatrixItem.named(spec, members[0].cell_id, requires, members[0].spec)


def left_out(study: AllPairsStudy, cells: Sequence[Cell]) -> Counter[str]:
    """Why alignments are not planned, with how many: methods that some networks have no use for."""

    def num_pairs(num_seeds: int) -> int:
        return study.pairs or math.comb(study.networks or num_seeds, 2)

    return pair_items.left_out(study.as_barriers, cells, num_pairs)


def pairs_of(spec: BarrierMatrixSpec) -> list[Pair]:
    """Positions of the networks of each pair of a matrix."""
    if spec.num_pairs is None or spec.draw_seed is None:
        return all_pairs(len(spec.networks))
    return drawn_pairs(spec.networks, spec.num_pairs, spec.draw_seed)


def _of_pairs(
    members: Sequence[NetworkItem], pairs: Iterable[Pair], study: AllPairsStudy
) -> Iterator[AlignmentItem | BarrierItem]:
    """The alignments and barriers of some pairs, each pair once."""
    asked = study.as_barriers
    for a, b in dict.fromkeys(pairs):
        for alignment in alignment_items([members[a], members[b]], asked):
            yield alignment
            yield from barrier_items(alignment, asked)


def _hash(ids: Sequence[str]) -> str:
    """Of the ids of barriers, in order."""
    return hashlib.sha256(" ".join(ids).encode()).hexdigest()
