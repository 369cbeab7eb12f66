"""Distillation: the loss by hand, unlabelled images, a teacher that stays as it was."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from moco.errors import CompressionError, ConfigError
from moco.models.arithmetic import Arithmetic
from moco.models.augmentation import View
from moco.models.training import Batch
from moco.recovery.descent import Tuned, descend_
from moco.recovery.distillation import DistillationOptions, distillation_loss, teacher_loss
from moco.recovery.teacher import Teacher
from moco.recovery.training_plan import FineTuningOptions
from tests.compression.toys import images, tiny

IMAGES = images(64, 1, 8)
LABELS = torch.arange(64) % 10
TRIED = 4
"""Images on which a teacher is tried: two in channels_last memory, one for its classes, one for its counts."""
PLAN = FineTuningOptions(learning_rate=0.01, batch_size=16, epochs=3, schedule="constant")


class Counting(nn.Module):
    """Counts the images that it is shown in evaluation mode."""

    def __init__(self, inner: nn.Module, seen: list[int]) -> None:
        super().__init__()
        self.inner, self.seen = inner, seen

    def __deepcopy__(self, memo: dict[int, object]) -> Counting:
        return Counting(self.inner, self.seen)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert not self.training
        self.seen.append(len(x))
        return self.inner(x)  # type: ignore[no-any-return]


def distill_(
    student: nn.Module,
    teacher: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor | None,
    plan: FineTuningOptions,
    *,
    rng_seed: int,
) -> Tuned:
    return descend_(student, images, teacher_loss(Teacher(teacher, images), labels), plan, rng_seed=rng_seed)


def damaged() -> nn.Module:
    network = tiny()
    network.layer1[0].conv2.weight.data *= 0.2
    network.linear.weight.data *= 0.2
    return network


def distance(student: nn.Module, teacher: nn.Module) -> float:
    with torch.no_grad():
        return float((student(IMAGES) - teacher(IMAGES)).square().mean())


def test_the_loss_is_that_of_the_formula() -> None:
    # S([ln 9, 0] / 2) = [3/4, 1/4] and S([0, 0] / 2) = [1/2, 1/2]; S([ln 9, 0], 1) = [9/10, 1/10].
    student, teacher = torch.tensor([[math.log(9.0), 0.0]]), torch.tensor([[0.0, 0.0]])
    soft = -0.5 * math.log(3 / 4) - 0.5 * math.log(1 / 4)
    hard = -math.log(1 / 10)

    assert float(distillation_loss(student, teacher, None, 2.0, 1.0)) == pytest.approx(4 * soft)
    assert float(distillation_loss(student, teacher, torch.tensor([1]), 2.0, 0.3)) == pytest.approx(
        hard + 0.3 * 4 * soft
    )


def test_the_soft_term_is_an_expectation_under_the_teacher() -> None:
    # The teacher's answer is [3/4, 1/4], the student's [1/2, 1/2]: H = ln 2; the other way round it is not.
    student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[math.log(9.0), 0.0]])
    assert float(distillation_loss(student, teacher, None, 2.0, 1.0)) == pytest.approx(4 * math.log(2))


def gradient(temperature: float) -> torch.Tensor:
    student = torch.tensor([[1.0, -1.0, 0.5]], dtype=torch.float64, requires_grad=True)
    teacher = torch.tensor([[0.5, 0.2, -0.7]], dtype=torch.float64)
    distillation_loss(student, teacher, None, temperature, 1.0).backward()
    assert student.grad is not None
    return student.grad


def test_the_gradient_keeps_its_size_at_any_temperature() -> None:
    # d/dz of tau^2 H is tau (S(z_s, tau) - S(z_t, tau)).
    student, teacher = torch.tensor([[1.0, -1.0, 0.5]]).double(), torch.tensor([[0.5, 0.2, -0.7]]).double()
    for tau in (1.0, 4.0):
        wanted = tau * ((student / tau).softmax(1) - (teacher / tau).softmax(1))
        torch.testing.assert_close(gradient(tau), wanted)
    # At high temperatures it tends to (z_s - z_t) / K of centred logits (Hinton et al. 2015, eq. 4).
    centred = (student - student.mean()) - (teacher - teacher.mean())
    torch.testing.assert_close(gradient(1e4), centred / 3, atol=1e-4, rtol=0)


def test_unlabelled_images_bring_the_student_to_the_teacher() -> None:
    teacher, student = tiny(), damaged()
    before = distance(student, teacher)
    result = distill_(student, teacher, IMAGES, None, replace(PLAN, epochs=10), rng_seed=0)

    assert distance(student, teacher) < before / 2
    assert result.losses[-1] < result.losses[0]
    assert not student.training


def test_labels_count_too() -> None:
    plain, labelled = damaged(), damaged()
    distill_(plain, tiny(), IMAGES, None, PLAN, rng_seed=0)
    distill_(labelled, tiny(), IMAGES, LABELS, PLAN, rng_seed=0)

    assert not torch.equal(plain.linear.weight, labelled.linear.weight)


def test_a_view_is_shown_to_the_teacher_once() -> None:
    seen: list[int] = []
    distill_(tiny(), Counting(tiny(), seen), IMAGES, None, PLAN, rng_seed=0)
    assert sum(seen) == TRIED + 64

    for views, wanted in ((2, TRIED + 2 * 64), (5, TRIED + 3 * 64), (None, 2 + 3 * 64)):
        seen.clear()
        distill_(tiny(), Counting(tiny(), seen), IMAGES, None, replace(PLAN, shift=1, views=views), rng_seed=0)
        assert sum(seen) == wanted


def test_later_trainings_and_other_networks_share_the_answers() -> None:
    seen: list[int] = []
    loss, plan = teacher_loss(Teacher(Counting(tiny(), seen), IMAGES), LABELS), replace(PLAN, shift=1, views=2)
    for seed in (0, 1):
        descend_(damaged(), IMAGES, loss, plan, rng_seed=seed, views_seed=7)
    for views in (1, 3):  # a view is the same in a plan of fewer and of more of them
        descend_(damaged(), IMAGES, loss, replace(plan, views=views), rng_seed=2, views_seed=7)
    assert sum(seen) == TRIED + 3 * 64


@pytest.mark.parametrize("limit", [10**9, 0])
def test_remembered_answers_are_those_of_the_images_asked_for(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moco.recovery.teacher.ANSWERS_BYTES", limit)
    network, teacher, batches = tiny(), Teacher(tiny(), IMAGES), []

    def loss(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        batches.append(batch)
        with torch.no_grad():
            torch.testing.assert_close(teacher.answers(batch), network(batch.images), rtol=1e-3, atol=1e-5)
        return logits.square().mean()

    descend_(tiny(), IMAGES, loss, replace(PLAN, shift=1, flip=True, views=2), rng_seed=0)
    assert len(batches) == 12
    assert len(teacher._answers) == (2 if limit else 0)


@pytest.mark.parametrize(
    ("arithmetic", "close"),
    [
        pytest.param("float32", 1e-4, marks=pytest.mark.slow),  # an export
        ("bfloat16", 0.05),  # folded, in numbers of eight bits' precision
    ],
)
def test_the_quicker_way_answers_as_the_network_does(
    arithmetic: Arithmetic, close: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moco.recovery.teacher.RUNTIME_MACS", 0)
    teacher, view = Teacher(tiny(), IMAGES, arithmetic), View(seed=1, shift=1, flip=True, of=2)
    rows = torch.arange(40, 64)
    answers = teacher.answers(Batch(view.shown(IMAGES, rows), rows, view))

    assert teacher._quickly != teacher._answered
    with torch.no_grad():
        expected = tiny()(view.shown(IMAGES, rows))
    torch.testing.assert_close(answers, expected, rtol=0, atol=close * float(expected.abs().max()))


def test_the_teacher_is_left_as_it_was() -> None:
    teacher = tiny().train()
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    distill_(damaged(), teacher, IMAGES, None, PLAN, rng_seed=0)

    assert all(torch.equal(before[name], tensor) for name, tensor in teacher.state_dict().items())
    assert all(module.training for module in teacher.modules())
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_other_classes_and_missing_labels_are_refused() -> None:
    teacher = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    with pytest.raises(CompressionError, match=r"teacher gives logits \(16, 3\), the student \(16, 10\)"):
        distill_(tiny(), teacher, IMAGES, None, PLAN, rng_seed=0)
    with pytest.raises(CompressionError, match="a label for each of 64 images, got 2"):
        distill_(tiny(), tiny(), IMAGES, LABELS[:2], PLAN, rng_seed=0)


@pytest.mark.parametrize(("name", "value"), [("temperature", 0.0), ("weight", -1.0), ("weight", math.nan)])
def test_factors_must_be_positive(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"distillation.{name}: expected a finite number above 0"):
        DistillationOptions(**{name: value})
