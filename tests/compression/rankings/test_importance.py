"""Each ranking against the formula written out for one channel at a time, and against Torch-Pruning's numbers."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch_pruning
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch_pruning.pruner import importance as peers

from moco.compression.channels.groups import ChannelGraph, channel_graph
from moco.compression.collecting import CalibrationData
from moco.compression.counting import count
from moco.compression.methods.filter_pruning import rankings
from moco.compression.rankings.ranking import importances
from moco.errors import CompressionError
from tests.compression.toys import Chain, Concat, Shared, images, made, tiny


class CoupledConcat(nn.Module):
    """Two branches, concatenated and added to a third: the third gives all 20 channels, the two 8 and 12 of them."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Conv2d(3, 8, 3, padding=1)
        self.right = nn.Conv2d(3, 12, 1)
        self.all = nn.Conv2d(3, 20, 1)
        self.both = nn.Conv2d(20, 6, 3, padding=1)
        self.head = nn.Linear(6, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(torch.cat([self.left(x), self.right(x)], dim=1) + self.all(x))
        return self.head(torch.relu(self.both(x)).mean((2, 3)))


class Multiplied(nn.Module):
    """One half of a convolution's maps times the other: two filters stand for one channel."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, padding=1)
        self.last = nn.Conv2d(8, 6, 3, padding=1)
        self.head = nn.Linear(6, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        one, other = torch.relu(self.conv(x)).chunk(2, dim=1)
        return self.head(torch.relu(self.last(one * other)).mean((2, 3)))


class Flattened(nn.Module):
    """A convolution with its batch-norm, whose maps of 4x4 a linear layer reads, flattened."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.hidden = nn.Linear(6 * 16, 7)
        self.head = nn.Linear(7, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.hidden(torch.relu(self.norm(self.conv(x))).flatten(1))))


def graph_of(network: nn.Module, side: int = 8) -> ChannelGraph:
    channels = next(m.in_channels for m in network.modules() if isinstance(m, nn.Conv2d))
    return channel_graph(network, images(2, channels, side), count(network, (channels, side, side)))


def calibration(n: int, channels: int = 3, side: int = 8, classes: int = 5) -> CalibrationData:
    labels = torch.randint(classes, (n,), generator=torch.Generator().manual_seed(1))
    return CalibrationData(images(n, channels, side, seed=2), labels)


def relative(values: list[float]) -> np.ndarray:
    return np.array(values) / (sum(values) / len(values))


def filters(network: nn.Module, layer: str) -> list[list[float]]:
    return [f.flatten().tolist() for f in network.get_submodule(layer).weight.double()]


def l1(layer: list[list[float]]) -> list[float]:
    return [sum(abs(w) for w in f) for f in layer]


def l2(layer: list[list[float]]) -> list[float]:
    return [math.sqrt(sum(w * w for w in f)) for f in layer]


def distances(layer: list[list[float]]) -> list[float]:
    return [sum(math.dist(f, other) for other in layer) for f in layer]


@pytest.mark.parametrize(("name", "of"), [("l1", l1), ("l2", l2), ("geometric_median", distances)])
def test_filters_of_coupled_layers_are_scored_as_written_out(name: str, of: Callable[..., list[float]]) -> None:
    network = tiny("B")
    found = importances(network, graph_of(network), name)

    stream = ("conv1", "layer1.0.conv2", "layer1.1.conv2")
    expected = np.sum([relative(of(filters(network, layer))) for layer in stream], axis=0)
    np.testing.assert_allclose(found["conv1"], expected, rtol=1e-9)
    np.testing.assert_allclose(found["layer2.0.conv1"], relative(of(filters(network, "layer2.0.conv1"))), rtol=1e-9)


