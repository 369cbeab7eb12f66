"""Exact counts against published numbers, hand counts and torch's own counter (W09)."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from moco.compression.counting import count
from moco.errors import CompressionError
from moco.models import build_model


class Toy(nn.Module):
    """Two uses of one convolution, a depthwise, a grouped one and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Conv2d(4, 4, 3, padding=1)
        self.bn = nn.BatchNorm2d(4)
        self.depthwise = nn.Conv2d(4, 8, 3, stride=2, padding=1, groups=4, bias=False)
        self.grouped = nn.Conv2d(8, 6, (1, 3), groups=2, bias=False)
        self.head = nn.Linear(6, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.bn(self.shared(self.shared(x)))
        return self.head(self.grouped(self.depthwise(x)).mean((2, 3)))


@pytest.mark.parametrize(
    ("name", "options", "macs", "parameters"),
    [
        ("cifar_resnet8", {"shortcut": "B"}, 12_501_632, 78_042),
        ("cifar_resnet14", {"shortcut": "B"}, 26_657_408, 175_258),
        ("cifar_resnet20", {"shortcut": "A"}, 40_551_040, 269_722),
        ("cifar_resnet20", {"shortcut": "B"}, 40_813_184, 272_474),
        ("cifar_resnet56", {"shortcut": "A"}, 125_485_696, 853_018),
        ("cifar_resnet56", {"shortcut": "B"}, 125_747_840, 855_770),
        ("cifar_resnet18", {}, 555_422_720, 11_173_962),
        # Parameters as a comparison of compression methods prints them; of 164 layers: He et al. 2016b, 1.7 M.
        ("cifar_preresnet110", {}, 167_430_656, 1_146_842),
        ("cifar_preresnet164", {}, 247_646_720, 1_703_258),
        # Li et al. 2017, table 1: 3.13e8 multiply-adds of VGG-16. Liu et al. 2017, table 1: 20.04 M parameters of
        # VGG-19 and 7.97e8 operations, two for each multiply-add.
        ("cifar_vgg16", {}, 313_201_664, 14_724_042),
        ("cifar_vgg19", {}, 398_136_320, 20_035_018),
        ("conv2_fc2", {}, 17_667_072, 2_156_490),
        # Parameters as torchvision's MobileNetV2 with as many classes has them.
        ("cifar_mobilenetv2", {}, 87_976_448, 2_236_682),
        ("cifar_mobilenetv2", {"width": 0.5}, 27_969_024, 700_490),
    ],
)
def test_cifar_networks_have_the_golden_counts(
    name: str, options: dict[str, object], macs: int, parameters: int
) -> None:
    counts = count(build_model(name, **options), (3, 32, 32))

    assert (counts.macs, counts.parameters) == (macs, parameters)
    assert counts.uncounted == ()


@pytest.mark.parametrize(
    ("name", "options", "macs", "parameters"),
    [
        # Layer by layer: 117,600 + 240,000 + 48,000 + 10,080 + 840.
        ("lenet5", {}, 416_520, 61_706),
        ("lenet5_caffe", {}, 4_586_000 // 2, 431_080),  # Han et al. 2015: 431 K parameters, 4,586 K operations
        ("conv2_fc2", {"in_channels": 1, "side": 28}, 12_273_152, 1_663_370),  # McMahan et al. 2017, section 3
    ],
)
def test_networks_of_two_convolutions_have_the_published_counts(
    name: str, options: dict[str, int], macs: int, parameters: int
) -> None:
    counts = count(build_model(name, **options), (1, 28, 28))

    assert (counts.macs, counts.parameters) == (macs, parameters)
    assert counts.uncounted == ()


@pytest.mark.parametrize(
    ("name", "macs", "parameters"),
    [
        ("resnet18", 1_814_073_344, 11_689_512),
        ("resnet50", 4_089_184_256, 25_557_032),
        ("mobilenet_v2", 300_774_272, 3_504_872),
    ],
)
def test_torchvision_networks_have_the_published_counts(name: str, macs: int, parameters: int) -> None:
    counts = count(build_model(name), (3, 224, 224))

    assert (counts.macs, counts.parameters) == (macs, parameters)


@pytest.mark.parametrize(("name", "side"), [("resnet50", 64), ("mobilenet_v2", 64), ("resnext50_32x4d", 64)])
def test_flops_equal_those_of_torchs_own_counter(name: str, side: int) -> None:
    network = build_model(name)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, side, side))

    assert 2 * count(network, (3, side, side)).macs == counter.get_total_flops()


