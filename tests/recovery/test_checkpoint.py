"""A training that is interrupted goes on as if nothing had happened, and takes up no state but its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import nn

from moco.compression.precision import INT8_BITS
from moco.recovery.descent import Tuned, descend_
from moco.recovery.distillation import teacher_loss
from moco.recovery.fine_tuning import label_loss
from moco.recovery.quantization_aware import quantization_aware
from moco.recovery.teacher import Teacher
from moco.recovery.training_plan import FineTuningOptions
from tests.compression.toys import images, tiny

IMAGES = images(70, 1, 8)
LABELS = torch.arange(70) % 10
PLAN = FineTuningOptions(learning_rate=0.02, batch_size=16, epochs=3, shift=1, flip=True, views=2)
STOP = 6
"""The step in whose middle the training is interrupted: in the second of three epochs of four steps."""

Loss = Callable[..., torch.Tensor]
Train = Callable[[nn.Module, Loss, FineTuningOptions, Path | None], Tuned]


def plainly(network: nn.Module, loss: Loss, plan: FineTuningOptions, path: Path | None) -> Tuned:
    return descend_(network, IMAGES, loss, plan, rng_seed=3, checkpoint=path)


def in_codes(
    network: nn.Module, loss: Callable[..., torch.Tensor], plan: FineTuningOptions, path: Path | None
) -> Tuned:
    bits = dict.fromkeys(("layer1.0.conv1", "linear"), INT8_BITS)
    with quantization_aware(network, bits, IMAGES[:20]) as codes:
        return descend_(network, IMAGES, loss, plan, rng_seed=3, checkpoint=path, on_epoch=codes.calibrate)


def with_dropout() -> nn.Module:
    network = tiny()
    network.linear = nn.Sequential(nn.Dropout(0.3), network.linear)
    return network


def interrupted(loss: Loss) -> Loss:
    """The loss, until it is asked for the loss of the step that never is made."""
    asked: list[None] = []

    def until(*given: object) -> torch.Tensor:
        asked.append(None)
        if len(asked) == STOP:
            raise KeyboardInterrupt
        return loss(*given)

    return until


def teachers() -> Loss:
    return teacher_loss(Teacher(tiny(), IMAGES), LABELS)


def same(one: nn.Module, other: nn.Module) -> bool:
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(autouse=True)
def each_step_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moco.recovery.checkpoint.EVERY_SECONDS", 0.0)


@pytest.mark.parametrize(
    ("made", "train", "plan"),
    [
        (with_dropout, plainly, PLAN),
        (tiny, plainly, replace(PLAN, optimizer="adamw", views=None)),
        (tiny, in_codes, PLAN),
    ],
)
def test_an_interrupted_training_ends_at_the_same_bytes(
    made: Callable[[], nn.Module], train: Train, plan: FineTuningOptions, tmp_path: Path
) -> None:
    path, wanted, network = tmp_path / "state.safetensors", made(), made()
    whole = train(wanted, teachers(), plan, None)
    with pytest.raises(KeyboardInterrupt):
        train(network, interrupted(teachers()), plan, path)
    resumed = made()
    told = train(resumed, teachers(), plan, path)

    assert same(resumed, wanted)
    assert (told.losses, told.steps) == (whole.losses, whole.steps)
    assert not same(network, wanted)


def test_a_training_at_its_end_makes_no_further_step(tmp_path: Path) -> None:
    path, first, second = tmp_path / "state.safetensors", tiny(), tiny()
    plainly(first, label_loss(LABELS), PLAN, path)

    def never(*_: object) -> torch.Tensor:
        raise AssertionError("a step was made")

    assert plainly(second, never, PLAN, path).steps == 12
    assert same(first, second)
    with safe_open(path, framework="pt") as file:
        assert file.metadata()["format"] == "moco training 1"


def another_network(network: nn.Module, path: Path) -> FineTuningOptions:
    network.linear.bias.data += 1  # type: ignore[operator,union-attr]
    return PLAN


def another_plan(network: nn.Module, path: Path) -> FineTuningOptions:
    return replace(PLAN, learning_rate=0.03)


def cut_off(network: nn.Module, path: Path) -> FineTuningOptions:
    path.write_bytes(path.read_bytes()[:-100])
    return PLAN


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (another_network, "it is of another training"),
        (another_plan, "another training"),
        (cut_off, "cannot be read"),
    ],
)
def test_a_file_that_is_damaged_or_of_another_training_is_told_and_unused(
    change: Callable[[nn.Module, Path], FineTuningOptions], why: str, tmp_path: Path
) -> None:
    path, network, wanted = tmp_path / "state.safetensors", tiny(), tiny()
    plainly(tiny(), label_loss(LABELS), PLAN, path)
    plan = change(network, path)
    change(wanted, path)
    with pytest.warns(UserWarning, match=rf"state.safetensors: .*{why}.*; the training begins anew"):
        plainly(network, label_loss(LABELS), plan, path)
    plainly(wanted, label_loss(LABELS), plan, None)
    assert same(network, wanted)
    assert same(tiny(), tiny())
