"""Every seeded fault of a compression that was not done is found (W27)."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from moco.compression.channels.groups import channel_graph
from moco.compression.compressor import Compressor
from moco.compression.counting import count
from moco.compression.policy_settings import NEUTRAL
from moco.compression.verify import verify_file, verify_network, verify_parameters
from moco.errors import CompressionError
from moco.export.quantize import observed_tensors, quantize
from moco.export.template import Template, build_template
from moco.models.cifar_resnet import PadShortcut
from moco.policy import Policy
from tests.compression.toys import Chain, images, made, tiny
from tests.policies import policy_of

EXAMPLE = images(2, 1, 8)
COMPRESSOR = Compressor.of(tiny(), EXAMPLE)
WIDTHS = {"layer1.0.conv1": (5, 8), "layer2.1.conv1": (9, 16), "conv1": (6, 8)}
WIDTHS_LEFT = {name: width for name, (width, _) in WIDTHS.items()}
INT8 = ("layer1.0.conv1", "layer2.0.conv2", "linear")
POLICY = policy_of(WIDTHS, dict.fromkeys(INT8, "int8"))


@cache
def template() -> Template:
    return build_template(COMPRESSOR.network, EXAMPLE)


def file_of(policy: Policy, int8: tuple[str, ...]) -> onnx.ModelProto:
    proto = template().render(COMPRESSOR.compress(policy))
    return quantize(proto, int8, dict.fromkeys(observed_tensors(proto, int8), (-3.0, 3.0)))


@pytest.mark.slow
def test_what_was_asked_passes() -> None:
    kept = COMPRESSOR.kept(POLICY)
    verify_network(COMPRESSOR.graph.thin(COMPRESSOR.network, kept), COMPRESSOR.graph, kept)
    verify_file(file_of(POLICY, INT8), POLICY)
    verify_network(COMPRESSOR.network, COMPRESSOR.graph, {})
    verify_file(file_of(NEUTRAL, ()), NEUTRAL)


@pytest.mark.slow
def test_a_schedule_that_did_nothing_is_found() -> None:
    for name, (width, of) in WIDTHS.items():
        policy = policy_of({name: (width, of)}, {})
        with pytest.raises(CompressionError, match="was to have"):
            verify_network(COMPRESSOR.network, COMPRESSOR.graph, COMPRESSOR.kept(policy))
        with pytest.raises(CompressionError, match=f"'{name}' was to keep {width} filters, the file holds {of}"):
            verify_file(file_of(NEUTRAL, ()), policy)


def test_a_network_that_is_only_masked_is_found() -> None:
    kept = COMPRESSOR.kept(POLICY)
    network = copy.deepcopy(COMPRESSOR.network)
    for name, places in kept.items():
        gone = np.setdiff1d(np.arange(COMPRESSOR.graph.groups[name].channels), places)
        for layer in COMPRESSOR.graph.groups[name].producers:
            network.get_submodule(layer).weight.data[gone] = 0
    with pytest.raises(CompressionError, match="was not applied by real surgery"):
        verify_network(network, COMPRESSOR.graph, kept)
    masked = template().render(network)
    with pytest.raises(CompressionError, match="was to keep"):
        verify_file(masked, policy_of(WIDTHS, {}))


def one_more_output(network: nn.Module) -> None:
    network.layer1[0].conv1.weight = nn.Parameter(torch.zeros(6, *network.layer1[0].conv1.weight.shape[1:]))


def one_more_input(network: nn.Module) -> None:
    weight = network.layer2[1].conv2.weight
    network.layer2[1].conv2.weight = nn.Parameter(torch.zeros(len(weight), weight.shape[1] + 1, 3, 3))


def one_more_statistic(network: nn.Module) -> None:
    network.layer2[1].bn1.running_mean = torch.zeros(10)


def shortcut_not_rewired(network: nn.Module) -> None:
    shortcut = network.layer2[0].shortcut
    assert isinstance(shortcut, PadShortcut)
    shortcut.in_channels = 8


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (one_more_output, "'layer1.0.conv1' was to have 5 output channels, its tensors have 6"),
        (one_more_input, "'layer2.1.conv2' was to have 9 input channels, its tensors have 10"),
        (one_more_statistic, "'layer2.1.bn1' was to have 9 output channels, its tensors have 10"),
        (shortcut_not_rewired, "'layer2.0.shortcut' was to have 6 input channels, its tensors have 8"),
    ],
)
def test_a_module_with_one_channel_too_many_is_named(fault: Callable[[nn.Module], None], error: str) -> None:
    kept = COMPRESSOR.kept(POLICY)
    thin = COMPRESSOR.graph.thin(COMPRESSOR.network, kept)
    fault(thin)
    with pytest.raises(CompressionError, match=error):
        verify_network(thin, COMPRESSOR.graph, kept)


def test_parameters_that_the_policy_does_not_leave_are_found() -> None:
    thin, stated = COMPRESSOR.compress(POLICY), COMPRESSOR.costs.of(WIDTHS_LEFT)["parameters"]
    verify_parameters(thin, stated)
    thin.linear.bias = None
    with pytest.raises(CompressionError, match=rf"leaves {stated:,} parameters, the network has {stated - 10:,}"):
        verify_parameters(thin, stated)


@pytest.mark.parametrize("layer", INT8)
def test_an_int8_layer_that_was_left_float_is_named(layer: str) -> None:
    left = tuple(name for name in INT8 if name != layer)
    with pytest.raises(CompressionError, match=f"'{layer}' was to be int8, the file holds no integer codes"):
        verify_file(file_of(POLICY, left), POLICY)


@pytest.mark.parametrize("layer", ["conv1", "layer1.1.conv2"])
def test_a_float_layer_that_was_made_int8_is_named(layer: str) -> None:
    with pytest.raises(CompressionError, match=f"'{layer}' is int8 without being asked"):
        verify_file(file_of(POLICY, (*INT8, layer)), POLICY)


def test_codes_stored_as_floats_are_found() -> None:
    proto = file_of(POLICY, INT8)
    for tensor in proto.graph.initializer:
        if tensor.name == "linear.weight_q":
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))
    with pytest.raises(CompressionError, match="'linear' was to be int8"):
        verify_file(proto, POLICY)


def test_a_file_without_the_layer_is_found() -> None:
    with pytest.raises(CompressionError, match="the file holds no weight of 'absent'"):
        verify_file(file_of(NEUTRAL, ()), policy_of({"absent": (2, 4)}, {}))


def test_a_channel_that_stands_for_several_filters_is_checked_by_filters() -> None:
    network = made(Chain, nn.Conv2d(8, 12, 3, padding=1, groups=4), 8, 12)
    compressor, example = Compressor.of(network, images(2, side=8)), images(2, side=8)
    policy = policy_of({"stem": (3, 4)}, {})
    proto = build_template(network, example).render(compressor.compress(policy))

    verify_file(proto, policy, compressor.graph.filters())
    with pytest.raises(CompressionError, match="'stem' was to keep 4 filters, the file holds 6"):
        verify_file(proto, policy_of({"stem": (2, 4)}, {}), compressor.graph.filters())


class JoinedToWhole(nn.Module):
    """Two convolutions, concatenated, and a third one that has filters for all of their channels."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(3, 8, 1), nn.Conv2d(3, 8, 3, padding=1)
        self.whole, self.head = nn.Conv2d(3, 16, 1), nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        joined = torch.cat([self.left(x), self.right(x)], dim=1)
        return self.head(torch.relu(joined + self.whole(x)).mean((2, 3)))


