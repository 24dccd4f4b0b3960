"""What a sweep file may not say, and in which words it is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmc_sweep.config import load_sweep, parse_sweep
from lmc_sweep.errors import SweepError

SWEEP = """
name: bad
store: runs/bad
networks:
  - dataset: digits
    architecture: {name: mlp, width: [4, 8]}
    training: {learning_rate: 0.1, batch_size: 64, max_epochs: 200}
    seeds: 10
barriers:
  pairs: 5
  alignments:
    - {method: identity}
    - {method: weight_matching}
    - {method: simulated_annealing, steps: 10}
"""


def refusal(*overrides: str, text: str = SWEEP) -> str:
    """The message with which a sweep is refused."""
    with pytest.raises(SweepError) as caught:
        parse_sweep(text, "bad.yaml", overrides)
    return str(caught.value)


REFUSED = [
    # where, and what the message must say
    ("networks[0].training.wd=1", "networks[0].training: unknown key 'wd'. Did you mean 'weight_decay'?"),
    ("networks[0].training.lr=1", "Did you mean 'learning_rate'? Known keys: optimizer, learning_rate,"),
    ("networks[0].training.learning_rat=1", "Did you mean 'learning_rate'?"),
    ("networks[0].seed=1", "networks[0]: unknown key 'seed'. Did you mean 'seeds'?"),
    ("storage=x", "unknown key 'storage'. Did you mean 'store'? Known keys: name, store, networks"),
    ("networks[0].architecture.width=0", "networks[0].architecture.width: must be at least 1, not 0"),
    ("networks[0].architecture.width[1]=0", "networks[0].architecture.width[1]: must be at least 1, not 0"),
    ("networks[0].architecture.width='64'", "should be a whole number, not '64'. Remove the quotes"),
    ("networks[0].architecture.width=true", "should be a whole number, not true"),
    ("networks[0].architecture.width=64.0", "should be a whole number, not 64.0"),
    ("networks[0].architecture.width=", "should be a whole number, not null"),
    ("networks[0].architecture.width=[]", "networks[0].architecture.width: an empty list"),
    ("networks[0].architecture.width=[4, 4]", "networks[0].architecture.width[1]: repeats [0] (4)"),
    ("networks[0].architecture.width=[[4]]", "networks[0].architecture.width[0]: a list inside a list"),
    ("networks[0].architecture=mlp", "should be a mapping, as in {name: mlp}, not 'mlp'"),
    ("networks[0].architecture={name: mlp}", "networks[0].architecture: 'width' is missing"),
    ("networks[0].architecture={width: 4}", "'name' is missing. Known architectures: mlp"),
    (
        "networks[0].architecture.name=resnet18",
        "unknown architecture 'resnet18'. Did you mean 'resnet'? Known architectures: mlp, shallow_cnn, vgg,",
    ),
    ("networks[0].architecture={name: vgg, depth: 12}", "architecture.depth"),
    (
        "networks[0].architecture={name: vgg, width: 16}",
        "vgg takes images of 32x32 or more, and those of digits are 8x8. Set input_size: 32",
    ),
    (
        "networks[0].architecture={name: resnet20, width_multiplier: 0.3}",
        "architecture.width_multiplier: 16 x 0.3 channels is no whole number",
    ),
    ("networks[0].architecture={name: 'no_such_pkg:net'}", "there is no module no_such_pkg"),
    (
        "networks[0]={dataset: digits, num_train: 129, architecture: {name: resnet20}, seeds: 2}",
        "networks[0].training: batch_size 64 leaves a single one of 129 training examples",
    ),
    (
        "networks[0]={dataset: digits, training: {batch_size: 1}, architecture: {name: resnet20}, seeds: 2}",
        "networks[0].training.batch_size: batch_size 1 leaves a single one",
    ),
    ("networks[0].input_size=8", "networks[0].input_size: has no effect: the images of digits are 8x8"),
    ("networks[0].num_train=5000", "num_train: digits has 1438 examples to choose from, not 5000"),
    ("networks[0].num_train=0", "networks[0].num_train: must be at least 1, not 0"),
    ("networks[0].subset_seed=1", "networks[0].subset_seed: has no effect: without num_train or num_test"),
    ("networks[0].training.precision=tf32", "training.precision: tf32 has no effect: CPUs do not have it"),
    ("networks[0].training.save_at=1000", "training.save_at: 1000 is beyond the end of training (max_epochs"),
    ("networks[0].module='a.b:c'", "networks[0].module: belongs to checkpoints"),
    ("networks[0].architecture.heads=2", "unknown key 'heads'. Known keys: name, width, depth"),
    (
        "networks[0].dataset=cifar",
        "networks[0].dataset: unknown data set 'cifar'. Did you mean 'cifar10'? Known data sets: digits",
    ),
    ("networks[0].dataset=fashion-mnist", "Did you mean 'fashion_mnist'?"),
    ("networks[0].label_noise=1", "networks[0].label_noise: must be less than 1, not 1"),
    ("networks[0].label_noise=1e-6", "has no effect: 1e-06 of 1438 training labels is less than one label"),
    ("networks[0].training.learning_rate=-0.1", "must be greater than 0, not -0.1"),
    ("networks[0].training.learning_rate=.nan", ".nan is not a finite number"),
    ("networks[0].training.learning_rate=1e999", "1e999 is not a finite number"),
    ("networks[0].training.momentum=1", "must be less than 1, not 1"),
    ("networks[0].training.optimizer=lion", "unknown optimizer 'lion'. Known optimizers: sgd, adam"),
    ("networks[0].training.schedule=cos", "unknown schedule 'cos'. Did you mean 'cosine'?"),
    ("networks[0].training.learning_rate=[1, 1.0]", "networks[0].training.learning_rate[0] and networks[0]"),
    ("networks[0].training.max_epochs=-1", "must be at least 0, not -1"),
    ("networks[0].training.spawn_at_step=4600", "not before the end of training, after 4600 steps on digits"),
    ("networks[0].seeds=0", "networks[0].seeds: a count of seeds must be from 1 to 1000000, not 0"),
    ("networks[0].seeds=[]", "networks[0].seeds: an empty list names no network"),
    ("networks[0].seeds=[1, 2, 1]", "networks[0].seeds[2]: repeats [0] (1)"),
    ("networks[0].seeds=[0, -1]", "networks[0].seeds[1]: must be at least 0, not -1"),
    ("networks[0].seeds=ten", "should be a count (10 for the seeds 0 to 9) or a list of seeds, not 'ten'"),
    (
        "networks[0].seeds=9",
        "barriers.pairs: 5 pairs need 10 seeds, and networks[0] lists 9. Ask for at most 4",
    ),
    ("networks[0].seeds=1", "List more seeds, or ask for worlds: [model] alone"),
    ("networks=[]", "networks: an empty list trains nothing"),
    ("networks={}", "networks: should be a list of entries"),
    ("networks[0]=digits", "networks[0]: should be a mapping"),
    ("networks[0]={dataset: digits}", "networks[0]: 'architecture' is missing"),
    (
        "barriers.pairs=6",
        "barriers.pairs: 6 pairs need 12 seeds, and networks[0] lists 10. Ask for at most 5",
    ),
    ("barriers.pairs=0", "barriers.pairs: must be at least 1, not 0"),
    ("barriers.worlds=real", "barriers.worlds: should be a list, as in [real], not 'real'"),
    ("barriers.worlds=[reel]", "barriers.worlds[0]: unknown world 'reel'. Did you mean 'real'?"),
    ("barriers.worlds=[real, real]", "barriers.worlds[1]: repeats [0] ('real')"),
    ("barriers.worlds=[]", "barriers.worlds: an empty list"),
    (
        "barriers.networks_per_alignment=3",
        "barriers.alignments[2]: midpoint_error is of two networks",
    ),
    ("barriers.networks_per_alignment=1", "must be at least 2, not 1"),
    ("barriers.alignments=[]", "barriers.alignments: an empty list"),
    ("barriers.alignments=[identity]", "should be a mapping, as in {method: identity}, not 'identity'"),
    ("barriers.alignments[0].method=wm", "Did you mean 'weight_matching'? Known methods: identity, random,"),
    ("barriers.alignments[0]={restarts: 2}", "'method' is missing. Known methods: identity"),
    ("barriers.alignments[0]={metod: identity}", "unknown key 'metod'. Did you mean 'method'?"),
    ("barriers.alignments[0].steps=5", "barriers.alignments[0]: unknown key 'steps'. Known keys: method"),
    (
        "barriers.alignments[0]={method: weight_matching, restarts: 1}",
        "means the same as barriers.alignments[0]",
    ),
    ("barriers.alignments[2].objective=loss", "unknown objective 'loss'. Did you mean 'midpoint_loss'?"),
    ("barriers.alignments[2].temperature_start=hot", "should be a number or auto, not 'hot'"),
    ("barriers.alignments[2].num_examples=1439", "digits has 1438 training examples, not 1439"),
    ("barriers.interpolation.alphas=1", "a count of alphas must be from 2 to 10001, not 1"),
    ("barriers.interpolation.alphas=[0.1, 1]", "must begin at 0 and end at 1"),
    ("barriers.interpolation.alphas=[]", "must begin at 0 and end at 1"),
    ("barriers.interpolation.alphas=[0, 0.7, 0.6, 1]", "strictly increasing, but 0.7 is followed by 0.6"),
    ("barriers.interpolation.splits=[val]", "unknown split 'val'. Known splits: train, test"),
    ("barriers.interpolation.corrections=[none, reset_bn]", "corrections[1]: 'reset_bn' has no effect"),
    ("barriers.interpolation.corrections=[fix]", "unknown correction 'fix'. Known corrections: none,"),
    ("execution.num_cpus=0", "execution.num_cpus: must be greater than 0, not 0"),
    ("execution.num_cpus=[1]", "execution.num_cpus: should be a number, not a list"),
    ("execution.cpus=1", "unknown key 'cpus'. Did you mean 'num_cpus'?"),
    ("execution.kinds.train.num_cpus=1", "execution.kinds: unknown key 'train'. Known keys: network,"),
    ("execution.kinds.network.num_gpus=1.5", "above 1 must be a whole number, not 1.5"),
    ("name=a/b", "name: must be 1 to 100 of the characters"),
    ("name=..", "the first no dot, not '..'"),
    ("name=7", "name: should be a text, not 7"),
    ("store=''", "store: must not be empty"),
    ("nothing", "override 'nothing' has no '='"),
    ("networks..seeds=1", "'networks..seeds' is not a path"),
    ("networks[-1].seeds=1", "'networks[-1].seeds' is not a path"),
    ("networks[1].seeds=1", "networks: there is no [1]: the list has length 1"),
    ("networks.seeds=1", "is a list of length 1: say which entry is meant, as in networks[0].seeds"),
    ("network[0].seeds=1", "unknown list 'network'. Did you mean 'networks'?"),
    ("name.x=1", "name: has no keys: it is 'bad'"),
    ("name[0]=1", "name: cannot be indexed: it is 'bad', not a list"),
    ("name=[", "override 'name=[': line 1, column"),
]


@pytest.mark.parametrize(("override", "expected"), REFUSED)
def test_refused(override: str, expected: str) -> None:
    """Each broken rule is told on one line that begins with the file and names key, value and rule."""
    if override.startswith("barriers.alignments[0]={method: weight_matching"):
        override = "barriers.alignments=[{method: weight_matching}, {method: weight_matching, restarts: 1}]"
    message = refusal(override)
    assert message.startswith("bad.yaml: ")
    assert expected in message
    assert "\n" not in message


def test_override_is_blamed() -> None:
    """A message names the override that set the value refused, and no override that did not."""
    assert "(set by the override 'barriers.pairs=0')" in refusal("networks[0].seeds=20", "barriers.pairs=0")
    assert "override" not in refusal("networks[0].seeds=8")


EFFECTLESS = [
    (["max_epochs=0"], None),
    (["max_epochs=0", "stop_train_loss=0.1"], "stop_train_loss: has no effect: max_epochs is 0"),
    (["max_epochs=[0, 5]", "stop_train_loss=0.1"], None),
    (["max_epochs=0", "schedule=cosine"], "schedule: has no effect: max_epochs is 0"),
    (["max_epochs=0", "schedule=[constant, cosine]"], "schedule[1]: has no effect: max_epochs is 0"),
    (["spawn_at_step=0", "order_seed=1"], "order_seed: has no effect: spawn_at_step is 0"),
    (["init_seed=1"], None),
    (["order_seed=1"], None),
    (["init_seed=1", "order_seed=1"], "init_seed: init_seed and order_seed are fixed: all 10 networks"),
    (["init_seed=1", "max_epochs=0"], "init_seed: init_seed is fixed and max_epochs is 0: all 10 networks"),
    (["init_seed=1", "order_seed=1", "spawn_at_step=9"], None),
]


@pytest.mark.parametrize(("options", "expected"), EFFECTLESS)
def test_options_without_effect(options: list[str], expected: str | None) -> None:
    """A training option is refused where it changes nothing in any cell it covers, and kept elsewhere."""
    overrides = [f"networks[0].training.{option}" for option in options]
    if expected is None:
        assert parse_sweep(SWEEP, overrides=overrides).networks
    else:
        assert f"networks[0].training.{expected}" in refusal(*overrides)


def test_temperatures_that_rise() -> None:
    """A search whose last temperature exceeds its first is refused."""
    path = "barriers.alignments[2].temperature"
    assert f"{path}_end: must not exceed temperature_start (1), not 2" in refusal(
        f"{path}_start=1", f"{path}_end=2"
    )


def test_resources_without_study() -> None:
    """Resources of a kind that the sweep never runs are refused."""
    message = refusal("barriers=null", "execution.kinds.barrier.num_cpus=1")
    assert "execution.kinds.barrier: has no effect" in message


def test_a_study_without_methods() -> None:
    """Pairs or curves without alignments are refused."""
    assert "barriers: 'alignments' is missing" in refusal("barriers={pairs: 5, interpolation: {alphas: 3}}")


def test_huge_grid_is_refused_unbuilt() -> None:
    """A grid of more than a million points is refused at once, before it fills the memory."""
    axis = list(range(1, 2001))
    message = refusal(f"networks[0].architecture.width={axis}", f"networks[0].training.batch_size={axis}")
    assert "networks[0]: the grid has 4000000 points" in message


TORN = [
    ("", "is empty. A sweep needs the keys name, store and networks"),
    ("[1]", "a sweep is a mapping with the keys name, store"),
    ("name: x", "'store' is missing"),
    ("a: b: c", "line 1, column 5: not valid YAML"),
    ("a: [1, 2\nb: 3", "line 2, column"),
    ("a: 1\n\na: 2", "line 3, column 1: key 'a' stands twice in one mapping, first in line 1"),
    ("x: {b: 1, b: 2}", "key 'b' stands twice"),
    ("1: 2", "line 1, column 1: a key must be a text, not 1"),
    ("a: &b [*b]", "an alias stands inside what it refers to"),
    ("a: " + "[" * 3000, "nested too deeply"),
    ("a: !!python/object/apply:os.system [ls]", "has no place in a sweep"),
    ("a: !!python/name:os.system", "could not determine a constructor"),
    ("a: !!binary aGk=", "has no place in a sweep"),
    ("a: !!int abc", "is not what its tag says"),
    ("a: 99999999999999999999", "is too large"),
    ("a: \x01", "line 1: not valid YAML"),
    ('a: "\\ud800"', "a text on one line belongs here"),
    ("a: 1\n---\nb: 1", "another document"),
]


@pytest.mark.parametrize(("text", "expected"), TORN)
def test_text_that_is_no_sweep(text: str, expected: str) -> None:
    """Text that is no YAML, or YAML that is no sweep, is refused on one line, with its place in the file."""
    message = refusal(text=text)
    assert expected in message
    assert "\n" not in message


def test_files_that_are_none(tmp_path: Path) -> None:
    """A missing file, a folder, and a file that is no text are each told as what they are."""
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\x80\x81")
    for path, expected in (
        (tmp_path / "none.yaml", "there is no such file"),
        (tmp_path, "is a folder"),
        (binary, "is no text in UTF-8"),
    ):
        with pytest.raises(SweepError) as caught:
            load_sweep(path)
        assert str(caught.value).startswith(f"{path}: {expected}")


def test_statistics_of_one_example_are_refused() -> None:
    """A correction measures variances, which one training example has not."""
    message = refusal("networks[0].num_train=1", "barriers.interpolation={corrections: [none, repair]}")
    assert "corrections[1]: 'repair' measures variances, for which num_train must be at least 2" in message
