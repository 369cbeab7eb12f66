"""Fisher scores against sums over single images, and the greedy order against the same scores on masked networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from moco.compression.channels.groups import ChannelGraph, channel_graph
from moco.compression.channels.surgery import masked
from moco.compression.counting import count
from moco.compression.rankings.fisher import fisher_order, fisher_scores
from moco.compression.rankings.ranking import importances
from tests.compression.rankings.test_importance import Flattened, calibration, graph_of
from tests.compression.toys import Concat, made, tiny

Batches = list[tuple[torch.Tensor, torch.Tensor]]


def batches_of(n: int, channels: int = 3, side: int = 8, classes: int = 5) -> Batches:
    data = calibration(n, channels, side, classes)
    return [(data.images[i : i + 4], data.labels[i : i + 4]) for i in range(0, n, 4)]


def test_the_score_of_a_hand_set_network_is_the_formula() -> None:
    # One pixel, two channels a = (2, 3), logits z = (2a1, a2) = (4, 3); class 0. g = dL/da = (2(p1 - 1), p2).
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Flatten(), nn.Linear(2, 2))
    network[0].weight.data = torch.tensor([2.0, 3.0]).reshape(2, 1, 1, 1)
    network[2].weight.data = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    for layer in (network[0], network[2]):
        layer.bias.data.zero_()
    image, label = torch.ones(1, 1, 1, 1), torch.tensor([0])
    graph = channel_graph(network, image, count(network, (1, 1, 1)))
    found = fisher_scores(network, graph, [(image, label)])["0"]

    second = 1 / (1 + np.e)  # softmax of (4, 3)
    np.testing.assert_allclose(found, [(2 * 2 * -second) ** 2 / 2, (3 * second) ** 2 / 2], rtol=1e-6)


def test_scores_are_the_sums_over_single_images() -> None:
    network, batches = made(Concat), batches_of(10)
    found = fisher_scores(network, graph_of(network), batches)

    expected = np.zeros(20)
    for image, label in (pair for batch in batches for pair in zip(*batch, strict=True)):
        with torch.no_grad():
            maps = [network.left(image[None]), network.right(image[None])]
            read = torch.relu(network.norm(torch.cat(maps, dim=1)))
        read.requires_grad_()
        logits = network.head(torch.relu(network.both(read)).mean((2, 3)))
        F.cross_entropy(logits, label[None]).backward()
        for channel in range(20):
            product = sum((read[0, channel] * read.grad[0, channel]).double().flatten().tolist())
            expected[channel] += (-product) ** 2 / (2 * 10)
    np.testing.assert_allclose(found["left"], expected[:8], rtol=1e-4)
    np.testing.assert_allclose(found["right"], expected[8:], rtol=1e-4)


def test_coupled_layers_are_added_before_the_square() -> None:
    """The score is that of the change of each image's loss when all that gives a channel of the stream is scaled."""
    network, batches = tiny("A").double(), [(x.double(), y) for x, y in batches_of(4, 1, 8, 10)]
    found = fisher_scores(network, graph_of(tiny("A")), batches)["conv1"]
    images, labels = batches[0]
    norms = [network.bn1, network.layer1[0].bn2, network.layer1[1].bn2]

    def losses(channel: int, scale: float) -> torch.Tensor:
        for norm in norms:
            norm.weight.data[channel] *= scale
            norm.bias.data[channel] *= scale
        with torch.no_grad():
            loss = F.cross_entropy(network(images), labels, reduction="none")
        for norm in norms:
            norm.weight.data[channel] /= scale
            norm.bias.data[channel] /= scale
        return loss

    step = 1e-6
    changes = [(losses(c, 1 + step) - losses(c, 1 - step)) / (2 * step) for c in range(8)]
    np.testing.assert_allclose(found, [float((change**2).sum() / 8) for change in changes], rtol=1e-5)


def test_the_flattened_map_of_a_channel_is_one_sum() -> None:
    network, batches = made(Flattened), batches_of(4, side=4)
    found = fisher_scores(network, graph_of(network, 4), batches)["conv"]
    images, labels = batches[0]

    with torch.no_grad():
        read = torch.relu(network.norm(network.conv(images)))
    read.requires_grad_()
    logits = network.head(torch.relu(network.hidden(read.flatten(1))))
    F.cross_entropy(logits, labels, reduction="sum").backward()
    products = (read * read.grad).double().sum((2, 3)).square().sum(0) / (2 * 4)
    np.testing.assert_allclose(found, products.detach().numpy(), rtol=1e-4)


