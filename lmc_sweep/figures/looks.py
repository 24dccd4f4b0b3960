"""How methods, families and sizes look: one color and marker for each method, and family, in every figure.

Colors after Okabe and Ito, and Tol, which people with any common color blindness tell apart; markers
differ as well, so that the figures can be read in gray.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Look:
    """Marker, color, whether the marker is filled, and the line that joins markers."""

    marker: str
    color: str
    filled: bool = True
    line: Any = "-"

    @property
    def face(self) -> str:
        """Color inside of the marker."""
        return self.color if self.filled else "white"

    def drawn(self, **more: Any) -> dict[str, Any]:
        """Arguments of ``plot`` and ``errorbar``."""
        return {
            "marker": self.marker,
            "color": self.color,
            "linestyle": self.line,
            "markerfacecolor": self.face,
            "markeredgecolor": self.color,
            "markersize": 4.5,
            "markeredgewidth": 0.8,
            "linewidth": 1.1,
            **more,
        }


METHOD_LOOKS: dict[str, Look] = {
    "identity": Look("o", "#5b5b5b", filled=False),
    "random": Look("D", "#a0a0a0", filled=False),
    "oracle": Look("d", "#000000", filled=False),
    "simulated_annealing": Look("^", "#0072b2"),
    "weight_matching": Look("s", "#d55e00"),
    "activation_matching": Look("v", "#009e73"),
    "functional_difference": Look("P", "#cc79a7"),
    "straight_through": Look("X", "#e69f00"),
    "sinkhorn": Look("p", "#56b4e9"),
    "node_sort": Look("h", "#8c6d31"),
    "brute_force": Look("*", "#000000"),
    "cycle_consistent": Look("<", "#882255"),
    "merge_many": Look(">", "#44aa99"),
    "independent": Look("o", "#5b5b5b", filled=False),
    "subspace": Look("s", "#0072b2"),
    "subspace_functional_difference": Look("^", "#d55e00"),
}

FAMILY_LOOKS: dict[str, Look] = {
    "mlp": Look("o", "#0072b2"),
    "shallow_cnn": Look("s", "#d55e00"),
    "vgg": Look("^", "#009e73"),
    "resnet": Look("D", "#cc79a7"),
    "resnet20": Look("v", "#e69f00"),
}
"""Of the families of architectures; a module of the user's own takes one that is free."""

_UNKNOWN = Look("1", "#333333")
_LINES = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (4, 1.2, 1, 1.2)), (0, (7, 2)), (0, (1, 3)))
# Of a method's variants: as it is, darker, lighter, much darker.
_SHADES = ((0, 0.0), (0, 0.45), (255, 0.4), (0, 0.7))
_LIGHTEST, _DARKEST = 0.65, 0.8
"""Shares of white and black at the ends of a family of more lines."""
# From dark blue to yellow by lightness, the lightest left out: sizes have an order, and so have these.
_SIZE_COLORS = ("#443983", "#1f918d", "#5dbf5a", "#b8a91d", "#d55e00", "#882255", "#777777")
_SIZE_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_FURTHER_MARKERS = ("P", "X", "p", "h", "<", ">", "d", "*", "8", "H")
_FURTHER_COLORS = ("#56b4e9", "#882255", "#8c6d31", "#5b5b5b", "#44aa99")


def method_looks(methods: Sequence[tuple[str, str]]) -> dict[str, Look]:
    """The look of each variant of a method: the method's own, told apart by shades, lines and fillings.

    Args:
        methods: Name and JSON of every method shown, in the order of the legend.
    """
    looks: dict[str, Look] = {}
    variants: dict[str, int] = {}
    for name, text in methods:
        if text in looks:
            continue
        number = variants.get(name, 0)
        variants[name] = number + 1
        own = METHOD_LOOKS.get(name, _UNKNOWN)
        looks[text] = replace(
            own,
            color=_mixed(own.color, *_SHADES[number % len(_SHADES)]),
            line=_LINES[number % len(_LINES)],
            filled=own.filled if number % 2 == 0 else not own.filled,
        )
    return looks


def family_looks(lines: Sequence[tuple[str, Key]]) -> dict[Key, Look]:
    """The look of each line of a family: the family's own, its further lines by shade and marker.

    Args:
        lines: Family and line, in the order of the legend.
    """
    families = list(dict.fromkeys(family for family, _ in lines))
    colors = {
        family: FAMILY_LOOKS[family].color
        if family in FAMILY_LOOKS
        else _FURTHER_COLORS[number % len(_FURTHER_COLORS)]
        for number, family in enumerate(families)
    }
    own = {FAMILY_LOOKS[family].marker for family in families if family in FAMILY_LOOKS}
    markers = [marker for marker in (*_FURTHER_MARKERS, *_SIZE_MARKERS) if marker not in own]
    counts = Counter(family for family, _ in lines)
    looks: dict[Key, Look] = {}
    variants: dict[str, int] = {}
    num_further = 0
    for family, line in lines:
        number = variants.get(family, 0)
        variants[family] = number + 1
        if number == 0 and family in FAMILY_LOOKS:
            marker = FAMILY_LOOKS[family].marker
        else:
            marker = markers[num_further % len(markers)]
            num_further += 1
        looks[line] = Look(marker, _mixed(colors[family], *_shade(number, counts[family])))
    return looks


def _shade(number: int, count: int) -> tuple[int, float]:
    """The shade of a line of a family: of many, from light to dark, so that none comes twice."""
    if count <= len(_SHADES):
        return _SHADES[number]
    place = 2 * number / (count - 1) - 1
    return (255, -_LIGHTEST * place) if place < 0 else (0, _DARKEST * place)


def label_order(label: str) -> list[tuple[bool, float, str]]:
    """What labels are sorted by: words in order, numbers by value, ``100 steps`` before ``1,000 steps``."""
    words = label.replace(",", "").replace("(", "").replace(")", "").split()
    return [(True, float(w), "") if w.replace(".", "", 1).isdigit() else (False, 0.0, w) for w in words]


def _mixed(color: str, other: int, share: float) -> str:
    """A color with a share of black (0) or white (255)."""
    parts = [int(color[place : place + 2], 16) for place in (1, 3, 5)]
    return "#" + "".join(f"{round((1 - share) * part + share * other):02x}" for part in parts)


def size_looks(sizes: Sequence[Any]) -> Mapping[Any, Look]:
    """The look of each width, depth or other size, in ascending order."""
    return {
        size: Look(_SIZE_MARKERS[index % len(_SIZE_MARKERS)], _SIZE_COLORS[index % len(_SIZE_COLORS)])
        for index, size in enumerate(sizes)
    }