def test_hand_set_filters_have_the_distances_of_the_plane() -> None:
    network = made(Flattened)
    corners = [(0, 0), (4, 0), (0, 3), (4, 3), (2, 1.5), (2, 1.5)]  # the last two are the geometric median
    network.conv.weight.data.zero_()
    network.conv.weight.data[:, 0, 0, :2] = torch.tensor(corners)
    found = importances(network, graph_of(network, 4), "geometric_median")["conv"]

    corner, middle = 3 + 4 + 5 + 2 * 2.5, 4 * 2.5
    np.testing.assert_allclose(found, relative([corner] * 4 + [middle] * 2), rtol=1e-6)
    assert found[4] == found[5]


def test_l1_is_the_default() -> None:
    network = tiny()
    graph = graph_of(network)

    assert {n: r.tolist() for n, r in rankings(network, graph).items()} == {
        n: np.argsort(-found, kind="stable").tolist() for n, found in importances(network, graph, "l1").items()
    }


@pytest.mark.parametrize("name", ["l1", "l2", "geometric_median", "taylor"])
def test_a_transposed_convolution_is_ranked_by_its_filters_not_by_its_inputs(name: str) -> None:
    network = made(Chain, nn.ConvTranspose2d(8, 12, 4, 2, 1), 8, 12)
    network.middle.weight.data[:, 5] = 0
    graph = channel_graph(network, images(2, side=8), count(network, (3, 8, 8)))
    data = CalibrationData(images(8, side=8), torch.arange(8) % 2)

    found = importances(network, graph, name, data)["middle"]
    assert len(found) == 12
    if name != "geometric_median":
        assert (found[5], int(found.argmin())) == (0.0, 5)


def test_layers_that_give_only_some_channels_of_a_group_count_for_those() -> None:
    network = made(CoupledConcat)
    found = importances(network, graph_of(network), "l1")["left"]

    parts = np.concatenate([relative(l1(filters(network, layer))) for layer in ("left", "right")])
    np.testing.assert_allclose(found, parts + relative(l1(filters(network, "all"))), rtol=1e-9)


def test_filters_that_stand_for_one_channel_are_added() -> None:
    network = made(Multiplied)
    found = importances(network, graph_of(network), "l1")["conv"]

    norms = l1(filters(network, "conv"))
    np.testing.assert_allclose(found, relative([norms[c] + norms[c + 8] for c in range(8)]), rtol=1e-9)


def test_batch_norm_scales_are_absolute_and_found_where_a_concatenation_is_scaled() -> None:
    network = made(Concat)
    gamma = network.norm.weight.data
    gamma[3] = -5.0
    graph = graph_of(network)
    del graph.groups["both"]
    found = importances(network, graph, "batch_norm_scale")

    np.testing.assert_allclose(found["left"], relative([abs(g) for g in gamma.tolist()[:8]]), rtol=1e-6)
    np.testing.assert_allclose(found["right"], relative([abs(g) for g in gamma.tolist()[8:]]), rtol=1e-6)
    assert found["left"].argmax() == 3


def test_batch_norm_scales_of_a_stream_are_added() -> None:
    network = tiny()
    found = importances(network, graph_of(network), "batch_norm_scale")["conv1"]
    norms = [network.bn1, network.layer1[0].bn2, network.layer1[1].bn2]

    np.testing.assert_allclose(found, sum(relative(norm.weight.tolist()) for norm in norms), rtol=1e-6)


@pytest.mark.parametrize("n", [7, 70])  # one batch, and two of unequal size
def test_taylor_is_the_change_of_the_loss_to_first_order(n: int) -> None:
    network, data = tiny().double(), calibration(n, channels=1, classes=10)
    data = CalibrationData(data.images.double(), data.labels)
    found = importances(network, graph_of(tiny()), "taylor", data)

    def change(layer: str, channel: int) -> float:
        """-d(loss)/d(scale) at 1 when one filter is multiplied by a scale, by central differences."""
        weight, step, losses = network.get_submodule(layer).weight, 1e-5, []
        original = weight.detach().clone()
        for scale in (1 + step, 1 - step):
            weight.data[channel] = original[channel] * scale
            losses.append(F.cross_entropy(network(data.images), data.labels).item())
            weight.data.copy_(original)
        return abs(losses[0] - losses[1]) / (2 * step)

    stream = ("conv1", "layer1.0.conv2", "layer1.1.conv2")
    expected = sum(relative([change(layer, c) for c in range(8)]) for layer in stream)
    np.testing.assert_allclose(found["conv1"], expected, rtol=1e-5)


