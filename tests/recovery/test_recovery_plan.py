"""The plan of a recovery: its order, its text in the stores' keys, and what steps of others may do in it."""

from __future__ import annotations

import ast
import copy
import inspect
import json
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from moco.compression.compressor import Compressor
from moco.errors import CompressionError, ConfigError
from moco.evaluation.builder import Builder
from moco.experiment.build import recovery_plan
from moco.experiment.plugins import chosen_step
from moco.experiment.schema_space import RecoverySection
from moco.recovery.batch_norm import BatchNormStep
from moco.recovery.fine_tuning import FineTuningStep
from moco.recovery.recovery import Recovery, RecoveryPlan
from moco.recovery.step import Candidate, Moment, RecoveryContext, RecoveryStep
from moco.registry import BUILT_IN, plugin
from tests.compression.toys import images, tiny
from tests.import_rules import room, sources
from tests.policies import policy_of

RECORDED = json.loads((Path(__file__).parent / "recorded_plans.json").read_text(encoding="utf-8"))
"""Steps as an experiment lists them, and the text that the store's key has for them.

It is what version 0.1 wrote, but for trainings: these give other weights since they are in channels_last memory.
"""

FUNCTION = "def tune(network, images, labels):\n    network.linear.bias.data += 1.5\n"
PRUNED = policy_of({"layer1.0.conv1": (3, 8)}, {})


def test_stores_of_before_stay_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moco.models.arithmetic.has_bfloat16", lambda: False)
    (tmp_path / "recorded_recovery.py").write_text(FUNCTION, encoding="utf-8")
    for steps, text in RECORDED:
        sections = [RecoverySection.model_validate(step) for step in steps]
        steps_chosen = [chosen_step(step, plugin("recovery_step", step.name)) for step in sections]
        plan = recovery_plan(steps_chosen, tmp_path, allow_import=True)
        assert str(plan) == text, steps
    assert len(RECORDED) == 103


@dataclass(frozen=True)
class ShiftOptions:
    by: float = 1.0


class ShiftStep(RecoveryStep):
    """Moves the bias of the head."""

    name, Options, moment = "shift", ShiftOptions, Moment.AFTER_SURGERY

    def apply(self, candidate: Candidate, context: RecoveryContext, prepared: Any) -> nn.Module:
        del context, prepared
        candidate.network.linear.bias.data += self.options.by
        return candidate.network


class DoubleStep(ShiftStep):
    """Gives another network, whose head has the bias times what was prepared."""

    name, moment = "double", Moment.TRAINING

    def prepare(self, context: RecoveryContext) -> float:
        return 2.0 * len(context.images) / 8

    def apply(self, candidate: Candidate, context: RecoveryContext, prepared: float) -> nn.Module:
        network = copy.deepcopy(candidate.network)
        network.linear.bias.data *= prepared
        return network


def recovery_of(*steps: RecoveryStep, training: Any = None) -> tuple[Compressor, Recovery]:
    compressor = Compressor.of(tiny(), images(8, 1, 8)[:2])
    return compressor, Recovery(compressor.network, compressor.graph, images(8, 1, 8), RecoveryPlan(steps), 0, training)


def test_steps_act_in_the_order_of_their_moments_then_of_the_list(tmp_path: Path) -> None:
    compressor, recovery = recovery_of(DoubleStep(), ShiftStep(ShiftOptions(0.5)), BatchNormStep())
    assert [step.name for step in recovery.plan.steps] == ["refit", "shift", "batch_norm", "double"]
    builder = Builder(compressor, images(8, 1, 8).numpy(), recovery.plan, tmp_path)
    bias = compressor.network.linear.bias
    torch.testing.assert_close(builder.compressed(PRUNED).linear.bias, (bias + 0.5) * 2)
    torch.testing.assert_close(builder.compressed(policy_of({}, {})).linear.bias, bias)


def test_steps_of_others_stand_at_the_end_of_the_text_and_their_order_counts() -> None:
    first = str(RecoveryPlan((BatchNormStep(),)))
    texts = [
        str(RecoveryPlan(steps))
        for steps in (
            (BatchNormStep(), ShiftStep()),
            (ShiftStep(), BatchNormStep()),
            (BatchNormStep(), ShiftStep(ShiftOptions(2.0))),
        )
    ]
    assert len(set(texts)) == 3
    assert all(text.startswith(f"{first} refit ") for text in texts)
    assert "batch_norm shift(by=2.0) " in texts[2]