def test_resnet20_macs_equal_the_count_by_hand() -> None:
    stem = 32 * 32 * 16 * 3 * 9
    first = 6 * (32 * 32 * 16 * 16 * 9)
    second = 16 * 16 * 32 * 16 * 9 + 5 * (16 * 16 * 32 * 32 * 9)
    third = 8 * 8 * 64 * 32 * 9 + 5 * (8 * 8 * 64 * 64 * 9)

    assert count(build_model("cifar_resnet20"), (3, 32, 32)).macs == stem + first + second + third + 64 * 10


def test_each_layer_is_described_in_forward_order() -> None:
    layers = count(Toy(), (4, 8, 8)).layers

    assert [layer.name for layer in layers] == ["shared", "shared", "depthwise", "grouped", "head"]
    assert [layer.kind for layer in layers] == ["conv", "conv", "depthwise", "grouped", "linear"]
    assert [layer.macs for layer in layers] == [64 * 144, 64 * 144, 16 * 8 * 9, 4 * 2 * 6 * 4 * 3, 30]
    assert [layer.parameters for layer in layers] == [148, 0, 72, 72, 35]
    grouped = layers[3]
    assert (grouped.kernel, grouped.groups, grouped.input_hw, grouped.output_hw) == ((1, 3), 2, (4, 4), (4, 2))
    assert layers[2].stride == (2, 2)


def test_shared_parameters_are_counted_once() -> None:
    assert count(Toy(), (4, 8, 8)).parameters == 148 + 8 + 72 + 72 + 35


@pytest.mark.parametrize("batch", [1, 7])
def test_the_batch_changes_nothing(batch: int) -> None:
    assert count(Toy(), (batch, 4, 8, 8)) == count(Toy(), (4, 8, 8))


def test_the_network_is_left_as_it_was() -> None:
    network = Toy().train()
    network.bn.eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}

    count(network, (4, 8, 8))

    assert network.training
    assert not network.bn.training
    assert not any(module._forward_hooks for module in network.modules())
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_an_image_that_does_not_fit_is_one_clear_error_and_leaves_no_hook() -> None:
    network = Toy()
    with pytest.raises(CompressionError, match=r"does not run on an image of shape \(3, 8, 8\)"):
        count(network, (3, 8, 8))

    assert not any(module._forward_hooks for module in network.modules())


def test_a_linear_layer_on_tokens_counts_every_token() -> None:
    network = nn.Sequential(nn.Flatten(2), nn.Linear(64, 10))

    assert count(network, (3, 8, 8)).macs == 3 * 64 * 10


def test_weights_outside_of_counted_layers_are_named() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
            self.head = nn.Linear(8, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = x.flatten(2).transpose(1, 2)
            return self.head(self.attention(x, x, x)[0].mean(1))

    assert count(Attention(), (8, 2, 2)).uncounted == ("attention", "attention.out_proj")


def test_a_transposed_convolution_is_counted_by_its_inputs() -> None:
    network = nn.Sequential(nn.ConvTranspose2d(3, 5, 4, stride=2, padding=1))
    counts = count(network, (3, 6, 7))
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, 6, 7))

    assert counts.layers[0].kind == "transposed"
    assert counts.layers[0].output_hw == (12, 14)
    assert counts.macs == 6 * 7 * 3 * 5 * 16
    assert 2 * counts.macs == counter.get_total_flops()
    assert counts.uncounted == ()
