"""Sweep and schedule files: read as published, made into an experiment, and refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution
from torch import nn

import moco
from moco.compression.compressor import compress
from moco.compression.counting import count
from moco.compression.methods.filter_pruning import rounded_width
from moco.errors import ConfigError
from moco.models import build_model
from moco.registry import plugin
from moco.run_folder.writing import write_yaml
from moco.study import Budget, Study
from moco.sweep.made_experiment import MadeExperiment, made_experiment
from moco.sweep.schedule import read_schedule
from moco.sweep.trial_schedules import SCHEDULES, TrialSchedules, schedule_of
from moco.trial import Evaluation, MetricValue, Suggestion, Trial, TrialState

BASE = Path(__file__).resolve().parents[2] / "experiments" / "resnet56_cifar10_s2_groups.yaml"
GROUPS: dict[str, tuple[int, list[int], float]] = {
    "g1": (1, [*range(9)], 0.6),
    "g2": (2, [1, 2, 3, 4, 6, 7], 0.5),
    "g3.1": (3, [1], 0.1),
    "g3.2": (3, [2, 3, 5, 6, 7, 8], 0.3),
}
"""Stage, blocks and sparsity of the four groups (S2.04, S2.06)."""
SWEEP = """
program: pipeline.py
method: bayse
metric: {goal: minimize, name: Latency}
parameters:
    g1_desired_sparsity: {min: 0.01, max: 0.99}
    g1_group_type: {values: [Channels, Filters]}
