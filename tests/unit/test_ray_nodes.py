"""What a task asks of a machine, which machines have it, and how much is put in flight."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray import exceptions as ray_exceptions

from lmc_sweep import Store
from lmc_sweep.config.sweep import Execution, KindResources, Resources
from lmc_sweep.errors import SweepError
from lmc_sweep.execution import ray_executor, ray_probe
from lmc_sweep.execution.executor import Attempt
from lmc_sweep.execution.node_check import Needs
from lmc_sweep.execution.ray_executor import RayExecutor
from lmc_sweep.execution.ray_functions import Functions
from lmc_sweep.execution.ray_nodes import (
    Demand,
    Node,
    fits,
    has_label,
    listed,
    node,
    num_slots,
    selector,
    stepped,
    within,
)
from lmc_sweep.execution.ray_probe import Probe
from lmc_sweep.execution.ray_room import Room
from lmc_sweep.execution.ray_sent import SETTLE_SECONDS
from lmc_sweep.execution.ray_suspects import Suspects
from lmc_sweep.execution.task import Task
from lmc_sweep.store import sweeps
from lmc_sweep.store.local_files import LocalFiles

SMALL = Node("a" * 56, 4, 0, 8e9, {"zone": "a"}, "small")
LARGE = Node("b" * 56, 16, 2, 64e9, {"zone": "b", "ray.io/accelerator-type": "H100"}, "large")


@pytest.mark.parametrize(
    ("value", "wanted", "meets"),
    [
        ("a", "a", True),
        ("b", "a", False),
        (None, "a", False),
        ("b", "!a", True),
        ("a", "!a", False),
        (None, "!a", True),
        ("b", "in(a, b)", True),
        ("c", "in(a,b)", False),
        ("c", "!in(a, b)", True),
        (None, "!in(a, b)", True),
        ("a", "in(a", False),
    ],
)
def test_a_label_meets_a_selector_as_for_ray(value: str | None, wanted: str, meets: bool) -> None:
    """A value, one of several, or none of them."""
    assert meets == has_label(value, wanted)


def test_slots_are_bounded_by_whatever_is_short() -> None:
    """CPUs, GPUs, memory or labels."""
    both = [SMALL, LARGE]
    assert 20 == num_slots(both, Demand(1, 0))
    assert 4 == num_slots(both, Demand(1, 0.5))
    assert 2 + 16 == num_slots(both, Demand(1, 0, memory_bytes=4e9))
    assert 16 == num_slots(both, Demand(1, 0, labels={"zone": "!a"}))
    assert 0 == num_slots(both, Demand(1, 1, labels={"zone": "a"}))


def test_no_task_asks_for_more_memory_than_a_machine_has() -> None:
    """Else it would wait for ever; where memory is not known nothing is asked."""
    assert 64e9 == within(Demand(1, 0, 1e12), [SMALL, LARGE]).memory_bytes
    assert 8e9 == within(Demand(1, 0, 1e12, {"zone": "a"}), [SMALL, LARGE]).memory_bytes
    assert 0 == within(Demand(1, 0, 1e9), [Node("c", 1, 0)]).memory_bytes
    assert 1 == fits(SMALL, within(Demand(1, 0, 1e12), [SMALL]))


def test_memory_is_asked_for_in_steps() -> None:
    """Never less than what is needed, at most an eighth more, in few different amounts."""
    amounts = [1e9 * 1.01**number for number in range(300)]
    asked = [stepped(amount) for amount in amounts]
    assert all(amount <= got <= amount * 1.126 for amount, got in zip(amounts, asked, strict=True))
    assert len(set(asked)) < 45
    assert 0 == stepped(0)


def test_a_machine_is_read_as_ray_tells_it() -> None:
    """Resources that it lacks are 0; its name and id stand in messages."""
    told = {"NodeID": "f" * 56, "Resources": {"CPU": 2.0, "memory": 5.0}, "Labels": {"a": "b"}}
    found = node({**told, "NodeManagerHostname": "h7"})
    assert (2.0, 0.0, 5.0, {"a": "b"}) == (found.cpus, found.gpus, found.memory_bytes, found.labels)
    assert "h7 (ffffffff)" == found.told
    assert "2 x (2 CPUs, 0 GPUs, a=b)" == listed([found, found])
    assert "no machine" == listed([])


class _Handle:
    """A remote function that keeps what it was asked with."""

    def __init__(self, made: list[dict[str, Any]], options: dict[str, Any] | None = None) -> None:
        self.made, self.asked = made, options

    def options(self, **options: Any) -> _Handle:
        self.made.append(options)
        return _Handle(self.made, options)

    def remote(self, task: Any) -> str:
        return f"reference {len(self.made)}"


def executor(execution: Execution, nodes: list[Node]) -> tuple[RayExecutor, list[dict[str, Any]]]:
    """An executor on these machines, and the options of the functions that it makes."""
    made: list[dict[str, Any]] = []
    ray: Any = SimpleNamespace(remote=lambda **_: lambda body: _Handle(made))
    found = RayExecutor.__new__(RayExecutor)
    found._ray = ray
    found._cluster = SimpleNamespace(  # type: ignore[assignment]
        nodes=lambda: nodes, look=lambda: None, answers=True, answers_now=lambda: True, is_own=False
    )
    found._suspects, found._probe = Suspects(ray), Probe(ray)
    found._tasks, found._references, found._quick = {}, {}, {}
    found._functions, found._room = Functions(ray), Room(execution)
    found._known, found._seen, found._usable = set(), [], []
    found._waiting, found._lost_at = {}, None
    return found, made


def window(found: RayExecutor, place: str) -> int:
    """How many tasks of a place are put in flight."""
    count = 0
    while found.has_room(place, {place: count}) and count < 10_000:
        count += 1
    return count


def test_the_window_follows_the_cluster() -> None:
    """Twice what fits, whatever joins or leaves."""
    nodes = [SMALL]
    found, _ = executor(Execution(), nodes)
    assert 8 == window(found, "network")
    found._cluster = SimpleNamespace(**{**vars(found._cluster), "nodes": lambda: [SMALL, LARGE]})
    assert 40 == window(found, "network")
    found._cluster = SimpleNamespace(**{**vars(found._cluster), "nodes": lambda: [LARGE]})
    assert 32 == window(found, "network")


@pytest.mark.parametrize(("pending", "expected"), [(None, 1), (0, 1), (50, 50)])
def test_an_autoscaler_sees_what_waits(pending: int | None, expected: int) -> None:
    """Without any machine, as many batches are pending as ``num_pending`` says, and one at the least."""
    found, _ = executor(Execution(num_gpus=1, num_pending=pending), [])
    assert expected == window(found, "network")


def test_a_few_machines_of_a_kind_do_not_get_the_tasks_of_all() -> None:
    """The window of tasks that ask for labels, or for memory, counts the machines that have them."""
    found, _ = executor(Execution(labels={"zone": "a"}), [SMALL, LARGE])
    assert 8 == window(found, "network")
    found, _ = executor(Execution(), [SMALL, LARGE])
    found._room.expect("network", 32e9)
    assert 4 == window(found, "network")


def test_a_task_asks_for_its_name_memory_and_labels() -> None:
    """A function is made once for all batches alike; what grew asks for more, on machines that have it."""
    kinds = KindResources(alignment=Resources(num_gpus=0, labels={"zone": "a"}))
    found, made = executor(Execution(num_gpus=0.5, kinds=kinds), [SMALL, LARGE])
    first = Attempt(1, place="network", memory_bytes=1.9e9, name="network digits, mlp 4x1")
    for _ in range(3):
        found._asking("network", first)
    (asked,) = made
    assert ("network digits, mlp 4x1", 1, 0.5) == (asked["name"], asked["num_cpus"], asked["num_gpus"])
    assert 1.9e9 <= asked["memory"] <= 2.15e9
    assert asked["label_selector"] is None
    found._asking("network", Attempt(1, share=4.0, memory_bytes=1.9e9, name="n"))
    assert (4, 2, 4.0) == (made[-1]["num_cpus"], made[-1]["num_gpus"], made[-1]["memory"] / asked["memory"])
    found._asking("alignment", Attempt(1, name="a"))
    assert ({"zone": "a"}, 0) == (made[-1]["label_selector"], made[-1]["num_gpus"])
    found._asking("network", Attempt(1, place="network on CPUs", name="n"))
    assert 0 == made[-1]["num_gpus"]


def test_a_machine_that_was_refused_gets_no_tasks() -> None:
    """It counts for nothing, and tasks keep away from it."""
    found, made = executor(Execution(), [SMALL, LARGE])
    found._probe.refused[SMALL.id] = "node small: other versions"
    assert 16 == found.num_slots("network")
    found._asking("network", Attempt(1, name="n"))
    assert {"ray.io/node-id": f"!in({SMALL.id})"} == made[-1]["label_selector"]


def test_a_machine_that_just_came_and_is_the_only_one_gets_what_is_submitted() -> None:
    """Before it has answered: what avoided it would be pending for ever, beside a head without CPUs."""
    head = Node("c" * 56, 0, 0)
    found, made = executor(Execution(num_pending=4), [head, SMALL])
    found._probe._asked[SMALL.id] = (SMALL, "no answer yet")
    found._probe._ray.wait = lambda references, **_: ([], references)
    found._asking("network", Attempt(1, name="n"))
    assert made[-1]["label_selector"] is None


@pytest.mark.parametrize(
    ("silent", "refused", "avoided"),
    [
        ("", "", ""),
        ("a", "", "a"),  # b is left
        ("ab", "", ""),  # neither would be left: the head has no CPUs
        ("a", "b", "b"),  # where a stays silent its tasks expire; b would fail them
        ("", "ab", "ab"),  # others may come
        ("h", "", "h"),
    ],
)
def test_machines_are_avoided_where_another_is_left(silent: str, refused: str, avoided: str) -> None:
    """One that is silent while another has what is asked for; one that was refused, always."""
    nodes = [Node("h", 0, 0), Node("a", 2, 0), Node("b", 2, 0)]
    expected = {"zone": "z"} | ({"ray.io/node-id": f"!in({','.join(avoided)})"} if avoided else {})
    nodes = [replace(node, labels={"zone": "z"}) for node in nodes]
    assert expected == selector(Demand(1, 0, 0, {"zone": "z"}), nodes, list(silent), list(refused))


def test_what_was_under_way_to_a_lost_machine_is_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, after a while, under another name; what has ended meanwhile, or runs, is left alone."""
    now = [100.0]
    monkeypatch.setattr(ray_executor, "time", SimpleNamespace(monotonic=lambda: now[0]))
    nodes = [SMALL, LARGE]
    found, made = executor(Execution(), nodes)
    found._cluster = SimpleNamespace(**{**vars(found._cluster), "nodes": lambda: list(nodes)})
    cancelled: list[str] = []
    found._ray.cancel = lambda reference, **_: cancelled.append(reference)
    keys = ["begun-1", "ended-1", "under-1"]
    Store.create(tmp_path)
    template = Task(str(tmp_path), "network", (), sweep="s", run_id=32 * "a")
    for key in keys:
        found.submit(key, replace(template, key=key), Attempt(1, name=key))
    of = dict(found._references)
    found._ray.wait = lambda references, num_returns=1, timeout=0: (
        [of["ended-1"]],
        [one for one in references if one != of["ended-1"]],
    )
    found._completion = lambda reference: reference  # type: ignore[assignment, method-assign, return-value]
    sweeps.write_started(LocalFiles(tmp_path), "s", 32 * "a", "begun-1", {})
    nodes.remove(SMALL)
    assert 16 == found.num_slots("network")
    found.wait(0.0)
    now[0] += SETTLE_SECONDS - 1
    found.wait(0.0)
    assert [] == cancelled
    for _ in range(2):
        now[0] += 1
        found.wait(0.0)
        assert [of["under-1"]] == cancelled
    assert set(keys) == set(found._references)
    assert of["under-1"] != found._references["under-1"]
    assert 4 == len(made)


