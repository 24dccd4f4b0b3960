"""The study ``initialization`` of a sweep file: what it asks for and refuses, what an item is and costs."""

from __future__ import annotations

import pytest

from lmc_sweep.config import parse_sweep
from lmc_sweep.config.initialization_study import InitializationStudy
from lmc_sweep.errors import SweepError
from lmc_sweep.planning.decoding import decode_spec, read_json
from lmc_sweep.planning.identity import canonical_json
from lmc_sweep.planning.items import items
from lmc_sweep.planning.study_initialization import InitializationItem
from workers.initialization.specs import InitializationSpec

SWEEP = """
name: theorem
store: runs/theorem
initialization:
  input_dims: [1, 2]
  widths: [16, 32, 64]
  seeds: 2
"""

REFUSED = [
    ("initialization=3", "initialization: should be a mapping, as in {input_dims: [1, 2, 3]"),
    ("initialization={}", "initialization: 'input_dims' is missing, and has no default. Write {input_dims:"),
    ("initialization={input_dims: 1}", "initialization: 'widths' is missing"),
    ("initialization.width=8", "initialization: unknown key 'width'. Did you mean 'widths'?"),
    ("initialization.widths=[]", "initialization.widths: an empty list measures nothing"),
    ("initialization.widths=[8, 0]", "initialization.widths[1]: must be at least 1, not 0"),
    ("initialization.widths=['8']", "initialization.widths[0]: should be a whole number, not '8'"),
    ("initialization.widths=[8, 8]", "initialization.widths[1]: repeats [0] (8)"),
    ("initialization.widths=40000", "initialization.widths: matching hungarian keeps the distances"),
    ("initialization.input_dims=0", "initialization.input_dims[0]: must be at least 1, not 0"),
    ("initialization.input_dims=1.5", "initialization.input_dims[0]: should be a whole number, not 1.5"),
    ("initialization.matchings=[greedy]", "unknown matching 'greedy'"),
    ("initialization.activation=sigmoid", "Known activations: relu, tanh, softplus"),
    ("initialization.seeds=0", "initialization.seeds: a count of seeds must be from 1 to"),
    ("initialization.seeds=[]", "initialization.seeds: an empty list names no network"),
    ("initialization.alphas=1", "initialization.alphas: a count of alphas must be from 2 to 10001, not 1"),
    ("initialization.alphas=[0, 0.5]", "initialization.alphas: must begin at 0 and end at 1"),
    ("initialization.delta=1", "initialization.delta: must be less than 1"),
    ("initialization.delta=0", "initialization.delta: must be greater than 0"),
    ("initialization.num_draws=0", "initialization.num_draws: must be at least 1, not 0"),
    ("initialization.num_inputs=1000000", "64 draws (num_draws) are 64000000 deviations, more than 10000000"),
    ("initialization.grid_cells=0", "initialization.grid_cells[0]: "),
    ("initialization.grid_cells=fine", "initialization.grid_cells[0]: "),
    ("barriers={alignments: [{method: identity}]}", "'networks' is missing, and has no default"),
    (
        "execution={kinds: {initialization: {num_gpus: 1}}}",
        "initialization.num_gpus: has no effect: such tasks",
    ),
    ("execution={kinds: {barrier: {num_cpus: 2}}}", "has no effect: the sweep asks no barriers"),
]


@pytest.mark.parametrize(("override", "expected"), REFUSED)
def test_refused(override: str, expected: str) -> None:
    """Each broken rule is told on one line that names key, value and rule."""
    with pytest.raises(SweepError) as caught:
        parse_sweep(SWEEP, "bad.yaml", [override])
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_cells_of_a_grid_without_a_grid_are_refused() -> None:
    """An option that changes nothing is refused."""
    changes = ["initialization.matchings=[identity]", "initialization.grid_cells=3"]
    with pytest.raises(SweepError, match=r"grid_cells: has no effect: matchings lacks grid\. Add it"):
        parse_sweep(SWEEP, "bad.yaml", changes)


def test_a_sweep_without_networks_is_read() -> None:
    """Its cells are none, and the defaults are those of the reference."""
    sweep = parse_sweep(SWEEP)
    study = sweep.studies["initialization"]
    assert ((), None) == (sweep.networks, sweep.barriers)
    assert isinstance(study, InitializationStudy)
    assert ("identity", "grid", "hungarian") == study.matchings
    assert (1000, 64, 0.1) == (study.num_inputs, study.num_draws, study.delta)
    assert 11 == len(study.alphas)