@pytest.mark.parametrize("n", [7, 70])
def test_activation_is_the_l1_norm_of_the_mean_map_that_is_read(n: int) -> None:
    network, data = made(Concat), calibration(n)
    found = importances(network, graph_of(network), "activation", data)

    with torch.no_grad():
        both = torch.cat([network.left(data.images), network.right(data.images)], dim=1)
        read = torch.relu(network.norm(both)).double().numpy()
    norms = [sum(abs(sum(image[c, i, j] for image in read) / n) for i in range(8) for j in range(8)) for c in range(20)]
    np.testing.assert_allclose(found["left"], relative(norms[:8]), rtol=1e-6)
    np.testing.assert_allclose(found["right"], relative(norms[8:]), rtol=1e-6)


def test_activation_takes_the_mean_before_the_absolute_value() -> None:
    network = made(Chain, nn.Hardtanh(-100, 100)).eval()
    network.last = nn.Conv2d(8, 6, 1)
    network.forward = lambda x: network.head(network.last(network.stem(x)).mean((2, 3)))  # nothing makes it positive
    data = calibration(6)
    found = importances(network, graph_of(network), "activation", data)["stem"]

    with torch.no_grad():
        mean = network.stem(data.images).double().mean(0)
    np.testing.assert_allclose(found, relative(mean.abs().sum((1, 2)).tolist()), rtol=1e-6)


def test_activation_of_flattened_maps_is_that_of_the_maps() -> None:
    network, data = made(Flattened), calibration(9, side=4)
    found = importances(network, graph_of(network, 4), "activation", data)

    with torch.no_grad():
        maps = torch.relu(network.norm(network.conv(data.images))).double()
    np.testing.assert_allclose(found["conv"], relative(maps.mean(0).abs().sum((1, 2)).tolist()), rtol=1e-6)


def test_activation_of_a_stream_adds_what_each_reader_sees() -> None:
    network, data = made(Shared), calibration(5)
    found = importances(network, graph_of(network), "activation", data)["stem"]

    with torch.no_grad():
        first = torch.relu(network.stem(data.images))
        second = torch.relu(network.twice(first))
        last = torch.relu(network.twice(3 * second))
    twice = (first.double().mean(0).abs() + 3 * second.double().mean(0).abs()).sum((1, 2))
    head = last.double().mean((0, 2, 3)).abs()
    np.testing.assert_allclose(found, relative(twice.tolist()) + relative(head.tolist()), rtol=1e-5)


def test_random_importances_come_from_the_generator() -> None:
    network = tiny()
    graph = graph_of(network)
    one, same, other = (importances(network, graph, "random", rng=np.random.default_rng(seed)) for seed in (3, 3, 4))

    assert all(np.array_equal(one[name], same[name]) for name in graph.groups)
    assert not any(np.array_equal(one[name], other[name]) for name in graph.groups)


def peer_scores(network: nn.Module, layer: str, peer: Callable[[object], torch.Tensor]) -> np.ndarray:
    """Torch-Pruning's importance of the output channels of a layer."""
    graph = torch_pruning.DependencyGraph().build_dependency(network, images(1, side=4))
    module = network.get_submodule(layer)
    prune = torch_pruning.prune_conv_out_channels
    group = graph.get_pruning_group(module, prune, idxs=list(range(module.out_channels)))
    return peer(group).detach().double().numpy()