class _Answers:
    """Ray whose machines answer what is written down for them; one without an answer is silent."""

    exceptions = ray_exceptions

    def __init__(self, told: dict[str, Any]) -> None:
        self.told, self.asked = told, []

    def remote(self, **_: object) -> Any:
        return lambda body: self

    def options(self, *, scheduling_strategy: Any, name: str) -> Any:
        assert not scheduling_strategy.soft
        return SimpleNamespace(remote=lambda asked: self._ask(scheduling_strategy.node_id, asked))

    def _ask(self, node_id: str, asked: dict[str, Any]) -> str:
        self.asked.append((node_id, asked))
        return node_id

    def wait(self, references: list[str], timeout: float, num_returns: int = 1) -> Any:
        return [one for one in references if one in self.told], []

    def get(self, reference: str) -> Any:
        told = self.told[reference]
        if isinstance(told, Exception):
            raise told
        return told


WANTED = Needs("s3://bucket/prefix")


def test_the_machine_that_lacks_something_is_named() -> None:
    """With what it said; one that cannot even load the program is told to install it."""
    other = ray_exceptions.RayTaskError("f", "", ImportError("No module named 'lmc_sweep'"))
    probe = Probe(_Answers({SMALL.id: ["the data is missing"], LARGE.id: other}))
    with pytest.raises(SweepError) as refused:
        probe.require([SMALL, LARGE], WANTED)
    told = str(refused.value)
    assert "node small (aaaaaaaa): the data is missing; node large (bbbbbbbb): cannot run the program" in told
    assert told.endswith("Nothing was started.")


