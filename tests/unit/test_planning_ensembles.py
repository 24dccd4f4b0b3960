"""Items of the study ``ensembles``: their pairs, their ids, and what they are thought to cost."""

from __future__ import annotations

import pytest

from lmc_sweep.config import parse_sweep
from lmc_sweep.planning.batching import batches
from lmc_sweep.planning.decoding import decode_spec, read_json
from lmc_sweep.planning.identity import METHOD_NUMERICS, canonical_json
from lmc_sweep.planning.items import NetworkItem, items
from lmc_sweep.planning.study_ensembles import EnsembleItem
from workers.ensembles.specs import ENSEMBLE_METHODS, EnsembleSpec

METHODS = ", ".join(f"{{method: {name}}}" for name in ENSEMBLE_METHODS)
MLP = "{dataset: digits, architecture: {name: mlp, width: 4}, seeds: 5}"
FLOPS = 1e11


def sweep(section: str, *networks: str) -> dict[str, list]:
    """Items of a sweep."""
    listed = ", ".join(networks or (MLP,))
    return items(parse_sweep(f"{{name: s, store: s, networks: [{listed}], ensembles: {section}}}"))


def test_pairs_join_consecutive_seeds_as_in_barriers() -> None:
    """Pair k joins the listed seeds 2k and 2k + 1, under the id that barriers know it by."""
    listed = "{dataset: digits, architecture: {name: mlp, width: 4}, seeds: [7, 3, 1, 9, 0]}"
    barriers = "barriers: {worlds: [real], alignments: [{method: identity}]}"
    ensembles = "ensembles: {methods: [{method: independent}]}"
    found = items(parse_sweep(f"{{name: s, store: s, networks: [{listed}], {barriers}, {ensembles}}}"))
    pairs = [tuple(member.spec.seed for member in item.members) for item in found["ensemble"]]
    assert [(7, 3), (1, 9)] == pairs
    assert [item.pair_id for item in found["alignment"]] == [item.pair_id for item in found["ensemble"]]
    assert all(item.requires == item.networks == item.spec.networks for item in found["ensemble"])


def test_more_pairs_and_methods_change_no_item() -> None:
    """Those that were asked for before keep their ids; splits and options make others."""
    few = {item.id for item in sweep("{pairs: 1, methods: [{method: subspace}]}")["ensemble"]}
    more = {item.id for item in sweep(f"{{pairs: 2, methods: [{METHODS}]}}")["ensemble"]}
    assert few < more
    assert 8 == len(more)
    others = (
        "{pairs: 1, methods: [{method: subspace}], splits: [test]}",
        "{pairs: 1, methods: [{method: subspace, strength: 0}]}",
        "{pairs: 1, methods: [{method: subspace, regularizer: cosine}]}",
    )
    assert 4 == len(few | {item.id for section in others for item in sweep(section)["ensemble"]})


def test_ids_are_pinned() -> None:
    """Stores are keyed by these: they may never change."""
    found = sweep(f"{{pairs: 1, methods: [{METHODS}]}}")["ensemble"]
    assert PINNED == {item.spec.method.method: item.id for item in found}


PINNED = {
    "independent": "065f3c1c2bd0f7e78a6dfcd5b9824b11",
    "functional_difference": "2de4df0672c7ac234a88fe9e97aaf6fb",
    "subspace": "f03e8ea7e3d28c7b54c372b9dbba0055",
    "subspace_functional_difference": "1e5bc0dcacaae7668298cdc73b0469fb",
}


def test_other_numerics_of_functional_difference_name_its_ensembles_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those whose second network it permutes are made again; the others keep their ids."""
    asked = f"{{pairs: 1, methods: [{METHODS}]}}"
    known = {item.id for item in sweep(asked)["ensemble"]}
    monkeypatch.setitem(METHOD_NUMERICS, "functional_difference", 2)
    anew = {item.spec.method.method for item in sweep(asked)["ensemble"] if item.id not in known}
    assert {"functional_difference", "subspace_functional_difference"} == anew


def test_items_come_back_from_what_their_rows_say() -> None:
    """The JSON of a spec, and the networks that it names, give the same item."""
    found = sweep(f"{{methods: [{METHODS}, {{method: subspace, strength: 0.5}}]}}")
    networks = {item.id: item for item in found["network"] if isinstance(item, NetworkItem)}
    for item in found["ensemble"]:
        written = read_json(canonical_json(item.spec), "spec_json")
        spec = decode_spec(EnsembleSpec, written, "spec_json")
        assert item.spec == spec
        assert item == EnsembleItem.of(spec, networks)


def test_cells_that_a_method_does_not_serve_are_left_out() -> None:
    """Of networks without batch norm that are no MLPs, no lines; of those with batch norm, nothing."""
    plain = "{dataset: digits, architecture: {name: shallow_cnn, width: 4}, seeds: 2}"
    normed = "{dataset: cifar10, architecture: {name: vgg}, seeds: 2}"
    found = sweep(f"{{methods: [{METHODS}]}}", MLP, plain, normed)["ensemble"]
    counts = dict.fromkeys(("mlp", "shallow_cnn", "vgg"), 0)
    for item in found:
        counts[item.cell.architecture.name] += 1
    assert {"mlp": 8, "shallow_cnn": 2, "vgg": 0} == counts


def test_a_batch_is_of_one_method_and_of_what_may_share_a_stack() -> None:
    """Widths and methods stand apart; learning rates stand together."""
    grid = "{dataset: digits, architecture: {name: mlp, width: [4, 8]}, training: {learning_rate: [0.1, 0.2]}"
    found = sweep(f"{{methods: [{METHODS}]}}", grid + ", seeds: 4}")
    made = batches({"ensemble": found["ensemble"]}, lambda item: 1e-3, 1e9, num_slots=1)
    for batch in made:
        assert 1 == len({(item.cell.architecture, item.spec.method) for item in batch.items})
    assert 8 == len(made)
    assert {4} == {len(batch.items) for batch in made}


def test_lines_cost_more_than_networks_that_are_there() -> None:
    """In seconds, memory and storage; twice the epochs take twice as long."""
    short, long = (
        sweep(
            f"{{pairs: 1, methods: [{METHODS}]}}",
            MLP.replace("seeds", f"training: {{max_epochs: {n}}}, seeds"),
        )
        for n in (50, 100)
    )
    of_short, of_long = (
        {item.spec.method.method: item for item in found["ensemble"]} for found in (short, long)
    )
    line, plain = of_short["subspace"], of_short["independent"]
    for cost in (lambda item: item.seconds(FLOPS), EnsembleItem.working_bytes, EnsembleItem.stored_bytes):
        assert cost(plain) < cost(line)
    assert 1.8 < of_long["subspace"].seconds(FLOPS) / line.seconds(FLOPS) < 2.0
    assert plain.seconds(FLOPS) == of_long["independent"].seconds(FLOPS)
    assert "subspace of two mlp of width 4 on digits" == line.words
