"""Residual branches are found by what the forward pass does, whatever it is called, and can really go."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from moco.compression.channels.branch_removal import fault, leave_out_, leaving_out, with_zeros
from moco.compression.channels.branches import Branches, residual_branches
from moco.compression.counting import count
from moco.models import build_model
from moco.models.training import seeded_torch
from moco.testing.network import state_of
from tests.compression.toys import Chain, ConvNeXtBlock, Preactivated, Transformer, images, made, seeded


def branches_of(network: nn.Module, side: int = 16) -> Branches:
    return residual_branches(network.eval(), images(2, 3, side), count(network, (3, side, side)))


def names(network: nn.Module, side: int = 16) -> list[str]:
    found = branches_of(network, side)
    assert found.left_out == {}
    return [branch.name for branch in found.all]


@pytest.mark.parametrize(("depth", "blocks"), [(20, 3), (56, 9)])
def test_those_of_a_cifar_resnet_are_its_blocks_but_those_with_pads(depth: int, blocks: int) -> None:
    found = branches_of(build_model(f"cifar_resnet{depth}"))
    expected = [f"layer{stage}.{block}" for stage in (1, 2, 3) for block in range(blocks) if (stage, block) != (2, 0)]
    expected.remove("layer3.0")
    assert [branch.name for branch in found.all] == expected
    assert found.all[0].layers == ("layer1.0.conv1", "layer1.0.conv2")
    assert found.all[0].removed == ("layer1.0.conv1", "layer1.0.bn1", "layer1.0.conv2", "layer1.0.bn2")


def test_those_of_mobilenet_v2_are_its_blocks_without_stride() -> None:
    expected = [f"features.{n}.conv" for n in (3, 5, 6, 8, 9, 10, 12, 13, 15, 16)]
    assert names(seeded("mobilenet_v2", width_mult=0.5), 32) == expected


def test_those_of_a_vision_transformer_are_attention_and_mlp() -> None:
    assert names(made(Transformer)) == [f"blocks.{n}.{part}" for n in range(2) for part in ("attention", "mlp")]


def test_that_of_a_convnext_takes_the_layer_scale_with_it() -> None:
    network = made(Chain, ConvNeXtBlock(8))
    (branch,) = branches_of(network).all
    assert (branch.name, branch.layers) == ("middle", ("middle.depthwise", "middle.pointwise.0", "middle.pointwise.2"))
    assert set(branch.removed) == {f"middle.{part}" for part in ("depthwise", "norm", "pointwise", "layer_scale")}
    leave_out_(network, [branch.removal])
    assert not [name for name, _ in network.named_parameters() if name.startswith("middle.")]


def test_that_of_a_preactivated_block_begins_with_its_norm() -> None:
    (branch,) = branches_of(made(Chain, Preactivated(8))).all
    assert set(branch.removed) == {f"middle.{part}" for part in ("norm1", "conv1", "norm2", "conv2")}


class Sum(nn.Module):
    """A stem, then a sum written in one of many ways, and a head."""

    def __init__(self, add: Callable[[Sum, Tensor], Tensor]) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 4, 1), nn.Linear(4, 5)
        self.one, self.two = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.scale = nn.Parameter(torch.full((4, 1, 1), 0.5))
        self.inner = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.add = add

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.add(self, torch.relu(self.stem(x))).mean((2, 3)))


def in_place(network: Sum, x: Tensor) -> Tensor:
    y = network.one(x)
    y += x
    return y


def onto_the_stream(network: Sum, x: Tensor) -> Tensor:
    x += network.scale * network.one(x)
    return x


def nested(network: Sum, x: Tensor) -> Tensor:
    y = network.one(x)
    return x + network.two(y + network.inner(y))


def rectified_first(network: Sum, x: Tensor) -> Tensor:
    x = network.two(x).relu_()
    return torch.add(x.clone(), network.inner(x))


def functional(network: Sum, x: Tensor) -> Tensor:
    return nn.functional.conv2d(x, network.one.weight, padding=1) + x


def read_elsewhere(network: Sum, x: Tensor) -> Tensor:
    y = network.one(x)
    return (x + y) * y.mean()


def from_elsewhere(network: Sum, x: Tensor) -> Tensor:
    return x + network.one(x) * network.two(x.detach() * 2 + 0).mean() if network.training else x * 2 + network.one(x)


def gated(network: Sum, x: Tensor) -> Tensor:
    return x + network.one(x) if float(network.one(x).mean()) > -1e9 else x


@pytest.mark.parametrize(
    ("add", "expected"),
    [
        (in_place, {"one": ("one",)}),
        (onto_the_stream, {"one": ("one", "scale")}),
        (nested, {"inner": ("inner",)}),
        (rectified_first, {"inner": ("inner",)}),
        (read_elsewhere, {}),
        (from_elsewhere, {}),
    ],
)
def test_however_a_sum_is_written(add: Callable[[Sum, Tensor], Tensor], expected: dict[str, tuple[str, ...]]) -> None:
    with seeded_torch(0):
        network = Sum(add).eval()
    found = branches_of(network)
    assert {branch.name: branch.removed for branch in found.all} == expected


@pytest.mark.parametrize("add", [functional, gated])
def test_one_that_cannot_be_left_out_is_told_with_its_reason(add: Callable[[Sum, Tensor], Tensor]) -> None:
    found = branches_of(Sum(add))
    assert found.all == ()
    assert all("\n" not in reason for reason in found.left_out.values())


def test_modules_that_are_also_used_elsewhere_stay() -> None:
    def twice(network: Sum, x: Tensor) -> Tensor:
        return x + network.one(network.one(x).detach() if network.training else x) + network.two(network.one(x))

    found = branches_of(Sum(twice))
    assert found.all == ()


def test_a_network_is_left_as_it_was() -> None:
    network = Sum(onto_the_stream).eval()
    before, order = state_of(network), [name for name, _ in network.named_parameters()]
    found = branches_of(network)
    with leaving_out(network, [found.all[0].removal]):
        assert [name for name, _ in network.named_parameters()] != order
    assert state_of(network) == before
    assert [name for name, _ in network.named_parameters()] == order


@torch.no_grad()
def test_a_wrong_removal_is_found_out() -> None:
    network = build_model("cifar_resnet20").eval()
    found = branches_of(network)
    first, second = (branch.removal for branch in found.all[:2])
    assert fault(network, images(2, 3, 16), [first]) is None
    wrong = type(first)(first.number, first.side, second.modules)
    assert "differ" in str(fault(network, images(2, 3, 16), [wrong]))
    assert not torch.equal(with_zeros(network, images(2, 3, 16), [first]), network(images(2, 3, 16)))
