"""FitNets: the hint loss by hand, the regressor, what stage one changes and what it leaves, layers by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from moco.compression.compressor import Compressor
from moco.errors import ConfigError
from moco.models import build_model
from moco.models.training import Batch
from moco.policy import Policy
from moco.recovery.descent import Tuned
from moco.recovery.distillation import DistillationOptions, DistillationStep
from moco.recovery.feature_maps import UpTo, feature_maps, middle_block
from moco.recovery.fine_tuning import Cycle
from moco.recovery.fitnets import FitNetsOptions, FitNetsStep, Lessons
from moco.recovery.hints import Guided, Hint, Regressed, fit_regressor_, hint_loss, learn_hints_
from moco.recovery.step import Candidate, PrunedGroups, RecoveryContext
from moco.recovery.teacher import Teacher
from moco.recovery.training_plan import FineTuningOptions
from tests.compression.toys import images, tiny

IMAGES = images(64, 1, 8)
LABELS = torch.arange(64) % 10
PLAN = FineTuningOptions(learning_rate=0.05, batch_size=16, epochs=4, schedule="constant", precision="float32")


class Plain(nn.Module):
    """Two convolutions of their own widths and a head."""

    def __init__(self, width: int = 6, stride: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, width, 3, padding=1, stride=stride)
        self.second = nn.Conv2d(width, 8, 3, padding=1, stride=stride)
        self.head = nn.Linear(8, 10)
        rng = torch.Generator().manual_seed(width)
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=rng) * 0.2

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.second(torch.relu(self.first(x))))
        return self.head(x.mean((2, 3)))  # type: ignore[no-any-return]


class Linearly(nn.Module):
    """A teacher whose layer `hint` is linear in what the layer `first` of a student gives."""

    def __init__(self, student: Plain, channels: int = 5) -> None:
        super().__init__()
        self.first, self.hint = student.first, nn.Conv2d(student.first.out_channels, channels, 1)
        for parameter in self.hint.parameters():
            parameter.data = torch.linspace(-1, 1, parameter.numel()).reshape(parameter.shape)

    def forward(self, x: Tensor) -> Tensor:
        return self.hint(self.first(x)).mean((2, 3))  # type: ignore[no-any-return]


def hint_of(network: nn.Module, layer: str) -> Hint:
    return Hint(layer, feature_maps(network, IMAGES[:2])[layer], Teacher(UpTo(network, layer), IMAGES))


def guided_of(network: nn.Module, layer: str) -> Guided:
    return Guided(layer, feature_maps(network, IMAGES[:2])[layer])


def state_of(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def changed(network: nn.Module, before: dict[str, Tensor]) -> set[str]:
    return {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}


def learned(student: nn.Module, hint: Hint, guided: str, plan: FineTuningOptions = PLAN) -> Tuned:
    return learn_hints_(student, IMAGES, hint, guided_of(student, guided), plan, rng_seed=0, views_seed=0)


def context(teacher: nn.Module, seed: int = 0) -> RecoveryContext:
    return RecoveryContext(teacher, Compressor.of(teacher, IMAGES[:2]).graph, IMAGES, seed, (IMAGES, LABELS))


def trained(
    options: FitNetsOptions, student: nn.Module, teacher: nn.Module, cycle: Cycle | None = None
) -> tuple[nn.Module, Tuned]:
    step, given = FitNetsStep(options), context(teacher)
    return student, step.train(Candidate(student, Policy.of({}), {}, {}), given, step.prepare(given), cycle)


def test_the_hint_loss_is_that_of_the_formula() -> None:
    # 1/2 ||(1, 2) - (4, -2)||^2 = 1/2 (9 + 16) = 12.5, over two values.
    regressed, hint = torch.tensor([[[[1.0]], [[2.0]]]]), torch.tensor([[[[4.0]], [[-2.0]]]])
    assert float(hint_loss(regressed, hint)) == pytest.approx(12.5 / 2)


def test_the_regressor_is_exact_where_the_hint_is_linear_in_the_features() -> None:
    student = Plain()
    hint = hint_of(Linearly(student), "hint")
    network = Regressed(student, guided_of(student, "first"), hint)
    fit_regressor_(network, IMAGES, hint, batch_statistics=True)

    wanted = Linearly(student).hint.weight
    torch.testing.assert_close(network.regressor.weight, wanted, rtol=0, atol=1e-4)
    torch.testing.assert_close(
        network(IMAGES), hint.teacher.answers(Batch(IMAGES, torch.arange(64))), rtol=0, atol=1e-4
    )
    assert max(learned(student, hint, "first", replace(PLAN, weight_decay=0)).losses) < 1e-8  # and so nothing moves it


def test_the_hint_loss_falls_and_later_layers_stay() -> None:
    student, teacher = Plain(), tiny()
    before, of_teacher = state_of(student), state_of(teacher)
    losses = learned(student, hint_of(teacher, "layer1.0"), "first").losses

    assert losses[-1] < 0.9 * losses[0]
    assert changed(student, before) == {"first.weight", "first.bias"}
    assert student.second.weight.grad is None
    assert changed(teacher, of_teacher) == set()


def test_batch_norms_behind_the_guided_layer_see_nothing() -> None:
    student = build_model("cifar_resnet8")
    before, seen = state_of(student), torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    hint = Hint("layer1.0", (16, 32, 32), Teacher(UpTo(build_model("cifar_resnet8"), "layer1.0"), seen))
    plan = replace(PLAN, batch_size=4, epochs=1)
    learn_hints_(student, seen, hint, Guided("layer2.0", (32, 16, 16)), plan, rng_seed=0, views_seed=0)
    assert {name.split(".")[0] for name in changed(student, before)} == {"conv1", "bn1", "layer1", "layer2"}


@pytest.mark.parametrize(("teacher", "student"), [(1, 2), (2, 1)])
def test_the_larger_map_is_averaged_to_the_smaller_one(teacher: int, student: int) -> None:
    guided = guided_of(trained := Plain(stride=student), "first")
    hint = hint_of(Plain(7, teacher), "first")
    network = Regressed(trained, guided, hint)

    assert {guided.shape[1:], hint.shape[1:]} == {(8, 8), (4, 4)}
    assert network(IMAGES).shape == (64, 7, 4, 4)
    assert learned(trained, hint, "first").steps == 16


def test_the_network_is_stopped_at_the_layer() -> None:
    network = Plain()
    network.second.register_forward_hook(lambda *_: pytest.fail("it went on"))
    with torch.no_grad():
        torch.testing.assert_close(UpTo(network, "first")(IMAGES), network.first(IMAGES))
    assert not network.first._forward_hooks


@pytest.mark.parametrize(
    ("name", "middle"),
    [("cifar_resnet8", "layer2.0"), ("cifar_resnet20", "layer2.1"), ("cifar_resnet56", "layer2.4")],
)
def test_the_middle_block_of_a_residual_network_lies_in_its_second_stage(name: str, middle: str) -> None:
    network = build_model(name)
    assert middle_block(network, feature_maps(network, torch.zeros(2, 3, 32, 32))) == middle


def test_without_blocks_the_middle_is_a_convolution() -> None:
    assert middle_block(Plain(), feature_maps(Plain(), IMAGES[:2])) == "second"
    dense = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with pytest.raises(ConfigError, match="the original network has no convolution, so no block in its middle"):
        FitNetsStep().prepare(RecoveryContext(dense, context(Plain()).graph, IMAGES, 0, (IMAGES, LABELS)))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"hint": "layer1.1.conv"}, r"fitnets.hint: the original network has no layer 'layer1.1.conv'; did you mean"),
        ({"hint": "linear"}, r"fitnets.hint: 'linear' of the original network gives no feature map"),
        (
            {"guided": "secnd"},
            r"fitnets.guided: the network that is trained has no layer 'secnd'; did you mean 'second'",
        ),
    ],
)
def test_an_unknown_layer_is_answered_with_the_nearest(options: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        trained(FitNetsOptions(**options), Plain(), tiny())


def test_a_search_hears_of_an_unknown_guided_layer_before_its_first_trial() -> None:
    step, given = FitNetsStep(FitNetsOptions(guided="layer9")), context(tiny())
    with pytest.raises(ConfigError, match="the network that is trained has no layer 'layer9'"):
        step.warnings(PrunedGroups(), given, step.prepare(given))


def test_a_compressed_copy_is_guided_where_the_hint_is() -> None:
    step, given = FitNetsStep(FitNetsOptions(hint="layer1.0.conv1")), context(tiny())
    hint = step.prepare(given).hint
    assert step.guided_in(tiny(), given, hint).layer == "layer1.0.conv1"
    assert step.guided_in(Plain(), given, hint).layer == "second"


def test_both_parts_take_the_epochs_of_one_training() -> None:
    options = FitNetsOptions(epochs=8, batch_size=16, hint_share=0.25, precision="float32")
    _, tuned = trained(options, Plain(), tiny())
    assert (tuned.steps, tuned.epochs, len(tuned.losses)) == (32, 8, 6)


def test_the_second_part_is_distillation() -> None:
    plan = {"epochs": 1.0, "batch_size": 16, "precision": "float32"}
    student, _ = trained(FitNetsOptions(**plan), Plain(), tiny(), Cycle(1))
    step, given, other = DistillationStep(DistillationOptions(**plan)), context(tiny()), Plain()
    step.train(Candidate(other, Policy.of({}), {}, {}), given, step.prepare(given), Cycle(1))
    assert changed(student, state_of(other)) == set()

    lessons = FitNetsStep(FitNetsOptions(temperature=2.0, weight=3.0)).prepare(given)
    of_same = DistillationStep(DistillationOptions(temperature=2.0, weight=3.0)).prepare(given)
    batch, logits = Batch(IMAGES[:4], torch.arange(4)), torch.randn(4, 10, generator=torch.Generator().manual_seed(1))
    assert isinstance(lessons, Lessons)
    assert float(lessons(logits, batch)) == pytest.approx(float(of_same(logits, batch)))


def test_an_interrupted_training_goes_on_in_either_part(tmp_path: Path) -> None:
    options = FitNetsOptions(epochs=2, batch_size=16, hint_share=0.5, precision="float32")
    whole, _ = trained(options, Plain(), tiny())
    trained(options, Plain(), tiny(), Cycle(0, tmp_path / "a.safetensors"))
    (tmp_path / "a.safetensors").unlink()  # as if it was killed after the first part
    again, tuned = trained(options, Plain(), tiny(), Cycle(0, tmp_path / "a.safetensors"))

    assert changed(again, state_of(whole)) == set()
    assert (tmp_path / "a-hint.safetensors").exists()
    assert tuned.steps == 8


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_share_lies_between_none_and_all(share: float) -> None:
    with pytest.raises(ConfigError, match=r"recovery.fitnets.hint_share: expected a finite number between 0 and 1"):
        FitNetsOptions(hint_share=share)
