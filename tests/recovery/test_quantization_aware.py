"""Quantization-aware training: the exported layer's numbers, and a gradient for every weight behind them (W31)."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from onnx import numpy_helper
from torch import nn
from torch.nn.utils import parametrize

from moco.compression.precision import Bits
from moco.data import DataSets, load_data
from moco.errors import CompressionError
from moco.export.bits import Scale, highest_weight_code, weight_codes, weight_scales
from moco.export.calibration import calibrate, open_session, outputs
from moco.export.folding import foldable_pairs
from moco.export.quantize import observed_tensors, quantizable_layers, quantize
from moco.export.template import build_template
from moco.models import build_model, train
from moco.models.training import BatchLoss, TrainingPlan
from moco.recovery.descent import Tuned, descend_
from moco.recovery.distillation import teacher_loss
from moco.recovery.fine_tuning import label_loss
from moco.recovery.quantization_aware import (
    FakeQuantization,
    fake_quantized_activation,
    fake_quantized_weight,
    quantization_aware,
)
from moco.recovery.teacher import Teacher
from moco.recovery.training_plan import FineTuningOptions
from tests.compression.toys import images, seeded, tiny

IMAGES = images(64, 1, 8)
LABELS = torch.arange(64) % 10
PLAN = FineTuningOptions(learning_rate=0.01, batch_size=16, epochs=1, schedule="constant")
BITS = range(1, 9)


def tune_(
    quantization: FakeQuantization, images: torch.Tensor, loss: BatchLoss, plan: FineTuningOptions, *, rng_seed: int
) -> Tuned:
    return descend_(quantization.network, images, loss, plan, rng_seed=rng_seed, on_epoch=quantization.calibrate)


def layers(network: nn.Module) -> dict[str, nn.Conv2d | nn.Linear]:
    return {name: module for name, module in network.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)}


def all_in(bits: Bits, network: nn.Module) -> dict[str, Bits]:
    return dict.fromkeys(layers(network), bits)


def states(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


# ---- the numbers


@pytest.mark.parametrize("bits", BITS)
def test_weights_are_the_exported_codes_times_their_scales(bits: int) -> None:
    weights = torch.randn(12, 7, 3, 3, generator=torch.Generator().manual_seed(bits))
    weights[3] = 0
    scales = weight_scales(weights.numpy(), bits, None, 1.0)
    wanted = weight_codes(weights.numpy(), bits, scales) * scales[:, None, None, None]
    got = fake_quantized_weight(weights, bits)

    torch.testing.assert_close(got, torch.from_numpy(wanted), rtol=1e-6, atol=0)
    assert all(len(channel.unique()) <= 2**bits for channel in got)
    assert (got[3] == 0).all()


@pytest.mark.parametrize("bits", BITS)
def test_activations_are_the_exported_codes_times_their_scale(bits: int) -> None:
    values = torch.randn(20_000, generator=torch.Generator().manual_seed(bits)) * 3
    scale = Scale.of(-1.3, 4.1, bits)
    wanted = scale.values(scale.codes(values.numpy()))
    got = fake_quantized_activation(values, scale)

    assert torch.equal(got, torch.from_numpy(wanted))
    assert len(got.unique()) <= 2**bits
    assert fake_quantized_activation(torch.zeros(1), scale) == 0


@pytest.mark.parametrize("bits", range(2, 9))
def test_within_the_range_no_value_moves_by_more_than_half_a_step(bits: int) -> None:
    weights = torch.randn(5, 40, generator=torch.Generator().manual_seed(bits))
    steps = weights.abs().amax(1, keepdim=True) / highest_weight_code(bits)
    assert ((fake_quantized_weight(weights, bits) - weights).abs() <= 0.5001 * steps).all()

    scale = Scale.of(0.0, 2.0, bits)
    values = torch.linspace(0, 2, 1000)
    assert float((fake_quantized_activation(values, scale) - values).abs().max()) <= 0.5001 * scale.scale


def test_a_batch_norm_behind_a_layer_does_not_change_its_codes() -> None:
    weights = torch.randn(6, 5, 3, 3, generator=torch.Generator().manual_seed(0))
    gains = torch.tensor([0.5, -2.0, 0.1, 3.0, -0.01, 1.0])[:, None, None, None]
    for bits in range(2, 9):
        torch.testing.assert_close(
            fake_quantized_weight(weights * gains, bits), gains * fake_quantized_weight(weights, bits)
        )


@pytest.mark.slow  # an export takes seconds
def test_the_shown_weights_are_those_of_the_exported_file() -> None:
    network = tiny()
    template = build_template(network, IMAGES[:2])
    proto = template.render(network)
    names = quantizable_layers(proto)
    ranges = calibrate(proto, observed_tensors(proto, names), IMAGES.numpy()).ranges
    stored = {i.name: numpy_helper.to_array(i) for i in quantize(proto, names, ranges).graph.initializer}
    norms = {pair.layer: network.get_submodule(pair.batch_norm) for pair in foldable_pairs(network, IMAGES[:2])}
    with quantization_aware(network, all_in(Bits(8, 8), network), IMAGES) as quantization:
        for name, layer in layers(network).items():
            shown, gain = layer.weight.detach(), torch.ones(len(layer.weight))
            if name in norms:
                gain = (norms[name].weight / (norms[name].running_var + norms[name].eps).sqrt()).detach()
            codes, scales = stored[f"{name}.weight_q"], stored[f"{name}.weight_s"]
            folded = shown * gain.reshape(-1, *[1] * (shown.dim() - 1))
            exported = torch.from_numpy(codes * scales.reshape(-1, *[1] * (codes.ndim - 1)))
            torch.testing.assert_close(folded, exported, rtol=1e-4, atol=1e-6)
        assert quantization.ranges()["conv1"] == pytest.approx(ranges["input"], rel=1e-6)


# ---- the gradients


def test_a_weights_gradient_is_that_of_the_number_it_is_shown_as() -> None:
    weights = torch.randn(3, 4, requires_grad=True)
    upstream = torch.arange(12.0).reshape(3, 4)
    (fake_quantized_weight(weights, 2) * upstream).sum().backward()

    assert weights.grad is not None
    assert torch.equal(weights.grad, upstream)


def test_a_gradient_passes_an_activation_only_where_it_was_not_clipped() -> None:
    values = torch.tensor([-2.0, -0.9, 0.0, 1.9, 2.5], requires_grad=True)
    fake_quantized_activation(values, Scale.of(-1.0, 2.0, 4)).sum().backward()

    assert values.grad is not None
    assert values.grad.tolist() == [0, 1, 1, 1, 0]


@pytest.mark.parametrize("bits", [Bits(8, 8), Bits(4, 4), Bits(2, 3), Bits(1, 1)])
def test_every_quantized_weight_has_a_gradient_and_moves_within_an_epoch(bits: Bits) -> None:
    network = tiny()
    before = states(network)
    norms: dict[str, float] = {}
    with quantization_aware(network, all_in(bits, network), IMAGES) as quantization:
        nn.functional.cross_entropy(network(IMAGES), LABELS).backward()
        for name, layer in layers(network).items():
            gradient = layer.parametrizations.weight.original.grad  # type: ignore[union-attr]
            norms[name] = float(gradient.norm())
        tune_(quantization, IMAGES, label_loss(LABELS), PLAN, rng_seed=0)

    assert len(norms) == 10
    assert min(norms.values()) > 0
    for name, layer in layers(network).items():
        assert not torch.equal(before[f"{name}.weight"], layer.weight), name


# ---- the network before, meanwhile and afterwards


def test_without_training_the_network_comes_back_bit_equal() -> None:
    network = tiny()
    before, plain = states(network), [type(module) for module in network.modules()]
    with quantization_aware(network, all_in(Bits(4, 4), network), IMAGES):
        assert type(network.conv1) is not nn.Conv2d
        coarse = network(IMAGES).detach()

    assert states(network).keys() == before.keys()
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert [type(module) for module in network.modules()] == plain
    assert not any(parametrize.is_parametrized(m) or m._forward_pre_hooks for m in network.modules())
    assert isinstance(network.conv1.weight, nn.Parameter)
    assert not torch.allclose(coarse, network(IMAGES), atol=1e-3)


@pytest.mark.slow  # an export takes seconds
def test_after_training_the_network_is_plain_and_can_be_copied_and_exported() -> None:
    network = tiny()
    with quantization_aware(network, all_in(Bits(8, 8), network), IMAGES) as quantization:
        tune_(quantization, IMAGES, label_loss(LABELS), PLAN, rng_seed=0)
    template = build_template(network, IMAGES[:2])
    logits = outputs(open_session(template.render(copy.deepcopy(network))), IMAGES.numpy())[0]

    torch.testing.assert_close(torch.from_numpy(logits), network(IMAGES).detach(), rtol=1e-3, atol=1e-3)
    assert not any(module.training for module in network.modules())


def test_only_the_named_layers_compute_with_codes() -> None:
    network = tiny()
    with quantization_aware(network, {"layer1.0.conv1": Bits(3, 8)}, IMAGES):
        assert len(network.layer1[0].conv1.weight[0].unique()) <= 8
        assert not parametrize.is_parametrized(network.layer1[0].conv2)


def test_32_bits_leave_a_layer_in_float() -> None:
    network = tiny()
    with quantization_aware(network, {"conv1": Bits(32, 32), "linear": Bits(4, 8)}, IMAGES) as quantization:
        assert not parametrize.is_parametrized(network.conv1)
        assert set(quantization.weights) == set(quantization.inputs) == {"linear"}


@pytest.mark.parametrize("frozen", [True, False])
def test_batch_norm_statistics_are_frozen_where_the_plan_says_so(frozen: bool) -> None:
    network = tiny()
    before = states(network)
    with quantization_aware(network, all_in(Bits(8, 8), network), IMAGES) as quantization:
        tune_(quantization, IMAGES, label_loss(LABELS), replace(PLAN, frozen_batch_norm=frozen), rng_seed=0)
    running = [name for name in before if "running" in name]

    assert running
    assert all(torch.equal(before[name], network.state_dict()[name]) is frozen for name in running)


def test_ranges_are_those_of_the_float_network_and_follow_it() -> None:
    network = tiny()
    seen: list[torch.Tensor] = []
    handle = network.layer2[0].conv1.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network(IMAGES)
    handle.remove()
    with quantization_aware(network, all_in(Bits(1, 1), network), IMAGES) as quantization:
        low, high = quantization.ranges()["layer2.0.conv1"]
        tune_(quantization, IMAGES, label_loss(LABELS), PLAN, rng_seed=0)
        after = quantization.ranges()["layer2.0.conv1"]

    assert (low, high) == pytest.approx((float(seen[0].detach().min()), float(seen[0].detach().max())), rel=1e-5)
    assert after != (low, high)


def test_weights_that_are_zero_stay_zero() -> None:
    network = tiny()
    network.layer1[0].conv2.weight.data[:, ::2] = 0
    with quantization_aware(network, all_in(Bits(4, 4), network), IMAGES) as quantization:
        tune_(quantization, IMAGES, label_loss(LABELS), PLAN, rng_seed=0)

    assert (network.layer1[0].conv2.weight[:, ::2] == 0).all()
    assert (network.layer1[0].conv2.weight[:, 1::2] != 0).all()


def test_a_seed_gives_the_same_network() -> None:
    found = []
    for _ in range(2):
        network = tiny()
        with quantization_aware(network, all_in(Bits(4, 4), network), IMAGES) as quantization:
            tune_(quantization, IMAGES, label_loss(LABELS), PLAN, rng_seed=5)
        found.append(states(network))

    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_a_depthwise_network_is_trained_too() -> None:
    network = seeded("mobilenet_v2", num_classes=10)
    read = images(4, 3, 32)
    bits = all_in(Bits(4, 8), network)
    with quantization_aware(network, bits, read):
        nn.functional.cross_entropy(network(read), torch.arange(4)).backward()
        gradients = [layer.parametrizations.weight.original.grad for layer in layers(network).values()]  # type: ignore[union-attr]

    assert all(float(gradient.norm()) > 0 for gradient in gradients)


def test_a_teacher_may_give_the_loss() -> None:
    network, teacher = tiny(), tiny()
    with quantization_aware(network, all_in(Bits(2, 4), network), IMAGES) as quantization:
        loss = teacher_loss(Teacher(teacher, IMAGES), None)
        plan = FineTuningOptions(learning_rate=0.01, batch_size=16, epochs=10)
        losses = tune_(quantization, IMAGES, loss, plan, rng_seed=0).losses

    assert losses[-1] < losses[0]


def test_a_layer_that_cannot_be_quantized_is_named_and_the_network_left_alone() -> None:
    network = tiny()
    with (
        pytest.raises(CompressionError, match="'bn1' is a BatchNorm2d; expected a convolution or a linear layer"),
        quantization_aware(network, {"conv1": Bits(8, 8), "bn1": Bits(8, 8)}, IMAGES),
    ):
        pass
    with (
        pytest.raises(CompressionError, match="'conv9' is no layer of the network"),
        quantization_aware(network, {"conv9": Bits(8, 8)}, IMAGES),
    ):
        pass
    broken = torch.full_like(IMAGES, float("nan"))
    with (
        pytest.raises(CompressionError, match=r"layer 'conv1' reads values from .* check that the network uses it"),
        quantization_aware(network, {"conv1": Bits(8, 8)}, broken),
    ):
        pass
    assert not parametrize.is_parametrized(network.conv1)
    assert not network.conv1._forward_pre_hooks


# ---- accuracy


@pytest.fixture(scope="module")
def digits() -> DataSets:
    return load_data("digits")


@pytest.fixture(scope="module")
def trained(digits: DataSets) -> nn.Module:
    network = build_model("digits_resnet")
    train(network, digits.train.images(), digits.train.labels, plan=TrainingPlan(epochs=5))
    return network


def file_accuracy(network: nn.Module, digits: DataSets) -> float:
    """Accuracy of the whole network in int8, as a file on its runtime."""
    calibration = digits.train.images(np.arange(256))
    proto = build_template(network, torch.from_numpy(calibration[:2])).render(network)
    names = quantizable_layers(proto)
    ranges = calibrate(proto, observed_tensors(proto, names), calibration).ranges
    logits = outputs(open_session(quantize(proto, names, ranges)), digits.test.images())[0]
    return float((logits.argmax(1) == digits.test.labels).mean())


def coarse_accuracy(network: nn.Module, digits: DataSets, bits: Bits, epochs: float | None) -> float:
    """Accuracy with all layers in codes, in torch, after so many epochs of training."""
    network = copy.deepcopy(network)
    train_images, labels = torch.from_numpy(digits.train.images()), torch.tensor(digits.train.labels)
    with quantization_aware(network, all_in(bits, network), train_images[:256]) as quantization:
        if epochs is not None:
            plan = FineTuningOptions(learning_rate=0.02, batch_size=32, epochs=epochs)
            tune_(quantization, train_images, label_loss(labels), plan, rng_seed=0)
            quantization.calibrate()
        with torch.no_grad():
            logits = network.eval()(torch.from_numpy(digits.test.images()))
    return float((logits.argmax(1).numpy() == digits.test.labels).mean())


@pytest.mark.slow
def test_int8_after_training_is_as_accurate_as_without(digits: DataSets, trained: nn.Module) -> None:
    network = copy.deepcopy(trained)
    train_images, labels = torch.from_numpy(digits.train.images()), torch.tensor(digits.train.labels)
    with quantization_aware(network, all_in(Bits(8, 8), network), train_images[:256]) as quantization:
        plan = FineTuningOptions(learning_rate=0.02, batch_size=32, epochs=3)
        tune_(quantization, train_images, label_loss(labels), plan, rng_seed=0)

    assert file_accuracy(network, digits) >= file_accuracy(trained, digits)


@pytest.mark.slow
def test_four_bits_are_learned(digits: DataSets, trained: nn.Module) -> None:
    before, after = (coarse_accuracy(trained, digits, Bits(4, 4), epochs) for epochs in (None, 3))

    assert after >= before + 0.02  # 0.944 and 0.987 were measured