"""


def schedule(**changed: str) -> str:
    pruners, policies = "", ""
    for name, (stage, blocks, sparsity) in GROUPS.items():
        weights = ", ".join(f"module.layer{stage}.{block}.conv1.weight" for block in blocks)
        pruners += f"""
    {name}:
        class: LiRankedStructureParameterPruner
        group_type: Filters
        desired_sparsity: {sparsity}
        weights: [{weights}]"""
        policies += f"\n    - pruner:\n        instance_name: {name}\n        epochs: [0]"
    decay = "\n    - lr_scheduler: {instance_name: lr, starting_epoch: 10, ending_epoch: 300, frequency: 1}"
    rates = "lr_schedulers:\n    lr: {class: ExponentialLR, gamma: 0.95}"
    text = f"pruners:{pruners}\n{rates}\npolicies:{policies}{decay}\n"
    for old, new in changed.items():
        text = text.replace(old, new)
    return text


def made(folder: Path, sweep: str = SWEEP, text: str | None = None) -> MadeExperiment:
    (folder / "latency.yaml").write_text(sweep, encoding="utf-8")
    (folder / "schedule.yaml").write_text(schedule() if text is None else text, encoding="utf-8")
    return made_experiment(folder / "latency.yaml", folder / "schedule.yaml", BASE)


def test_the_published_files_come_to_an_experiment_and_their_slips_are_told(tmp_path: Path) -> None:
    found = made(tmp_path)
    assert found.sections["searcher"] == {"name": "gp", "start": "none"}
    assert found.sections["objective"] == {"protocol": "front", "objectives": {"latency_ms": "minimize"}}
    (step,) = found.sections["recovery"]
    assert step["fine_tuning"] == {
        "learning_rate": 0.1, "epochs": 300, "schedule": "exponential", "gamma": 0.95, "hold_epochs": 10,
    }  # fmt: skip
    space = found.sections["space"]
    assert space["groups"]["g2"] == [f"layer2.{block}.conv1" for block in (1, 2, 3, 4, 6, 7)]
    assert space["limits"]["g2.keep"] == {"values": [0.5]}
    assert space["limits"]["g1.method"] == {"values": ["input_pruning", "filter_pruning"]}
    assert any("'bayse' is read as 'bayes'" in note for note in found.notes)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("method:", "methood:", "did you mean 'method'?"),
        ("Latency", "Latencyy", "unknown metric 'Latencyy'; did you mean 'latency'?"),
        ("goal: minimize", "goal: maximize", "expected minimize of Latency, got maximize"),
        ("g1_desired", "g4_desired", "no parameter of the schedule"),
        ("bayse", "grid", "a grid takes values"),
        ("max: 0.99", "max: 1.0", "below 1"),
        ("Channels", "Chanels", "did you mean 'Channels'?"),
    ],
)
def test_a_wrong_sweep_is_one_line(tmp_path: Path, old: str, new: str, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        made(tmp_path, SWEEP.replace(old, new))
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("layer3.1.conv1", "layer3.9.conv1", "has no layer 'layer3.9.conv1'; did you mean 'layer3."),
        ("group_type", "group_typ", "did you mean 'group_type'?"),
        ("epochs: [0]", "epochs: [5]", "moco prunes once"),
        ("instance_name: g2", "instance_name: g9", "no pruner 'g9' is defined"),
        ("module.layer3.1.conv1.weight", "module.layer1.0.conv1.weight", "is one of the pruner 'g1' already"),
    ],
)
def test_a_wrong_schedule_is_one_line(tmp_path: Path, old: str, new: str, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        made(tmp_path, text=schedule(**{old: new}))
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("method", ["filter_pruning", "input_pruning"])
def test_the_four_groups_have_the_golden_counts(method: str) -> None:
    network, policy = build_model("cifar_resnet56", shortcut="B"), {}
    for stage, blocks, sparsity in GROUPS.values():
        of = 16 * 2 ** (stage - 1)
        setting: dict[str, Any] = {method: {"keep": rounded_width(of, 1 - sparsity), "of": of}}
        policy |= {f"layer{stage}.{block}.conv1": setting for block in blocks}
    assert (weights(network), count(network, (3, 32, 32)).macs) == (851_504, 125_747_840)
    small = compress(network, policy, torch.zeros(1, 3, 32, 32))
    assert (weights(small), count(small, (3, 32, 32)).macs) == (634_640, 78_856_832)
    first = network.get_submodule("layer1.0.conv1").get_parameter("weight").detach()
    second = network.get_submodule("layer1.0.conv2").get_parameter("weight").detach()
    read = second.abs().sum((0, 2, 3)) if method == "input_pruning" else first.abs().sum((1, 2, 3))
    kept = read.topk(7).indices.sort().values
    assert torch.equal(small.get_submodule("layer1.0.conv1").get_parameter("weight"), first[kept])


def weights(network: nn.Module) -> int:
    return sum(m.weight.numel() for m in network.modules() if isinstance(m, (nn.Conv2d, nn.Linear)))


def test_each_trial_leaves_the_schedule_that_it_ran(tmp_path: Path) -> None:
    found = made(tmp_path)
    keep = FloatDistribution(0.01, 0.99)
    space = {"g1.method": CategoricalDistribution(["input_pruning", "filter_pruning"]), "g1.keep": keep}
    problem = moco.Problem(space, {"top1_error": "minimize"})
    searcher, schedules = plugin("searcher", "random"), TrialSchedules(found.schedule)
    schedules.start({}, tmp_path)
    study = Study(
        problem,
        searcher(problem, searcher.Options(), 0),
        lambda policy: Evaluation({"top1_error": MetricValue(float(policy.settings["g1.keep"]))}),
        reporters=[schedules],
    )
    study.run(Budget(5))

    assert sorted(path.name for path in (tmp_path / SCHEDULES).iterdir()) == [f"{n}.yaml" for n in range(5)]
    types = set()
    for trial in study.trials:
        again, notes = read_schedule(tmp_path / SCHEDULES / f"{trial.number}.yaml")
        assert notes == (), "its slips were put right"
        assert 1 - again.pruners["g1"].desired_sparsity == pytest.approx(trial.point["g1.keep"])
        assert {name: one.desired_sparsity for name, one in again.pruners.items() if name != "g1"} == {
            "g2": 0.5, "g3.1": 0.1, "g3.2": 0.3,
        }  # fmt: skip
        types.add((trial.point["g1.method"], again.pruners["g1"].group_type))
        assert (again.policies, again.decay) == (found.schedule.policies, found.schedule.decay)
    assert types == {("input_pruning", "Channels"), ("filter_pruning", "Filters")}


def test_the_schedule_of_a_trial_is_swept_again(tmp_path: Path) -> None:
    found = made(tmp_path)
    ran = schedule_of(found.schedule, {"g1.method": "input_pruning", "g1.keep": 0.4375})
    write_yaml(tmp_path / "ran.yaml", ran.written)
    (tmp_path / "again.yaml").write_text(
        "method: random\nmetric: {goal: minimize, name: Latency}\nparameters:\n"
        "    g2_desired_sparsity: {min: 0.1, max: 0.9}\n",
        encoding="utf-8",
    )
    again = made_experiment(tmp_path / "again.yaml", tmp_path / "ran.yaml", BASE)

    limits = again.sections["space"]["limits"]
    assert limits["g1.keep"] == {"values": [0.4375]}
    assert limits["g1.method"] == {"values": ["input_pruning"]}
    assert again.sections["recovery"] == found.sections["recovery"]


def test_a_sweep_fixes_what_it_gives_one_value(tmp_path: Path) -> None:
    sweep = SWEEP + "    g2_desired_sparsity: {value: 0.25}\n    g3.1_group_type: {value: Channels}\n"
    fixed = made(tmp_path, sweep).schedule.pruners

    assert (fixed["g2"].desired_sparsity, fixed["g3.1"].group_type) == (0.25, "Channels")
    assert (fixed["g3.2"].desired_sparsity, fixed["g3.2"].group_type) == (0.3, "Filters")


def test_a_schedule_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / SCHEDULES).write_text("in the way", encoding="utf-8")
    schedules = TrialSchedules(made(tmp_path).schedule)
    schedules.start({}, tmp_path)
    assert schedules.warnings == ()

    schedules.report(Trial(0, Suggestion(0, {}), TrialState.FAILED, {}))

    (told,) = schedules.warnings
    assert told.startswith("schedules of trials are missing: ")
