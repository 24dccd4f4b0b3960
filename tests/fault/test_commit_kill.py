"""kill -9 at every call to the system that a writer makes: nothing is half there, and a retry succeeds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from killed_writer import ACTIONS, distinct
from store_rows import row

from lmc_sweep.store.store import Store

pytestmark = pytest.mark.fault
SCRIPT = Path(__file__).parents[1] / "support" / "killed_writer.py"


@pytest.fixture(scope="module")
def commit_deaths(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, str]]:
    """The deaths of a commit, which several tests look at."""
    return _killed(tmp_path_factory.mktemp("commit"), "commit")


def _killed(tmp_path: Path, action: str) -> list[tuple[Path, str]]:
    """The folder left behind by every death of the action, and the call at which it died."""
    store = Store.create(tmp_path / "store")
    store.commit("barriers", [row("barriers", "before")])
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(store.path), action], capture_output=True, text=True, timeout=600
    )
    assert (0, "") == (done.returncode, done.stderr)
    deaths = [tuple(line.split("\t")) for line in done.stdout.splitlines()]
    assert len(deaths) > 8
    return [(Path(folder), call) for folder, call in deaths]


def _published(call: str, deaths: list[tuple[Path, str]], links: int) -> bool:
    """Whether the death came after the step that publishes, which is the ``links``-th link."""
    calls = [said for _, said in deaths]
    publishing = [said for said in calls if said.startswith("link")][links - 1]
    return calls.index(call) > calls.index(publishing)


def test_a_killed_commit_is_there_whole_or_not_at_all(commit_deaths: list[tuple[Path, str]]) -> None:
    """Before the link nothing of the commit is visible, after it all is; a retry leaves each id once."""
    links = sum(said.startswith("link") for _, said in commit_deaths)
    for folder, call in distinct(commit_deaths):
        store = Store(folder)
        whole = {"before", "victim", "victim2"}
        assert (whole if _published(call, commit_deaths, links) else {"before"}) == store.ids("barrier"), call
        assert [] == store.problems(), call
        ACTIONS["commit"](folder)
        ids = [key for (key,) in store.sql("SELECT barrier_id FROM barriers ORDER BY 1").fetchall()]
        assert sorted(whole) == ids, call


def test_weights_are_whole_before_a_record_names_them(tmp_path: Path) -> None:
    """Whenever a network is visible its weights load; a retry after any death gives the same weights."""
    expected = torch.tensor([3.0, 4.0, 5.0])
    seen = set()
    for folder, call in distinct(_killed(tmp_path, "weights")):
        store = Store(folder)
        visible = "victim" in store.ids("network")
        seen.add(visible)
        if visible:
            assert torch.equal(expected, store.load_network("victim")["w"]), call
        assert [] == store.problems(), call
        ACTIONS["weights"](folder)
        assert torch.equal(expected, store.load_network("victim")["w"]), call
        assert 1 == len(list(folder.glob("networks/*.safetensors"))), call
    assert {False, True} == seen


def test_a_killed_creation_can_be_repeated(tmp_path: Path) -> None:
    """A directory whose creation was killed at any call becomes a store by the same command again."""
    for folder, call in distinct(_killed(tmp_path, "create")):
        assert [] == Store.create(folder).problems(), call


def test_a_killed_recording_of_a_sweep_can_be_repeated(tmp_path: Path) -> None:
    """After any death the plan is there whole or not at all, and recording it again leaves each item once."""
    for folder, call in distinct(_killed(tmp_path, "sweep")):
        store = Store(folder)
        query = "SELECT item_id FROM sweep_items WHERE sweep = 'victim' ORDER BY item_id"
        assert store.sql(query).fetchall() in ([], [("a",), ("b",)]), call
        ACTIONS["sweep"](folder)
        assert [("a",), ("b",)] == store.sql(query).fetchall(), call
        assert "name: victim\n" == (folder / "sweeps/victim/sweep.yaml").read_text(), call


def test_content_is_synced_before_it_is_named(commit_deaths: list[tuple[Path, str]]) -> None:
    """Publishing syncs the file before it gets its name, and the directory after."""
    calls = [call.split()[0] for _, call in commit_deaths]
    last = len(calls) - 1 - calls[::-1].index("link")
    assert ["write", "fsync", "close"] == calls[last - 3 : last]
    assert ["open", "fsync", "close", "unlink"] == calls[last + 1 :]