def test_a_step_of_others_is_another_one_when_its_source_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = "Any, Candidate, Moment, RecoveryContext, RecoveryStep, ShiftOptions, nn"
    source = f"from __future__ import annotations\nfrom {__name__} import {names}\n\n{inspect.getsource(ShiftStep)}"
    (tmp_path / "same_shift.py").write_text(source, encoding="utf-8")
    (tmp_path / "other_shift.py").write_text(source.replace("data += self", "data -= self"), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    same, other = (str(RecoveryPlan((import_module(f"{name}_shift").ShiftStep(),))) for name in ("same", "other"))
    assert same == str(RecoveryPlan((ShiftStep(),))) != other


def test_a_step_that_gives_no_network_is_named() -> None:
    class Forgets(ShiftStep):
        def apply(self, candidate: Candidate, context: RecoveryContext, prepared: Any) -> Any:
            super().apply(candidate, context, prepared)

    compressor, recovery = recovery_of(Forgets())
    candidate = Candidate(compressor.compress(PRUNED), PRUNED, compressor.kept(PRUNED), {})
    with pytest.raises(CompressionError, match="recovery: the step 'shift' gave a NoneType, expected the network"):
        recovery.recovered(Moment.AFTER_SURGERY, candidate)


def test_training_images_are_asked_for_where_a_step_needs_them_and_only_there() -> None:
    def never() -> Any:
        raise AssertionError("nobody needs them")

    recovery_of(ShiftStep(), BatchNormStep(), training=never)
    with pytest.raises(ConfigError, match="recovery: expected training images for a plan that trains, got none"):
        recovery_of(FineTuningStep())


def test_two_ways_of_training_are_refused_also_of_others() -> None:
    with pytest.raises(ConfigError, match="one way of training, got double and fine_tuning"):
        RecoveryPlan((DoubleStep(), FineTuningStep()))


def test_nobody_but_the_registry_and_the_steps_knows_their_names() -> None:
    """But for the one that an experiment has by default, and where the words of published systems are."""
    steps = BUILT_IN["recovery_step"]
    found = {
        (module, node.value)
        for module, text in sources().items()
        if module != "moco.registry" and room(module) not in {"recovery", "reproduction", "sweep"}
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant) and node.value in steps
    }
    assert {name for _, name in found} <= {"batch_norm"}, found
    assert len(found) <= 1, found


class SpoilsStep(ShiftStep):
    """Changes all that it is shown."""

    name, needs_training_images = "spoils", True

    def prepare(self, context: RecoveryContext) -> None:
        self.apply(Candidate(context.network, PRUNED, {}, {}), context, None)

    def apply(self, candidate: Candidate, context: RecoveryContext, prepared: Any) -> nn.Module:
        del prepared
        for tensor in (context.images, *context.training_set, *context.network.parameters()):
            tensor.data.zero_()
        return candidate.network


def test_a_step_of_others_sees_copies() -> None:
    training = images(8), torch.ones(8)
    compressor, recovery = recovery_of(SpoilsStep(), training=lambda: training)
    candidate = Candidate(copy.deepcopy(compressor.network), PRUNED, {}, {})
    recovery.recovered(Moment.AFTER_SURGERY, candidate)
    assert all(tensor.any() for tensor in (*training, compressor.network.linear.weight))


def test_a_step_of_others_that_exits_is_named() -> None:
    class Exits(ShiftStep):
        def apply(self, *_: Any) -> nn.Module:
            raise SystemExit(0)

    compressor, recovery = recovery_of(Exits())
    with pytest.raises(CompressionError, match=r"^recovery: the step 'shift' failed: SystemExit: 0$"):
        recovery.recovered(Moment.AFTER_SURGERY, Candidate(compressor.network, PRUNED, {}, {}))


def test_a_moment_in_words_is_refused() -> None:
    step = type("Words", (ShiftStep,), {"moment": "after_surgery"})()
    with pytest.raises(ConfigError, match=r"^recovery\.shift: expected a Moment as the step's moment, got 'after_surg"):
        RecoveryPlan((step,))