@pytest.mark.parametrize(
    ("name", "peer", "power"),
    [
        # "first": without the layers that read the channels. Its l2 is not rooted, its distances are of |w|^p.
        ("l1", peers.GroupMagnitudeImportance(p=1, group_reduction="first"), 1),
        ("l2", peers.GroupMagnitudeImportance(p=2, group_reduction="first", normalizer=None), 2),
        ("geometric_median", peers.FPGMImportance(p=1, group_reduction="first"), 1),
        ("batch_norm_scale", peers.BNScaleImportance(), 1),
        ("taylor", peers.GroupTaylorImportance(multivariable=True, group_reduction="first"), 1),
    ],
)
def test_single_layers_score_as_in_torch_pruning(name: str, peer: Callable[..., torch.Tensor], power: int) -> None:
    network, data = made(Flattened), calibration(6, side=4)
    network.conv.weight.data.abs_()  # so that |w| is w for the distances
    graph = graph_of(network, 4)
    del graph.groups["hidden"]
    found = importances(network, graph, name, data)["conv"] ** power
    F.cross_entropy(network(data.images), data.labels).backward()
    theirs = peer_scores(network, "conv", peer)

    assert np.argsort(found).tolist() == np.argsort(theirs).tolist()
    np.testing.assert_allclose(found / found.mean(), theirs / theirs.mean(), rtol=1e-4)


def test_of_equal_channels_the_lower_index_comes_first() -> None:
    network = made(Flattened)
    network.conv.weight.data.fill_(1.0)

    for name in ("l1", "l2", "geometric_median"):
        assert rankings(network, graph_of(network, 4), name)["conv"].tolist() == [0, 1, 2, 3, 4, 5]


IMAGES, LABELS = images(3, side=4), torch.tensor([0, 1, 4])


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        ("l3", None, "unknown ranking 'l3'; did you mean 'l[12]'"),
        ("random", None, "ranking 'random': expected a random generator, got none"),
        ("activation", None, "ranking 'activation': expected calibration images, got none"),
        ("activation", CalibrationData(IMAGES[:0]), "ranking 'activation': expected calibration images, got none"),
        ("activation", CalibrationData(IMAGES * torch.nan), r"'activation': .* \(3, 3, 4, 4\) with NaN or infinite"),
        ("activation", CalibrationData(IMAGES[0]), r"'activation': expected finite .* got shape \(3, 4, 4\)"),
        ("taylor", None, "ranking 'taylor': expected calibration images, got none"),
        ("taylor", CalibrationData(IMAGES), "ranking 'taylor': expected a label for each calibration image, got none"),
        ("fisher", CalibrationData(IMAGES), "ranking 'fisher': expected a label for each"),
        ("fisher_greedy", CalibrationData(IMAGES), "ranking 'fisher_greedy': expected a label for each"),
        ("taylor", CalibrationData(IMAGES, LABELS[:2]), r"'taylor': expected 3 labels from 0 on, .* got shape \(2,\)"),
        ("fisher", CalibrationData(IMAGES, LABELS.float()), r"'fisher': expected 3 labels .* torch.float32"),
        ("fisher", CalibrationData(IMAGES, LABELS - 1), r"'fisher': expected 3 labels .* the least -1"),
        ("fisher", CalibrationData(IMAGES, LABELS + 1), "a label is 5, the network has 5 classes from 0 on"),
        ("batch_norm_scale", None, "no batch-norm scales 7 of the 7 channels of 'hidden'; use another ranking"),
    ],
)
def test_what_a_ranking_needs_and_has_not_is_named(name: str, data: CalibrationData | None, error: str) -> None:
    network = made(Flattened)
    with pytest.raises(CompressionError, match=error):
        importances(network, graph_of(network, 4), name, data)


@pytest.mark.parametrize("name", ["l1", "geometric_median", "taylor", "activation", "fisher"])
def test_weights_that_are_nan_are_refused_with_the_group(name: str) -> None:
    network = made(Flattened)
    graph = graph_of(network, 4)
    network.conv.weight.data[2] = torch.nan
    with pytest.raises(CompressionError, match=f"ranking '{name}': the importance of 'conv' is not finite"):
        importances(network, graph, name, CalibrationData(IMAGES, LABELS))
