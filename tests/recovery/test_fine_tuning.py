"""Fine-tuning: repeatable, bounded by steps or by the clock, and refused when it diverges."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from moco.compression.compressor import Compressor
from moco.errors import CompressionError, ConfigError
from moco.recovery.custom import CustomOptions, CustomStep, RecoveryFunction
from moco.recovery.descent import Tuned, descend_
from moco.recovery.fine_tuning import Cycle, FineTuningStep, label_loss
from moco.recovery.quantization_aware import QuantizationAwareStep
from moco.recovery.step import Candidate, PrunedGroups, RecoveryContext
from moco.recovery.training_plan import FineTuningOptions, decay
from tests.compression.toys import images, tiny
from tests.policies import policy_of

IMAGES = images(70, 1, 8)
LABELS = torch.arange(70) % 10
PRECISIONS = ("auto", "float32", "bfloat16")
PLAN = FineTuningOptions(learning_rate=0.01, batch_size=16, epochs=1, shift=1, flip=True)


def fine_tune_(
    network: nn.Module, images: torch.Tensor, labels: torch.Tensor, plan: FineTuningOptions, **told: Any
) -> Tuned:
    return descend_(network, images, label_loss(labels), plan, **told)


def states(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def tuned(plan: FineTuningOptions = PLAN, seed: int = 3) -> dict[str, torch.Tensor]:
    network = tiny()
    fine_tune_(network, IMAGES, LABELS, plan, rng_seed=seed)
    return states(network)


def linear() -> nn.Sequential:
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    network[1].weight.data = torch.tensor([[1.0, 0.0, -1.0, 0.5], [0.0, 0.5, 1.0, -1.0]])
    network[1].bias.data = torch.tensor([0.1, -0.1])
    return network


def test_a_seed_gives_the_same_network_whatever_the_global_generator_and_threads() -> None:
    torch.manual_seed(1)
    first = tuned()
    torch.manual_seed(2)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert same(tuned(), first)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(torch.get_rng_state(), state)
    assert not same(tuned(seed=4), first)


def test_a_thin_network_is_trained_and_left_in_evaluation_mode() -> None:
    compressor = Compressor.of(tiny(), IMAGES[:2])
    thin = compressor.compress(policy_of({"layer1.0.conv1": (3, 8)}, {}))
    before, original = states(thin), states(compressor.network)
    result = fine_tune_(thin, IMAGES, LABELS, replace(PLAN, epochs=4, schedule="constant"), rng_seed=0)

    assert not any(module.training for module in thin.modules())
    assert all(not torch.equal(before[name], parameter) for name, parameter in thin.named_parameters())
    assert same(original, states(compressor.network))
    assert result.losses[-1] < result.losses[0]


def test_one_step_of_gradient_descent_is_that_of_the_book() -> None:
    network, wanted = linear(), linear()
    batch, labels = torch.arange(8.0).reshape(2, 1, 2, 2) / 8, torch.tensor([0, 1])
    plan = FineTuningOptions(
        learning_rate=0.5, momentum=0.0, weight_decay=0.1, batch_size=2, schedule="constant", precision="float32"
    )
    plan = replace(plan, keep_zeros=False)
    F.cross_entropy(wanted(batch), labels).backward()
    weight, bias = wanted[1].weight, wanted[1].bias
    result = fine_tune_(network, batch, labels, plan, rng_seed=0)

    torch.testing.assert_close(network[1].weight.data, weight.data - 0.5 * (weight.grad + 0.1 * weight.data))
    torch.testing.assert_close(network[1].bias.data, bias.data - 0.5 * bias.grad)  # biases do not decay
    assert result.losses == pytest.approx([float(F.cross_entropy(linear()(batch), labels).detach())])


@pytest.mark.parametrize(("clip", "share"), [(0.1, 0.1), (None, None), (100.0, None)])
def test_gradients_longer_than_the_clip_are_scaled_to_it(clip: float | None, share: float | None) -> None:
    network, wanted = linear(), linear()
    batch, labels = 4 * torch.arange(8.0).reshape(2, 1, 2, 2), torch.tensor([1, 0])
    plan = FineTuningOptions(
        learning_rate=0.5, momentum=0.0, weight_decay=0.0, batch_size=2, schedule="constant", precision="float32"
    )
    F.cross_entropy(wanted(batch), labels).backward()
    gradients = [parameter.grad for parameter in wanted.parameters()]
    norm = float(torch.cat([gradient.flatten() for gradient in gradients]).norm())
    assert 0.1 < norm < 100
    fine_tune_(network, batch, labels, replace(plan, keep_zeros=False, clip=clip), rng_seed=0)
    factor = 0.5 if share is None else 0.5 * share / norm
    for parameter, before, gradient in zip(network.parameters(), linear().parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.data, before.data - factor * gradient, rtol=1e-5, atol=1e-6)


def test_a_step_that_is_given_seconds_ends_in_time_and_else_where_its_epochs_do() -> None:
    compressor = Compressor.of(tiny(), IMAGES[:2])
    context = RecoveryContext(compressor.network, compressor.graph, IMAGES, 0, (IMAGES, LABELS))
    step = FineTuningStep(replace(PLAN, epochs=10_000, learning_rate=1e-4))
    assert step.descend(tiny(), context, label_loss(LABELS), Cycle(), seconds=0.3).steps < 10_000
    step = FineTuningStep(replace(PLAN, epochs=2))
    hurried, unhurried = tiny(), tiny()
    assert step.descend(hurried, context, label_loss(LABELS), Cycle(), seconds=1e6).epochs == 2
    step.descend(unhurried, context, label_loss(LABELS), Cycle())
    assert same(states(hurried), states(unhurried)), "a clock that is not needed changes nothing"


def test_in_bfloat16_a_seed_gives_the_same_network_too() -> None:
    plan = replace(PLAN, precision="bfloat16")
    first = tuned(plan)
    assert same(tuned(plan), first)
    assert not same(tuned(replace(PLAN, precision="float32")), first)
    assert all(tensor.dtype in {torch.float32, torch.int64} for tensor in first.values())


def test_bfloat16_on_a_processor_without_it_is_told_before_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    compressor = Compressor.of(tiny(), IMAGES[:2])
    context = RecoveryContext(compressor.network, compressor.graph, IMAGES, 0, (IMAGES, LABELS))
    for reader in ("moco.models.arithmetic", "moco.recovery.fine_tuning"):
        monkeypatch.setattr(f"{reader}.has_bfloat16", lambda: False)
    told = {
        p: [*FineTuningStep(replace(PLAN, precision=p)).warnings(PrunedGroups(), context, None)] for p in PRECISIONS
    }
    assert [len(lines) for lines in told.values()] == [0, 0, 1]
    assert told["bfloat16"][0].startswith(
        "recovery.fine_tuning.precision: this processor has no instructions for bfloat16"
    )
    monkeypatch.setattr("moco.recovery.fine_tuning.has_bfloat16", lambda: True)
    assert not [*FineTuningStep(replace(PLAN, precision="bfloat16")).warnings(PrunedGroups(), context, None)]


def test_the_stores_key_tells_what_a_training_computes_in(monkeypatch: pytest.MonkeyPatch) -> None:
    for has, auto in ((False, "float32"), (True, "bfloat16")):
        monkeypatch.setattr("moco.models.arithmetic.has_bfloat16", lambda has=has: has)
        assert f"precision='{auto}'" in FineTuningStep(PLAN).written()
        assert FineTuningStep(PLAN).written() == FineTuningStep(replace(PLAN, precision=auto)).written()  # type: ignore[arg-type]
        assert "precision='float32'" in QuantizationAwareStep().written()  # codes are not rounded once more


def test_adamw_is_torchs() -> None:
    network, wanted = linear(), linear()
    batch, labels = torch.arange(8.0).reshape(2, 1, 2, 2) / 8, torch.tensor([0, 1])
    plan = FineTuningOptions(
        optimizer="adamw", learning_rate=0.1, weight_decay=0.0, batch_size=2, schedule="constant", keep_zeros=False
    )
    fine_tune_(network, batch, labels, plan, rng_seed=0)
    before = states(wanted)["1.weight"]
    F.cross_entropy(wanted(batch), labels).backward()

    # The first step of Adam is the learning rate against the sign of the gradient.
    torch.testing.assert_close(network[1].weight.data, before - 0.1 * wanted[1].weight.grad.sign(), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("epochs", "steps"), [(1, 4), (2.5, 10), (0.5, 2), (0.01, 1)])
def test_epochs_may_be_parts(epochs: float, steps: int) -> None:
    result = fine_tune_(tiny(), IMAGES, LABELS, replace(PLAN, epochs=epochs), rng_seed=0)

    assert result.steps == steps  # 70 images are four batches of 16 an epoch
    assert result.epochs == pytest.approx(steps / 4)
    assert len(result.losses) == -(-steps // 4)


def test_the_clock_ends_it_after_a_step_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(1000))
    monkeypatch.setattr("moco.recovery.descent.time.thread_time", lambda: float(next(now)))
    by_clock = fine_tune_(tiny(), IMAGES, LABELS, replace(PLAN, epochs=None, seconds=6.0), rng_seed=0)
    first = fine_tune_(tiny(), IMAGES, LABELS, replace(PLAN, epochs=None, seconds=1e-6), rng_seed=0)

    assert 1 < by_clock.steps < 7
    assert first.steps == 1


def test_every_image_of_an_epoch_is_another_one() -> None:
    rows: list[torch.Tensor] = []

    def loss(logits: torch.Tensor, batch: object) -> torch.Tensor:
        rows.append(batch.rows)  # type: ignore[attr-defined]
        return logits.square().mean()

    descend_(tiny(), IMAGES, loss, replace(PLAN, epochs=2), rng_seed=0)
    first, second = torch.cat(rows[:4]), torch.cat(rows[4:])

    assert len(set(first.tolist())) == len(set(second.tolist())) == 64
    assert not torch.equal(first, second)


def test_images_are_mirrored_and_moved_each_for_itself() -> None:
    seen: list[torch.Tensor] = []
    picture = torch.arange(1.0, 17.0).reshape(1, 1, 4, 4).expand(40, 1, 4, 4).contiguous()
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    for plan in (
        FineTuningOptions(batch_size=40, flip=True),
        FineTuningOptions(batch_size=40, shift=1),
        FineTuningOptions(batch_size=40),
    ):
        descend_(network, picture, lambda x, batch: (seen.append(batch.images), x.mean())[1], plan, rng_seed=0)
    mirrored, moved, plain = seen

    kinds = {tuple(image.flatten().tolist()) for image in mirrored}
    assert kinds == {tuple(picture[0].flatten().tolist()), tuple(picture[0].flip(2).flatten().tolist())}
    assert len({tuple(image.flatten().tolist()) for image in moved}) == 9
    assert torch.equal(plain, picture)


def test_schedules() -> None:
    cosine = [decay(FineTuningOptions(), 0, progress) for progress in (0, 1 / 3, 0.5, 1)]
    assert cosine == pytest.approx([1, 0.75, 0.5, 0])
    assert decay(FineTuningOptions(schedule="constant"), 7, 0.9) == 1
    # The schedule of S2.07: gamma 0.95 every epoch from epoch 10 on.
    exponential = FineTuningOptions(schedule="exponential", gamma=0.95, hold_epochs=10)
    assert [decay(exponential, epoch, 0) for epoch in (0, 10.9, 11, 13.5)] == pytest.approx([1, 1, 0.95, 0.95**3])
    step = FineTuningOptions(schedule="step", gamma=0.1, step_epochs=5)
    assert [decay(step, epoch, 0) for epoch in (4.9, 5, 10)] == pytest.approx([1, 0.1, 0.01])


def test_what_asks_for_no_gradient_stays_bit_equal() -> None:
    network = tiny()
    for parameter in network.layer1.parameters():
        parameter.requires_grad_(False)
    before = states(network)
    fine_tune_(network, IMAGES, LABELS, PLAN, rng_seed=0)
    moved = {name for name, parameter in network.named_parameters() if not torch.equal(before[name], parameter)}

    assert moved
    assert not any(name.startswith("layer1") for name in moved)


@pytest.mark.parametrize("keep", [True, False])
def test_weights_that_were_pruned_one_by_one_stay_zero(keep: bool) -> None:
    network = tiny()
    weight = network.layer1[0].conv2.weight
    gone = torch.arange(weight.numel()).reshape(weight.shape) % 3 == 0
    weight.data[gone] = 0
    fine_tune_(network, IMAGES, LABELS, replace(PLAN, keep_zeros=keep, weight_decay=0.1), rng_seed=0)

    assert bool((weight[gone] == 0).all()) is keep
    assert (weight[~gone] != 0).all()


@pytest.mark.parametrize("frozen", [True, False])
def test_frozen_batch_norms_keep_their_statistics(frozen: bool) -> None:
    network = tiny()
    before = states(network)
    fine_tune_(network, IMAGES, LABELS, replace(PLAN, frozen_batch_norm=frozen), rng_seed=0)

    assert torch.equal(before["bn1.running_mean"], network.bn1.running_mean) is frozen
    assert not torch.equal(before["bn1.weight"], network.bn1.weight)


def test_each_whole_epoch_is_told() -> None:
    told: list[tuple[int, float]] = []
    plan = replace(PLAN, epochs=2.5)
    result = fine_tune_(tiny(), IMAGES, LABELS, plan, rng_seed=0, on_epoch=lambda *a: told.append(a))

    assert told == [(1, result.losses[0]), (2, result.losses[1])]


def test_divergence_names_the_step_and_the_layer() -> None:
    network = tiny()
    with pytest.raises(
        CompressionError,
        match=r"'[a-z0-9._]+' is not finite .*step \d+; .* 100 here; lower recovery\.fine_tuning\.learning_rate",
    ):
        fine_tune_(network, IMAGES, LABELS, replace(PLAN, learning_rate=100.0, epochs=30, clip=None), rng_seed=0)
    assert not network.training


def test_images_that_are_not_finite_are_named_as_the_cause() -> None:
    broken = IMAGES.clone()
    broken[:] = float("nan")
    plan = replace(PLAN, frozen_batch_norm=True)
    with pytest.raises(CompressionError, match=r"loss is nan in step 1 .* check the images for NaN"):
        fine_tune_(tiny(), broken, LABELS, plan, rng_seed=0)


def test_images_must_be_there() -> None:
    with pytest.raises(CompressionError, match="at least two images, got 1"):
        fine_tune_(tiny(), IMAGES[:1], LABELS[:1], PLAN, rng_seed=0)


def test_fewer_images_than_a_batch_are_one_batch() -> None:
    assert fine_tune_(tiny(), IMAGES[:5], LABELS[:5], PLAN, rng_seed=0).steps == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": 0.0}, r"^recovery\.fine_tuning\.learning_rate: expected a finite number above 0, got 0.0"),
        ({"optimizer": "adam"}, r"^recovery\.fine_tuning\.optimizer: expected one of sgd, adamw; got 'adam'"),
        ({"schedule": "linear"}, r"^recovery\.fine_tuning\.schedule: expected one of one_cycle, cosine"),
        ({"momentum": 1.0}, r"^recovery\.fine_tuning\.momentum: expected a finite number below 1"),
        ({"epochs": float("nan")}, r"^recovery\.fine_tuning\.epochs"),
        (
            {"epochs": None},
            r"^recovery\.fine_tuning\.epochs: expected a finite number above 0, got None; nothing else ends",
        ),
        ({"seconds": -1.0}, r"^recovery\.fine_tuning\.seconds"),
        ({"batch_size": 1}, r"^recovery\.fine_tuning\.batch_size"),
        ({"gamma": 1.5}, r"^recovery\.fine_tuning\.gamma: expected a finite number of at most 1"),
    ],
)
def test_a_plan_that_cannot_be_followed_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(PLAN, **changes)  # type: ignore[arg-type]


# ---- the user's own function


def custom_recovery(
    function: RecoveryFunction, network: nn.Module, images: torch.Tensor, labels: torch.Tensor, *, rng_seed: int
) -> nn.Module:
    compressor = Compressor.of(tiny(), IMAGES[:2])
    context = RecoveryContext(compressor.network, compressor.graph, images, rng_seed, (images, labels))
    return CustomStep(CustomOptions(function)).apply(Candidate(network, policy_of({}, {}), {}, {}), context, None)


def halve(network: nn.Module, read: torch.Tensor, labels: torch.Tensor) -> None:
    assert len(read) == len(labels)
    network.train()
    network.linear.weight.data /= 2  # type: ignore[operator,union-attr]


def test_the_users_function_may_change_weights_in_place_or_return_a_network() -> None:
    network, other = tiny(), tiny()
    before = states(network)
    recovered = custom_recovery(halve, network, IMAGES, LABELS, rng_seed=0)

    assert recovered is network
    assert not recovered.training
    assert torch.equal(states(network)["linear.weight"], before["linear.weight"] / 2)
    assert custom_recovery(lambda *_: other, network, IMAGES, LABELS, rng_seed=0) is other


def test_the_users_function_draws_the_same_numbers_each_time() -> None:
    def noise(network: nn.Module, *_: torch.Tensor) -> None:
        network.linear.weight.data += torch.randn(1)  # type: ignore[operator,union-attr]

    state = torch.get_rng_state()
    first = states(custom_recovery(noise, tiny(), IMAGES, LABELS, rng_seed=0))

    assert torch.equal(torch.get_rng_state(), state)
    assert same(states(custom_recovery(noise, tiny(), IMAGES, LABELS, rng_seed=0)), first)
    assert not same(states(custom_recovery(noise, tiny(), IMAGES, LABELS, rng_seed=1)), first)


def fails(*_: object) -> None:
    raise ValueError("no money left")


def widens(network: nn.Module, *_: object) -> None:
    network.linear = nn.Linear(16, 11)


def drops(network: nn.Module, *_: object) -> None:
    network.bn1 = nn.Identity()


def breaks(network: nn.Module, *_: object) -> None:
    network.linear.weight.data[0] = np.nan  # type: ignore[operator,union-attr,index]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (fails, "the function 'fails' raised ValueError: no money left"),
        (widens, r"'widens' changed 'linear.weight' from \(10, 16\) of float32 on cpu to \(11, 16\) "),
        (drops, r"'drops' changed 'bn1.weight' from \(8,\) of float32 on cpu to nothing"),
        (breaks, "'breaks' left values in 'linear.weight' that are not finite"),
        (lambda *_: 3, "returned a int; return None or the network"),
    ],
)
def test_the_users_function_is_named_when_it_fails(function: object, message: str) -> None:
    with pytest.raises(CompressionError, match=message):
        custom_recovery(function, tiny(), IMAGES, LABELS, rng_seed=0)  # type: ignore[arg-type]
