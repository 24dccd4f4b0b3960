"""Machines of a Ray cluster, what a task asks of one, and which of them have it: pure functions."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

NODE_LABEL = "ray.io/node-id"
"""A label that Ray gives each machine."""

_LABEL = re.compile(r"(!)?(?:in\((?P<several>[^)]*)\)|(?P<one>[^()]*))")


@dataclass(frozen=True)
class Node:
    """A machine that is alive: its id, what it offers, and what people call it."""

    id: str
    cpus: float
    gpus: float
    memory_bytes: float = 0.0
    """What Ray hands out on it; 0 where that is not known."""
    labels: Mapping[str, str] = field(default_factory=dict)
    name: str = ""

    @property
    def told(self) -> str:
        """Its name and the start of its id, which Ray's dashboard shows too."""
        return f"{self.name or 'node'} ({self.id[:8]})"


@dataclass(frozen=True)
class Demand:
    """What one task reserves on a machine. Its hash leaves the labels out, which follow from its place."""

    cpus: float
    gpus: float
    memory_bytes: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Labels that the machine must have, as Ray's label selectors say it."""

    def times(self, factor: float) -> Demand:
        """So many times as much of a machine with the same labels; of GPUs a part of one, or whole ones."""
        gpus = factor * self.gpus
        whole = gpus if gpus <= 1 else float(int(gpus))
        return replace(self, cpus=factor * self.cpus, gpus=whole, memory_bytes=factor * self.memory_bytes)

    def __str__(self) -> str:
        """For people: 1 CPUs and 0.5 GPUs on a machine with kind=gpu."""
        where = ", ".join(f"{key}={value}" for key, value in self.labels.items())
        return f"{self.cpus:g} CPUs and {self.gpus:g} GPUs" + (f" on a machine with {where}" if where else "")


def node(told: Mapping[str, Any]) -> Node:
    """A machine as ``ray.nodes()`` tells it."""
    found = told["Resources"]
    return Node(
        id=told["NodeID"],
        cpus=found.get("CPU", 0.0),
        gpus=found.get("GPU", 0.0),
        memory_bytes=found.get("memory", 0.0),
        labels=told.get("Labels") or {},
        name=told.get("NodeManagerHostname") or told.get("NodeManagerAddress") or "",
    )


def fits(node: Node, demand: Demand) -> float:
    """How many times a machine has what is asked for; 0 where its labels are others."""
    if not all(has_label(node.labels.get(key), wanted) for key, wanted in demand.labels.items()):
        return 0.0
    times = [node.cpus / demand.cpus]
    if demand.gpus:
        times.append(node.gpus / demand.gpus)
    if demand.memory_bytes and node.memory_bytes:
        times.append(node.memory_bytes / demand.memory_bytes)
    return min(times)


def num_slots(nodes: Sequence[Node], demand: Demand) -> int:
    """Tasks that fit into the machines at a time."""
    return sum(int(fits(node, demand) + 1e-9) for node in nodes)


def has_label(value: str | None, wanted: str) -> bool:
    """Whether a label meets a selector: ``v``, ``!v``, ``in(v, w)`` or ``!in(v, w)``; none meets the second
    kind."""
    match = _LABEL.fullmatch(wanted.strip())
    if match is None:
        return False
    several = match["several"]
    names = {match["one"]} if several is None else {name.strip() for name in several.split(",")}
    return (value in names) != bool(match[1])


def selector(
    demand: Demand, nodes: Sequence[Node], silent: Collection[str], refused: Collection[str]
) -> dict[str, str]:
    """Labels that a machine must have to get a task: those asked for, and not to be refused.

    Nor silent, if any other machine has what is asked for. If none has, the task may go to a silent one: it
    runs once that answers, while Ray would keep one that avoids it pending for ever (a task's labels are
    those of its submission).
    """
    able = {node.id for node in nodes if fits(node, demand) >= 1 - 1e-9}.difference(refused)
    avoided = {*refused, *(silent if able.difference(silent) else ())}
    return dict(demand.labels) | ({NODE_LABEL: f"!in({','.join(sorted(avoided))})"} if avoided else {})


def within(demand: Demand, nodes: Sequence[Node]) -> Demand:
    """The same with no more memory than the roomiest machine has that could take it: it then runs there
    alone."""
    if not demand.memory_bytes:
        return demand
    bare = replace(demand, memory_bytes=0.0)
    most = max((node.memory_bytes for node in nodes if fits(node, bare) >= 1 - 1e-9), default=0.0)
    return replace(demand, memory_bytes=min(demand.memory_bytes, most)) if most else bare


def stepped(memory_bytes: float) -> float:
    """Memory in steps of an eighth of its size: Ray starts anew with what asks for other amounts."""
    if memory_bytes <= 0:
        return 0.0
    step = 2.0 ** (math.floor(math.log2(memory_bytes)) - 3)
    return math.ceil(memory_bytes / step) * step


def total(nodes: Sequence[Node]) -> tuple[float, float]:
    """CPUs and GPUs of all machines."""
    return sum(node.cpus for node in nodes), sum(node.gpus for node in nodes)


def listed(nodes: Sequence[Node], most: int = 8) -> str:
    """What the machines have, for people, alike ones together: 3 x (8 CPUs, 1 GPUs, kind=gpu)."""
    kinds: dict[str, int] = {}
    for node in nodes:
        labels = [f"{key}={value}" for key, value in sorted(node.labels.items()) if key != "ray.io/node-id"]
        told = ", ".join([f"{node.cpus:g} CPUs", f"{node.gpus:g} GPUs", *labels])
        kinds[told] = kinds.get(told, 0) + 1
    shown = [f"{count} x ({told})" for told, count in list(kinds.items())[:most]]
    return ", ".join(shown + ["..."] * (len(kinds) > most)) or "no machine"
