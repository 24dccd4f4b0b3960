"""How many permutation points there are, as exact fractions and integers.

A K-th order permutation point of a layer with n neurons holds n - K distinct parameter vectors, each at least
once. Its neurons may stand in any order, so there is one for every surjection of the n neurons onto the n - K
vectors. Divided by the n! orders of a global minimum, whose vectors are all distinct, this is T(K, n): the
number of K-th order permutation points of the layer per global minimum, for one minimum of the smaller
network.

All of it is integer arithmetic; nothing is rounded for any width.

Source:
    Brea et al. 2019, section 2.3 and appendix C.4. T is a fraction in general: T(1, 4) = 3/2.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import comb, factorial, perm, prod


def points_per_minimum(order: int, width: int) -> Fraction:
    """T(K, n) = (n - K)! S(n, n - K) / n!, with S the Stirling numbers of the second kind.

    Brea et al. 2019 say that there is no closed form; this is one: (n - K)! S(n, n - K) counts surjections.
    """
    _require(order, width)
    distinct = width - order
    signed = (
        (-1) ** missing * comb(distinct, missing) * (distinct - missing) ** width
        for missing in range(distinct)
    )
    return Fraction(sum(signed), factorial(width))


def points_by_enumeration(order: int, width: int) -> Fraction:
    """T(K, n) summed over the ways in which K surplus neurons may be shared among n - K vectors.

    The paper's own argument: a partition of n into n - K parts s_1 + s_2 + ... is given to the vectors in
    (n - K)! / (product of factorials of equal parts) ways, each with n! / (s_1! s_2! ...) orders of neurons.
    """
    _require(order, width)
    distinct = width - order
    total = Fraction(0)
    for surplus in partitions(order, distinct):
        ways = perm(distinct, len(surplus)) // prod(factorial(count) for count in Counter(surplus).values())
        total += Fraction(ways, prod(factorial(part + 1) for part in surplus))
    return total


def printed_points(order: int, width: int) -> Fraction:
    """T(K, n) in the forms printed for K = 1, 2, 3, which hold for any n > K.

    Source:
        Brea et al. 2019, proposition 3 (i).
    """
    _require(order, width)
    if order > 3:
        raise ValueError(
            f"forms are printed for orders 1, 2 and 3, not for {order}; points_per_minimum has all"
        )
    distinct = width - order
    terms = {
        1: [(1, Fraction(1, 2))],
        2: [(1, Fraction(1, 6)), (2, Fraction(1, 4))],
        3: [(1, Fraction(1, 24)), (2, Fraction(1, 6)), (3, Fraction(1, 8))],
    }
    return sum((comb(distinct, chosen) * share for chosen, share in terms[order]), Fraction(0))


def fewest_points(order: int, width: int) -> Fraction:
    """The lower bound C(n - K, K) / 2^K: the points that repeat K of the vectors once. 0 where n < 2K.

    Source:
        Brea et al. 2019, proposition 3 (ii).
    """
    _require(order, width)
    return Fraction(comb(width - order, order), 2**order)


def limit_of_points(order: int) -> Fraction:
    """1 / (2^K K!), to which T(K, n) / n^K tends as n grows.

    The constant of lemma 2 in Brea et al. 2019 is smaller by e^K: the binomial coefficient C(n - K, K) tends
    to n^K / K!, without that factor.
    """
    if order < 1:
        raise ValueError(f"the order of a permutation point is 1 or more, not {order}")
    return Fraction(1, 2**order * factorial(order))


def num_minima(widths: Sequence[int]) -> int:
    """Equivalent global minima: the product of n_k! over the hidden layers."""
    return prod(factorial(width) for width in widths)


def num_points(order: int, widths: Sequence[int]) -> int:
    """K-th order permutation points of all hidden layers, for one minimum of each smaller network.

    The sum over layers of T(K, n_k), times the product of n_k!. Layers of K or fewer neurons have none.

    Source:
        Brea et al. 2019, lemma 3, which states it as a lower bound.
    """
    if order < 1:
        raise ValueError(f"the order of a permutation point is 1 or more, not {order}")
    ratio = sum((points_per_minimum(order, width) for width in widths if width > order), Fraction(0))
    total = ratio * num_minima(widths)
    assert total.denominator == 1
    return total.numerator


def partitions(total: int, most_parts: int) -> Iterator[tuple[int, ...]]:
    """The ways to write a number as a sum of at most so many positive parts, largest first."""

    def below(left: int, parts: int, largest: int) -> Iterator[tuple[int, ...]]:
        if left == 0:
            yield ()
        elif parts:
            for part in range(min(left, largest), 0, -1):
                for rest in below(left - part, parts - 1, part):
                    yield part, *rest

    return below(total, most_parts, total)


def _require(order: int, width: int) -> None:
    """Raises ValueError unless a layer of this width has permutation points of this order."""
    if order < 1:
        raise ValueError(f"the order of a permutation point is 1 or more, not {order}")
    if order >= width:
        raise ValueError(
            f"a layer of {width} neurons has no permutation points of order {order}: at least one of its "
            f"parameter vectors remains, so the order is at most {width - 1}"
        )