def test_a_wide_network_may_be_matched_otherwise() -> None:
    """The bound of the width is that of the assignment alone."""
    changes = ["initialization.widths=100000", "initialization.matchings=[identity, grid]"]
    assert (100000,) == parse_sweep(SWEEP, overrides=changes).studies["initialization"].widths


def test_there_is_an_item_for_every_point_of_the_grid() -> None:
    """Cells of the grid multiply the matching grid alone; ids are different."""
    found = items(parse_sweep(SWEEP, overrides=["initialization.grid_cells=[rate, 3, least_bound]"]))
    asked = found["initialization"]
    assert 2 * 3 * 2 * (1 + 3 + 1) == len(asked)
    assert not any(of_kind for kind, of_kind in found.items() if kind != "initialization")
    assert len(asked) == len({item.id for item in asked})
    assert {None, "rate", 3, "least_bound"} == {item.spec.grid_cells for item in asked}  # type: ignore[union-attr]


def test_no_gpu_is_reserved() -> None:
    """Whatever the sweep reserves for its other kinds, random networks are measured on CPUs alone."""
    execution = parse_sweep(SWEEP, overrides=["execution={num_gpus: 0.5, placement: measured}"]).execution
    assert (1.0, 0.0) == execution.resources("initialization")
    assert (1.0, 0.5) == execution.resources("network")
    assert not execution.is_placed("initialization")
    assert execution.is_placed("network")


def test_ids_do_not_change() -> None:
    """The id of an item is what it was when the study was released: stores would be orphaned otherwise."""
    asked = items(parse_sweep(SWEEP))["initialization"]
    found = {
        (i.spec.matching, i.spec.seed): i.id for i in asked if i.spec.width == 32 and i.spec.input_dim == 2
    }  # type: ignore[union-attr]
    assert "2e3a9eac60b9dd3689ef597c759b3dd8" == found["identity", 0]
    assert "f30444e450dda17b53b0b964e73c7324" == found["grid", 1]


def test_seeds_share_a_batch_and_a_cell() -> None:
    """Items of one shape and matching are one group; others are not."""
    asked = [
        item for item in items(parse_sweep(SWEEP))["initialization"] if isinstance(item, InitializationItem)
    ]
    groups = {item.group for item in asked}
    assert len(asked) == 2 * len(groups)
    assert len(groups) == len({item.cell_id for item in asked})


def test_a_spec_is_read_back_from_its_row() -> None:
    """Canonical JSON gives the spec, and the spec the item with the same id."""
    for item in items(parse_sweep(SWEEP, overrides=["initialization.grid_cells=[2, rate]"]))[
        "initialization"
    ]:
        assert isinstance(item, InitializationItem)
        text = canonical_json(item.spec)
        spec = decode_spec(InitializationSpec, read_json(text, "spec_json"), "spec_json")
        assert item.spec == spec
        assert (item.id, item.cell_id) == (InitializationItem.of(spec, {}).id, item.cell_id)


def test_costs_rise_with_what_is_asked() -> None:
    """Seconds and memory of an item rise with its width, most of all those of an assignment."""

    def item(matching: str, width: int) -> InitializationItem:
        spec = InitializationSpec(
            input_dim=2,
            width=width,
            matching=matching,
            seed=0,
            alphas=(0.0, 0.5, 1.0),  # type: ignore[arg-type]
        )
        return InitializationItem.of(spec, {})

    for cost in ("seconds", "working_bytes"):
        arguments = (1e10,) if cost == "seconds" else ()
        narrow, wide = (
            {name: getattr(item(name, width), cost)(*arguments) for name in ("identity", "hungarian")}
            for width in (1000, 8000)
        )
        assert wide["identity"] < 10 * narrow["identity"]
        assert wide["hungarian"] > 10 * narrow["hungarian"]
        assert wide["hungarian"] > wide["identity"]
    assert 8 * 3 * 8000**2 < item("hungarian", 8000).working_bytes()


def test_more_pairs_than_a_plan_can_list_are_refused() -> None:
    """A million seeds of several shapes; nothing is made before."""
    with pytest.raises(
        SweepError, match=r"initialization: asks for .* pairs of networks, more than 1,000,000"
    ):
        parse_sweep(SWEEP, overrides=["initialization.seeds=1000000"])