def test_silent_machines_are_left_out_until_they_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are told of; where none answers nothing can start; one that has left is no problem."""
    monkeypatch.setattr(ray_probe, "ANSWER_SECONDS", 0.05)
    ray = _Answers({SMALL.id: []})
    probe = Probe(ray)
    assert [LARGE] == probe.require([SMALL, LARGE], WANTED)
    assert [LARGE.id] == probe.silent
    ray.told[LARGE.id] = []
    assert ({}, []) == (probe.look([SMALL, LARGE]), probe.silent)
    with pytest.raises(SweepError, match="no node of the cluster began a task"):
        Probe(_Answers({})).require([SMALL], WANTED)
    assert [] == Probe(_Answers({SMALL.id: ray_exceptions.NodeDiedError("gone")})).require([SMALL], WANTED)


def test_a_machine_that_joins_is_asked_once() -> None:
    """For the store as it is by then; what it lacks is told once, and forgotten with the machine."""
    ray = _Answers({SMALL.id: []})
    probe = Probe(ray)
    assert {} == probe.look([SMALL])  # nothing is asked on a cluster of our own
    probe.require([SMALL], WANTED)
    probe.now_at(Needs("s3://bucket/prefix", marker=b"m"))
    ray.told[LARGE.id] = ["other versions"]
    assert {LARGE.id: "node large (bbbbbbbb): other versions"} == probe.look([SMALL, LARGE])
    assert b"m" == ray.asked[-1][1]["marker"]
    assert {} == probe.look([SMALL, LARGE])
    assert [SMALL.id, LARGE.id] == [node_id for node_id, _ in ray.asked]
    probe.look([SMALL])
    assert {} == probe.refused


def test_a_machine_whose_answer_was_lost_is_asked_again() -> None:
    """A process may be ended once; what is lost every time is refused."""
    lost = ray_exceptions.WorkerCrashedError()
    ray = _Answers({SMALL.id: lost})
    probe = Probe(ray)
    get, answers = ray.get, iter([lost, []])

    def first_lost(reference: str) -> Any:
        ray.told[reference] = next(answers)
        return get(reference)

    ray.get = first_lost  # type: ignore[method-assign]
    assert [] == probe.require([SMALL], WANTED)
    assert 2 == len(ray.asked)
    with pytest.raises(SweepError, match="a task on it was lost"):
        Probe(_Answers({SMALL.id: lost})).require([SMALL], WANTED)