class Depthwise(nn.Module):
    """A point-wise, a depthwise and a point-wise convolution around which a shortcut leads."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU6())
        expand = (nn.Conv2d(6, 12, 1, bias=False), nn.BatchNorm2d(12), nn.ReLU6(inplace=True))
        depthwise = (nn.Conv2d(12, 12, 3, padding=1, groups=12, bias=False), nn.BatchNorm2d(12), nn.ReLU6(inplace=True))
        self.block = nn.Sequential(*expand, *depthwise, nn.Conv2d(12, 6, 1, bias=False), nn.BatchNorm2d(6))
        self.head = nn.Linear(6, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        return self.head((x + self.block(x)).mean((2, 3)))


@pytest.mark.parametrize(
    ("network", "batches"),
    [
        (made(Concat), batches_of(8)),
        (made(Depthwise), batches_of(8)),
        (made(Flattened), batches_of(8, 3, 4)),
        (tiny("A"), batches_of(8, 1, 8, 10)),
        (tiny("B"), batches_of(8, 1, 8, 10)),
    ],
    ids=["concat", "depthwise", "flatten", "pad", "project"],
)
def test_a_removed_channel_is_one_that_is_zero(network: nn.Module, batches: Batches) -> None:
    graph = graph_of(network, batches[0][0].shape[-1])
    rng = np.random.default_rng(0)
    present = {n: rng.random(g.channels) < 0.7 for n, g in graph.groups.items()}
    zeros = masked(network, graph.axes, {n: np.flatnonzero(p) for n, p in present.items()})
    found, expected = fisher_scores(network, graph, batches, present), fisher_scores(zeros, graph, batches)
    whole = fisher_scores(network, graph, batches)

    for group, stays in present.items():
        np.testing.assert_allclose(found[group][stays], expected[group][stays], rtol=1e-3)
        assert not found[group][~stays].any()
        assert not np.allclose(found[group][stays], whole[group][stays], rtol=0.01)


def greedy(network: nn.Module, graph: ChannelGraph, rounds: list[Batches]) -> list[tuple[str, int]]:
    """The order written out: the least score over masked networks, one channel a round."""
    present = {n: list(range(g.channels)) for n, g in graph.groups.items()}
    order: list[tuple[str, int]] = []
    for batches in rounds:
        zeros = masked(network, graph.axes, {n: np.array(p) for n, p in present.items()})
        scores = fisher_scores(zeros, graph, batches)
        candidates = [(scores[n][c], n, c) for n, channels in present.items() if len(channels) > 1 for c in channels]
        if not candidates:
            break
        _, group, channel = min(candidates)
        present[group].remove(channel)
        order.append((group, channel))
    return order


def test_the_order_is_that_of_one_least_channel_after_the_other() -> None:
    network, batches = made(Concat), batches_of(12)
    graph = graph_of(network)
    removals = sum(g.channels - 1 for g in graph.groups.values())
    rounds = [[batches[i % 3]] for i in range(removals)]
    found = fisher_order(network, graph, batches)

    assert found == greedy(network, graph, rounds)
    assert len(set(found)) == len(found) == 7 + 11 + 5


def test_the_greedy_order_is_not_that_of_the_first_scores() -> None:
    network, batches = made(Concat), batches_of(12)
    graph = graph_of(network)
    first = fisher_scores(network, graph, batches)
    found = [channel for group, channel in fisher_order(network, graph, batches) if group == "right"]

    assert found != np.argsort(first["right"])[:11].tolist()


def test_of_equal_channels_the_lower_index_stays() -> None:
    network, batches = made(Flattened), batches_of(4, side=4)
    network.head.weight.data.zero_()  # no channel does anything
    graph = graph_of(network, 4)

    assert fisher_order(network, graph, batches)[:5] == [("conv", c) for c in (5, 4, 3, 2, 1)]


def test_the_ranking_is_the_order_backwards() -> None:
    network, data = made(Flattened), calibration(8, side=4)
    graph = graph_of(network, 4)
    order = [c for g, c in fisher_order(network, graph, [(data.images, data.labels)]) if g == "conv"]
    ranked = np.argsort(-importances(network, graph, "fisher_greedy", data)["conv"]).tolist()

    assert ranked[1:] == order[::-1]
    assert sorted(ranked) == list(range(6))