def test_channels_are_counted_in_a_layer_that_has_all_of_them() -> None:
    """The first layer of the group has filters for the first half of its channels (timm's pnasnet5large)."""
    network, example = made(JoinedToWhole), images(2, side=8)
    compressor, policy = Compressor.of(network, example), policy_of({"left": (10, 16)}, {})
    proto = build_template(network, example).render(compressor.compress(policy))

    assert compressor.graph.filters() == {"left": ("whole", 1)}
    verify_file(proto, policy, compressor.graph.filters())
    with pytest.raises(CompressionError, match="'whole' was to keep 9 filters, the file holds 10"):
        verify_file(proto, policy_of({"left": (9, 16)}, {}), compressor.graph.filters())


@pytest.mark.parametrize("layer", ["middle", "stem"])
def test_a_transposed_or_grouped_layer_of_another_width_is_found(layer: str) -> None:
    middle = nn.ConvTranspose2d(8, 12, 4, 2, 1) if layer == "middle" else nn.Conv2d(8, 12, 3, padding=1, groups=4)
    network = made(Chain, middle, 8, 12)
    graph = channel_graph(network, images(2, side=8), count(network, (3, 8, 8)))
    kept = {layer: np.arange(2)}

    verify_network(graph.thin(network, kept), graph, kept)
    with pytest.raises(CompressionError, match=f"'{layer}' was to have"):
        verify_network(network, graph, kept)


@pytest.mark.parametrize("width", [10, 4])
def test_a_transposed_convolution_is_checked_by_its_outputs(width: int) -> None:
    network = made(Chain, nn.ConvTranspose2d(8, 12, 2, bias=False), 8, 12)
    compressor, example = Compressor.of(network, images(2, side=8)), images(2, side=8)
    policy = policy_of({"stem": (5, 8), "middle": (width, 12)}, {})
    proto = build_template(network, example).render(compressor.compress(policy))
    verify_file(proto, policy)

    with pytest.raises(CompressionError, match=rf"'middle' was to keep 5 filters, the file holds {width}"):
        verify_file(proto, policy_of({"middle": (5, 12)}, {}))
