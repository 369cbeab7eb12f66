"""Layers replaced by their factors: what they compute, what they keep of the original, and what stays untouched."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import nn

from moco.compression.compressor import Compressor
from moco.compression.counting import count
from moco.compression.methods.low_rank import (
    FactorCache,
    SvdRank,
    TuckerFactors,
    TuckerRanks,
    factorise_,
    factorised_parameters,
    svd_rank,
    tucker_ranks,
)
from moco.errors import CompressionError
from tests.compression.toys import images, seeded, tiny


def convolution(**options: object) -> nn.Conv2d:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Conv2d(6, 8, **options)  # type: ignore[arg-type]


def factorised(network: nn.Module, settings: Mapping[str, TuckerRanks | SvdRank]) -> nn.Module:
    copied = copy.deepcopy(network)
    factorise_(copied, settings, FactorCache(network))
    return copied


@torch.no_grad()
def outputs(network: nn.Module, batch: torch.Tensor) -> torch.Tensor:
    logits: torch.Tensor = network(batch)
    return logits


GEOMETRIES: list[dict[str, object]] = [
    {"kernel_size": 3},
    {"kernel_size": 3, "stride": 2, "padding": 1, "bias": False},
    {"kernel_size": (1, 5), "stride": (2, 1), "padding": (0, 2), "dilation": (1, 2)},
    {"kernel_size": 3, "padding": "same"},
    {"kernel_size": 3, "padding": 2, "padding_mode": "reflect"},
    {"kernel_size": 1, "stride": 2, "padding": 1},
]


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_a_tucker_convolution_computes_the_convolution_of_the_rebuilt_weight(geometry: dict[str, object]) -> None:
    layer, batch = convolution(**geometry), images(2, 6, 9)
    got = factorised(nn.Sequential(layer), {"0": TuckerRanks(4, 5)})
    first, core, last = (factor.weight.detach() for factor in got[0])
    rebuilt = copy.deepcopy(layer)
    rebuilt.weight.data = torch.einsum("op,pqhw,qi->oihw", last[:, :, 0, 0], core, first[:, :, 0, 0])

    assert not torch.allclose(rebuilt.weight, layer.weight, atol=1e-2)
    torch.testing.assert_close(outputs(got, batch), outputs(rebuilt, batch), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("bias", [True, False])
def test_an_svd_convolution_computes_the_convolution_of_the_rebuilt_weight(
    stride: int, padding: int, bias: bool
) -> None:
    layer, batch = convolution(kernel_size=1, stride=stride, padding=padding, bias=bias), images(2, 6, 9)
    got = factorised(nn.Sequential(layer), {"0": SvdRank(3)})
    rebuilt = copy.deepcopy(layer)
    rebuilt.weight.data = (got[0][1].weight.flatten(1) @ got[0][0].weight.flatten(1))[:, :, None, None].detach()

    assert got[0][0].stride == (stride, stride)  # the first computes no position that the second would throw away
    torch.testing.assert_close(outputs(got, batch), outputs(rebuilt, batch), rtol=1e-4, atol=1e-5)


def test_an_svd_linear_layer_computes_the_layer_of_the_rebuilt_weight() -> None:
    layer, batch = nn.Linear(12, 7), images(2, 3, 12)
    got = factorised(nn.Sequential(layer), {"0": SvdRank(3)})
    weight = got[0][1].weight @ got[0][0].weight

    torch.testing.assert_close(outputs(got, batch), batch @ weight.T.detach() + layer.bias.detach())


@pytest.mark.parametrize(
    ("layer", "light", "heavy"),
    [
        ("layer1.0.conv2", TuckerRanks(7, 8), TuckerRanks(1, 2)),
        ("layer2.0.conv1", TuckerRanks(8, 15), TuckerRanks(1, 1)),
        ("linear", SvdRank(9), SvdRank(1)),
    ],
)
def test_nearly_full_ranks_compute_nearly_the_same(
    layer: str, light: TuckerRanks | SvdRank, heavy: TuckerRanks | SvdRank
) -> None:
    network, batch = tiny(), images(4, 1, 8)
    wanted = outputs(network, batch)
    near, far = (float((outputs(factorised(network, {layer: s}), batch) - wanted).norm()) for s in (light, heavy))

    assert 0 < 2 * near < far


def test_layers_are_named_by_place_and_the_middle_one_keeps_the_geometry() -> None:
    network = seeded("cifar_resnet20")
    got = factorised(network, {"layer2.0.conv1": TuckerRanks(8, 16), "linear": SvdRank(4)})
    modules = dict(got.named_modules())
    first, core, last = (modules[f"layer2.0.conv1.{index}"] for index in range(3))

    assert (core.kernel_size, core.stride, core.padding) == ((3, 3), (2, 2), (1, 1))
    assert all((m.kernel_size, m.stride, m.padding) == ((1, 1), (1, 1), (0, 0)) for m in (first, last))
    assert [(m.in_channels, m.out_channels) for m in (first, core, last)] == [(16, 8), (8, 16), (16, 32)]
    assert [(modules[f"linear.{i}"].in_features, modules[f"linear.{i}"].out_features) for i in (0, 1)] == [
        (64, 4), (4, 10),
    ]  # fmt: skip
    assert (modules["linear.0"].bias, modules["linear.1"].bias is None) == (None, False)


def test_everything_outside_the_named_layers_stays_bit_equal() -> None:
    network = tiny()
    got = factorised(network, {"layer1.0.conv1": TuckerRanks(4, 4)}).state_dict()
    kept = {name: tensor for name, tensor in network.state_dict().items() if name != "layer1.0.conv1.weight"}

    assert all(torch.equal(got[name], tensor) for name, tensor in kept.items())
    assert set(got) - set(kept) == {f"layer1.0.conv1.{index}.weight" for index in range(3)}


def test_full_ranks_leave_the_very_layer() -> None:
    network = tiny()
    layers = {name: network.get_submodule(name) for name in ("layer1.0.conv1", "linear")}
    factorise_(network, {"layer1.0.conv1": tucker_ranks(1, 8, 8), "linear": svd_rank(1, 16, 10)}, FactorCache(network))

    assert all(network.get_submodule(name) is layer for name, layer in layers.items())


def test_a_cached_and_a_fresh_factorisation_give_the_same_bits() -> None:
    network = tiny()
    cache = FactorCache(network)
    for ranks in (TuckerRanks(2, 2), TuckerRanks(4, 6)):
        cached, fresh = copy.deepcopy(network), copy.deepcopy(network)
        factorise_(cached, {"layer2.0.conv1": ranks}, cache)
        factorise_(fresh, {"layer2.0.conv1": ranks}, FactorCache(network))

        assert all(torch.equal(a, b) for a, b in zip(cached.parameters(), fresh.parameters(), strict=True))


def test_a_pruned_layer_is_factorised_from_its_pruned_weight() -> None:
    network, batch = tiny(), images(3, 1, 8)
    compressor, cache = Compressor.of(network, batch), FactorCache(network)
    thin = compressor.graph.thin(network, {"layer1.0.conv1": np.array([0, 2, 3, 6, 7])})
    wanted = outputs(thin, batch)
    cache.factors(TuckerFactors, "layer1.0.conv2", network.get_submodule("layer1.0.conv2").weight)
    factorise_(thin, {"layer1.0.conv2": TuckerRanks(4, 8)}, cache)  # reads 5 of 8 channels
    factors = thin.get_submodule("layer1.0.conv2")

    assert tuple(factors[0].weight.shape) == (4, 5, 1, 1)  # type: ignore[index]
    assert float((outputs(thin, batch) - wanted).abs().max()) < 0.3 * float(wanted.std())


def test_a_layer_that_pruning_left_few_channels_is_still_factorised() -> None:
    network, batch = tiny(), images(3, 1, 8)
    thin = Compressor.of(network, batch).graph.thin(network, {"layer1.0.conv1": np.array([1, 4])})
    factorise_(thin, {"layer1.0.conv2": TuckerRanks(2, 5)}, FactorCache(network))

    assert count(thin, (1, 8, 8)).macs < count(network, (1, 8, 8)).macs


def test_counts_are_those_of_the_rule() -> None:
    network = seeded("cifar_resnet20")
    settings = {"layer1.0.conv1": TuckerRanks(5, 7), "layer3.0.conv1": TuckerRanks(10, 20), "linear": SvdRank(3)}
    before, after = count(network, (3, 32, 32)), count(factorised(network, settings), (3, 32, 32))
    saved = sum(
        network.get_submodule(name).weight.numel()  # type: ignore[union-attr, operator]
        - factorised_parameters(tuple(network.get_submodule(name).weight.shape), setting)  # type: ignore[union-attr, arg-type]
        for name, setting in settings.items()
    )

    assert before.parameters - after.parameters == saved
    # By hand: at 32x32 16 -> 5 -> 7 -> 16; then 32 -> 10 at 16x16, 10 -> 20 -> 64 at 8x8; then 64 -> 3 -> 10.
    hand = 1024 * (80 + 315 + 112) + 256 * 320 + 64 * (1800 + 1280) + 192 + 30
    gone = 1024 * 2304 + 64 * 18432 + 640
    assert after.macs - before.macs == hand - gone


def test_the_global_generator_and_flags_are_left_alone() -> None:
    network = tiny().train()
    network.get_submodule("layer1.0.conv1").requires_grad_(False)
    state = torch.get_rng_state()
    got = factorised(network, {"layer1.0.conv1": TuckerRanks(4, 4), "layer2.0.conv1": TuckerRanks(4, 4)})

    assert torch.equal(torch.get_rng_state(), state)
    assert all(not p.requires_grad for p in got.get_submodule("layer1.0.conv1").parameters())
    assert all(p.requires_grad and p.is_leaf for p in got.get_submodule("layer2.0.conv1").parameters())
    assert all(module.training for module in got.modules())


def test_factorised_layers_can_be_trained() -> None:
    network = factorised(tiny(), {"layer1.0.conv1": TuckerRanks(4, 4), "linear": SvdRank(3)})
    network(images(2, 1, 8)).square().sum().backward()

    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"layer1.0.conv9": TuckerRanks(2, 2)}, r"no layer 'layer1.0.conv9'; did you mean 'layer1.0.conv\d'"),
        ({"layer1.0.bn1": TuckerRanks(2, 2)}, "no layer 'layer1.0.bn1'"),
        ({"linear": TuckerRanks(2, 2)}, "'linear' cannot be factorised: it is a linear layer"),
        ({"layer1.0.conv1": SvdRank(2)}, "'layer1.0.conv1' cannot be factorised: its kernel is 3x3"),
        ({"layer1.0.conv1": TuckerRanks(9, 2)}, "'layer1.0.conv1' is 8 -> 8 channels: expected ranks .* got 9 and 2"),
        ({"layer1.0.conv1": TuckerRanks(0, 2)}, "'layer1.0.conv1' is 8 -> 8 channels"),
        ({"linear": SvdRank(11)}, "'linear' is 16 -> 10 channels: expected a rank from 1 to 10, got 11"),
    ],
)
def test_a_setting_that_does_not_fit_names_the_layer_and_changes_nothing(
    settings: dict[str, TuckerRanks | SvdRank], text: str
) -> None:
    network = tiny()
    before = [name for name, _ in network.named_modules()]
    with pytest.raises(CompressionError, match=text):
        factorise_(network, {"layer2.0.conv1": TuckerRanks(2, 2), **settings}, FactorCache(network))

    assert [name for name, _ in network.named_modules()] == before


def test_a_weight_that_is_not_finite_names_the_layer_and_changes_nothing() -> None:
    network = tiny()
    network.get_submodule("layer2.0.conv1").weight.data[0] = torch.inf  # type: ignore[union-attr, index]
    with pytest.raises(CompressionError, match=r"'layer2.0.conv1': .*not finite"):
        factorise_(network, {"linear": SvdRank(2), "layer2.0.conv1": TuckerRanks(2, 2)}, FactorCache(network))
    assert isinstance(network.get_submodule("linear"), nn.Linear)
