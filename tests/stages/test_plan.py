"""What an experiment in stages plans, and what it refuses in one line before anything is searched."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from moco.errors import ConfigError, MocoError
from moco.experiment.build import plan_of
from moco.experiment.loading import load_experiment
from moco.stages.staged import is_staged
from tests.app.tiny import moco, one_line
from tests.stages.small import BITS, CHANNELS, FRONT, THREE, WEIGHTS, staged, write


def _with(stage: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**copy.deepcopy(stage), **more}


def test_each_stage_has_its_own_methods_and_what_the_experiment_says(tmp_path: Path) -> None:
    own = _with(WEIGHTS, budget={"trials": 7}, recovery=[], searcher="random", name=None)
    found = staged(tmp_path, CHANNELS, own, seed=5)
    assert [(stage.name, stage.folder, stage.methods) for stage in found.stages] == [
        ("channels", "stage-1-channels", ("channel_pruning",)),
        ("sparsity", "stage-2-sparsity", ("sparsity",)),
    ]
    first, second = (stage.alone for stage in found.stages)
    assert (first.budget.trials, second.budget.trials) == (4, 7)
    assert ([step.name for step in first.recovery], second.recovery) == (["batch_norm"], ())
    assert (first.seed, second.seed, first.name, second.name) == (5, 5, "tiny.channels", "tiny.sparsity")


def test_a_stage_above_another_declares_both_and_begins_with_its_weights(tmp_path: Path) -> None:
    found = staged(tmp_path, *THREE)
    last = found.above(found.stages[2], tmp_path / "best")
    assert list(last.space.declared) == ["channel_pruning", "sparsity", "quantization"] or set(last.space.declared) == {
        "channel_pruning",
        "sparsity",
        "quantization",
    }
    plan = plan_of(last, tmp_path).space
    assert (plan.base, plan.base_weights) == (
        tmp_path / "best" / "policy.json",
        tmp_path / "best" / "network.safetensors",
    )


def test_an_override_holds_in_all_stages_or_in_the_one_that_it_names(tmp_path: Path) -> None:
    found = staged(tmp_path, *THREE, overrides=("budget.trials=9", "stages.bits.budget.trials=2", "name=other"))
    assert [stage.alone.budget.trials for stage in found.stages] == [9, 9, 2]
    assert (found.name, found.stages[0].alone.name) == ("other", "other.channels")


def test_paths_in_a_stage_are_relative_to_the_file(tmp_path: Path) -> None:
    start = {"name": "random", "start": {"policies": "mine.json"}}
    found = staged(tmp_path, _with(CHANNELS, searcher=start))
    (source,) = found.stages[0].alone.searcher.starts
    assert source.policies == str(tmp_path / "mine.json")  # type: ignore[union-attr]


def test_only_the_last_stage_may_choose_on_the_certification_images(tmp_path: Path) -> None:
    found = staged(tmp_path, *THREE, certificate={"attempts": 3, "confidence": 0.9})
    assert [stage.alone.certificate.attempts for stage in found.stages] == [1, 1, 3]
    assert {stage.alone.certificate.confidence for stage in found.stages} == {0.9}
    found = staged(tmp_path, *THREE, overrides=("certificate.attempts=4",))
    assert [stage.alone.certificate.attempts for stage in found.stages] == [1, 1, 4]
    assert staged(tmp_path, _with(CHANNELS, certificate={"attempts": 1}), BITS)


FILTERS = {"name": "filters", "space": {"filter_pruning": {"keep": [0.5, 1.0]}}}
DEPTH = {"name": "blocks", "space": {"depth": {}}}
FACTORS = {"name": "ranks", "space": {"factorisation": {}}}
SIBLING = {"model": "digits_resnet", "candidate": True}


@pytest.mark.parametrize(
    ("stages", "line"),
    [
        (
            [CHANNELS, _with(CHANNELS, name="again")],
            (
                "stages[1] ('again'): space.channel_pruning: stage 'channels' has fixed what "
                "'channel_pruning' does; search it in one stage"
            ),
        ),
        (
            [CHANNELS, FILTERS],
            (
                "stages[1] ('filters'): space.filter_pruning: would remove channels again, whose number "
                "'channel_pruning' has fixed in stage 'channels'; search one of them"
            ),
        ),
        (
            [BITS, CHANNELS],
            (
                "stages[1] ('channels'): space.channel_pruning: would change layers that 'quantization' "
                "has fixed in stage 'bits'; put the stage of 'channel_pruning' before it"
            ),
        ),
        (
            [WEIGHTS, CHANNELS],
            (
                "stages[1] ('channels'): space.channel_pruning: would change layers that 'sparsity' has "
                "fixed in stage 'weights'; put the stage of 'channel_pruning' before it"
            ),
        ),
        (
            [FACTORS, CHANNELS],
            (
                "stages[1] ('channels'): space.channel_pruning: would change layers that 'factorisation' "
                "has fixed in stage 'ranks'; put the stage of 'channel_pruning' before it"
            ),
        ),
        (
            [CHANNELS, DEPTH],
            (
                "stages[1] ('blocks'): space.depth: would change layers that 'channel_pruning' has fixed "
                "in stage 'channels'; put the stage of 'depth' before it"
            ),
        ),
        (
            [CHANNELS, _with(BITS, name="channels")],
            "stages[1].name: 'channels' is the name of another stage already; give it its own",
        ),
        (
            [_with(CHANNELS, baselines=[SIBLING]), BITS],
            (
                "stages[0] ('channels'): baselines[0].candidate: a sibling may be delivered by the last "
                "stage alone, as no stage can go on from another network"
            ),
        ),
        (
            [_with(CHANNELS, certificate={"attempts": 2}), BITS],
            (
                "stages[0] ('channels'): certificate.attempts: expected 1 in a stage that others follow, "
                "got 2: the last certificate is about images that no stage has chosen its network on; "
                "try several in the last stage"
            ),
        ),
        (
            [CHANNELS, _with(BITS, target={"runtime": "openvino"})],
            "stages[1].target: is the same in all stages; write it in the experiment, beside `stages`",
        ),
        (
            [CHANNELS, _with(BITS, before_recovery=True)],
            "stages[1].before_recovery: is the same in all stages; write it in the experiment, beside `stages`",
        ),
        (
            [CHANNELS, {"name": "bits", "space": {**BITS["space"], "groups": "per-layer"}}],
            (
                "stages[1].space.groups: expected a method, or `limits`; what is the same in all stages "
                "stands in the experiment"
            ),
        ),
        (
            [CHANNELS, {"space": {"sparsty": {}}}],
            "stages[1].space.sparsty: expected a method, or `limits`; did you mean 'sparsity'?",
        ),
        ([], "stages: expected a list of stages, each with `space` and a method, got an empty list"),
        ([CHANNELS, "bits"], "stages[1]: expected a mapping with `space` and a method, got 'bits'"),
    ],
)
def test_stages_that_contradict_each_other_are_refused_in_one_line(
    stages: list[Any], line: str, tmp_path: Path
) -> None:
    path = write(tmp_path, *stages)
    assert one_line(moco("search", path, "--out", tmp_path / "run"), 2) == line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ([{**BITS, "name": "a/b"}], "expected letters, digits and _ + - (it names the stage's folder)"),
        ([{"name": "none", "space": {}}], "expected a method for the stage to search"),
        ([{"name": "none"}], "space"),
        ([_with(CHANNELS, budgets={})], "did you mean 'budget'"),
        ([_with(CHANNELS, recovery=["fine_tunning"])], "did you mean 'fine_tuning'"),
        ([_with(CHANNELS, objective={"protocol": "fornt"})], "did you mean 'front'"),
        ([{"space": {**CHANNELS["space"], **FILTERS["space"]}}], "remove the same channels"),
    ],
)
def test_what_a_stage_cannot_say_is_one_line_that_names_the_stage(
    stages: list[Any], words: str, tmp_path: Path
) -> None:
    said = moco("search", write(tmp_path, *stages), "--out", tmp_path / "run")
    assert said.exit_code in {1, 2}
    line = one_line(said, said.exit_code)
    assert line.startswith("stages[0]")
    assert words in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("space", "line"),
    [
        (
            {"sparsity": {"keep": [0.5, 1.0]}},
            "space.sparsity: with `stages`, methods are declared in the stage that searches them",
        ),
        (
            {"base": "p.json"},
            "space.base: with `stages`, each stage begins with what the one before it delivered; leave it out",
        ),
    ],
)
def test_what_the_stages_decide_is_refused_beside_them(space: dict[str, Any], line: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        staged(tmp_path, *THREE, space=space)
    assert str(caught.value) == line


def test_each_group_cannot_choose_among_methods_of_several_stages(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"^space\.choose: a network in stages takes the methods of all; leave it out"
    ):
        staged(tmp_path, *THREE, space={"choose": True})


def test_a_lower_floor_in_the_end_than_before_is_no_contradiction(tmp_path: Path) -> None:
    strict = {**FRONT, "constraints": {"top1_accuracy": ">= -1 pp"}}
    assert len(staged(tmp_path, _with(CHANNELS, objective=strict), BITS).stages) == 2


@pytest.mark.parametrize("override", ["stages.bitz.budget.trials=2", "stages.bits=2", "stages=[]"])
def test_an_override_of_no_stage_is_refused(override: str, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=rf"--set {override.replace('[', '.').replace(']', '.')}: expected stages\.NAME\.key=value"
    ):
        staged(tmp_path, *THREE, overrides=(override,))


def test_an_override_cannot_give_an_earlier_stage_more_attempts(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^stages\[0\] \('channels'\): certificate\.attempts: expected 1"):
        staged(tmp_path, *THREE, overrides=("stages.channels.certificate.attempts=2",))
    assert staged(tmp_path, *THREE, overrides=("stages.bits.certificate.attempts=2",))


def test_other_commands_say_that_they_take_one_stage(tmp_path: Path) -> None:
    path = write(tmp_path, *THREE)
    assert is_staged(path)
    with pytest.raises(MocoError, match=r"^stages: only `moco search FILE` takes an experiment in stages"):
        load_experiment(path)
    assert one_line(moco("profile", path), 2).startswith("stages: only `moco search FILE` takes")
    line = one_line(moco("search", path, "--targets", "onnxruntime,openvino", "--out", tmp_path / "run"), 2)
    assert line.startswith("--targets: an experiment in stages is of one target")


def test_a_floor_that_the_images_cannot_show_is_told_before_the_first_stage(tmp_path: Path) -> None:
    close = {**FRONT, "constraints": {"top1_accuracy": ">= -0.01 pp"}}
    line = one_line(
        moco("search", write(tmp_path, CHANNELS, _with(BITS, objective=close)), "--out", tmp_path / "run"), 2
    )
    assert line.startswith("stages[1] ('bits'): ")
    assert not (tmp_path / "run").exists()
