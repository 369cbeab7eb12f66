"""Which filters stay, how keep ratios are rounded, and surgery on hand-set weights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from moco.compression.compressor import Compressor, compress
from moco.compression.methods.filter_pruning import kept_channels, rankings, rounded_width
from moco.compression.precision import INT8
from moco.compression.rankings.ranking import importances
from moco.errors import CompressionError, SpaceError
from moco.policy import Policy
from tests.compression.toys import Chain, images, made, seeded
from tests.policies import policy_of


def hand_set(norms: list[float], coupled: list[float] | None = None) -> nn.Module:
    """A chain whose stem's filters have these L1 norms; `coupled` are those of a depthwise layer after it."""
    middle = nn.Conv2d(len(norms), len(norms), 1, groups=len(norms)) if coupled else nn.Identity()
    network = made(Chain, middle, len(norms), len(norms))
    for layer, wanted in ((network.stem, norms), (network.middle, coupled)):
        if wanted is not None:
            shape = layer.weight.shape
            signs = torch.where(torch.arange(layer.weight.numel()) % 2 == 0, 1.0, -1.0).reshape(shape)
            each = torch.tensor(wanted).reshape(-1, 1, 1, 1) / layer.weight[0].numel()
            layer.weight.data = (signs * each).expand(shape).clone()
    return network


def kept(network: nn.Module, width: int) -> list[int]:
    compressor = Compressor.of(network, images(2, side=8))
    of = compressor.graph.groups["stem"].channels
    return compressor.kept(policy_of({"stem": (width, of)}, {}))["stem"].tolist()


def test_the_filters_with_the_smallest_l1_norm_go_first() -> None:
    network = hand_set([4.0, 1.0, 3.0, 2.0])
    expected = {1: [0], 2: [0, 2], 3: [0, 2, 3]}

    assert {width: kept(network, width) for width in expected} == expected


def test_of_equal_filters_the_lower_index_stays() -> None:
    network = hand_set([1.0, 2.0, 1.0, 2.0, 1.0])
    expected = {1: [1], 2: [1, 3], 3: [0, 1, 3], 4: [0, 1, 2, 3]}

    assert {width: kept(network, width) for width in expected} == expected


def test_norms_of_coupled_layers_count_alike_whatever_their_scale() -> None:
    # Relative norms: (1.6, 1.2, 0.8, 0.4) and (0.4, 0.4, 0.4, 2.8); together 2.0, 1.6, 1.2, 3.2.
    network = hand_set([4.0, 3.0, 2.0, 1.0], coupled=[100.0, 100.0, 100.0, 700.0])
    compressor = Compressor.of(network, images(2, side=8))

    found = importances(network, compressor.graph, "l1")["stem"]
    np.testing.assert_allclose(found, [2.0, 1.6, 1.2, 3.2], rtol=1e-6)
    assert kept(network, 2) == [0, 3]


def test_a_layer_of_zeros_is_ranked_by_index() -> None:
    assert kept(hand_set([0.0, 0.0, 0.0, 0.0]), 2) == [0, 1]


def test_the_kept_filters_and_their_kernels_are_copied_unchanged() -> None:
    network = hand_set([4.0, 1.0, 3.0, 2.0])
    thin = compress(network, policy_of({"stem": (2, 4)}, {}), images(2, side=8))

    assert torch.equal(thin.stem.weight, network.stem.weight[[0, 2]])
    assert torch.equal(thin.stem.bias, network.stem.bias[[0, 2]])
    assert torch.equal(thin.last.weight, network.last.weight[:, [0, 2]])
    assert torch.equal(thin.last.bias, network.last.bias)
    assert thin.last.weight.data_ptr() != network.last.weight.data_ptr()


def test_rankings_hold_every_channel_once() -> None:
    network = seeded("cifar_resnet20")
    compressor = Compressor.of(network, images(2))

    for name, ranking in rankings(network, compressor.graph).items():
        assert sorted(ranking) == list(range(compressor.graph.groups[name].channels))


def test_a_smaller_width_keeps_a_subset() -> None:
    ranking = {"a": np.array([3, 0, 2, 1])}

    assert kept_channels(ranking, {"a": 2})["a"].tolist() == [0, 3]
    assert kept_channels(ranking, {"a": 3})["a"].tolist() == [0, 2, 3]
    assert kept_channels(ranking, {"a": 4}) == {}


@pytest.mark.parametrize(
    ("channels", "keep", "multiple", "width"),
    [
        (16, 1.0, 1, 16),
        (16, 0.5, 1, 8),
        (16, 0.4, 1, 7),  # 16 - floor(9.6): S2.06's first group
        (64, 0.9, 1, 58),  # 64 - floor(6.4)
        (64, 0.7, 1, 45),  # 64 - floor(19.2)
        (32, 0.5, 1, 16),
        (10, 0.9, 1, 9),  # 10 * (1 - 0.9) is 0.9999999999999998 in floats
        (10, 0.7, 1, 7),
        (3, 1 / 3, 1, 1),
        (16, 0.001, 1, 1),  # one filter stays
        (1, 0.5, 1, 1),
        (16, 0.4, 4, 8),  # 7 is nearer to 8 than to 4
        (16, 0.3, 4, 4),  # 5
        (16, 6 / 16, 4, 8),  # a tie goes to the wider
        (16, 0.01, 4, 4),  # one multiple stays
        (16, 0.01, 16, 16),
        (10, 0.95, 4, 10),  # nothing is removed: floor(0.5) = 0
        (10, 0.9, 4, 8),  # 9 -> 8
        (10, 0.99, 16, 10),
        (6, 0.5, 16, 6),  # one multiple is more than there is
        (18, 1.0, 16, 18),  # a ratio of 1 leaves the layer alone, whatever the multiple
        (9, 1.0, 4, 9),
        (24, 0.8, 16, 16),  # 20 -> 16? no: 20 lies nearer to 16 (4) than to 32 (12)
        (24, 0.97, 16, 24),
    ],
)
def test_rounding_follows_the_rule(channels: int, keep: float, multiple: int, width: int) -> None:
    assert rounded_width(channels, keep, multiple) == width


@given(st.integers(1, 300), st.floats(0.001, 1.0), st.sampled_from([1, 2, 4, 8, 16, 32]))
def test_a_rounded_width_is_legal(channels: int, keep: float, multiple: int) -> None:
    width = rounded_width(channels, keep, multiple)

    assert 1 <= width <= channels
    assert width == channels or width % multiple == 0
    assert abs(width - channels * keep) <= max(multiple, 1) + 1


@given(st.integers(1, 300), st.floats(0.001, 1.0), st.floats(0.001, 1.0), st.sampled_from([1, 4, 16]))
def test_keeping_more_never_gives_fewer_channels(channels: int, one: float, other: float, multiple: int) -> None:
    low, high = sorted((one, other))

    assert rounded_width(channels, low, multiple) <= rounded_width(channels, high, multiple)


@given(st.integers(1, 300), st.data())
def test_a_whole_number_of_channels_is_kept_exactly(channels: int, data: st.DataObject) -> None:
    width = data.draw(st.integers(1, channels))

    assert rounded_width(channels, width / channels) == width


def test_resnet56_with_projections_has_the_golden_counts_of_s206() -> None:
    network = seeded("cifar_resnet56", shortcut="B")
    kept_of = {f"layer1.{i}.conv1": (7, 16) for i in range(9)}
    kept_of |= {f"layer2.{i}.conv1": (16, 32) for i in (1, 2, 3, 4, 6, 7)}
    kept_of |= {"layer3.1.conv1": (58, 64)}
    kept_of |= {f"layer3.{i}.conv1": (45, 64) for i in (2, 3, 5, 6, 7, 8)}
    compressor = Compressor.of(network, images(2))
    thin = compressor.compress(policy_of(kept_of, {}))

    def weights(of: nn.Module) -> int:
        return sum(m.weight.numel() for m in of.modules() if isinstance(m, nn.Conv2d | nn.Linear))

    assert (weights(network), weights(thin)) == (851_504, 634_640)
    assert compressor.counts.macs == 125_747_840
    assert Compressor.of(thin, images(2)).counts.macs == 78_856_832


def test_compress_takes_settings_as_in_a_policy_file_and_keeps_the_mode() -> None:
    network = hand_set([4.0, 1.0, 3.0, 2.0]).train()
    thin = compress(network, {"stem": {"filter_pruning": {"keep": 3, "of": 4}}}, images(2, side=8))

    assert thin.stem.out_channels == 3
    assert network.training
    assert not thin.training


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"stem": {"filter_pruning": {"keep": 3, "of": 16}}}, "'stem' has 4 filters, the policy keeps 3 of 16"),
        ({"stem": {"filter_pruning": {"keep": 0, "of": 4}}}, "'stem' has 4 filters, the policy keeps 0 of 4"),
        ({"stem": {"filter_pruning": {"keep": 5, "of": 4}}}, "'stem' has 4 filters, the policy keeps 5 of 4"),
        ({"stm": {"filter_pruning": {"keep": 3, "of": 4}}}, "no channel group 'stm'; did you mean 'stem'"),
        ({"heat": {"precision": INT8}}, "the network has no layer 'heat'; did you mean 'head'"),
    ],
)
def test_a_policy_of_another_network_is_refused(settings: dict[str, object], error: str) -> None:
    compressor = Compressor.of(hand_set([4.0, 1.0, 3.0, 2.0]), images(2, side=8))
    with pytest.raises(SpaceError, match=error):
        compressor.compress(Policy.of(settings))


def test_a_group_that_was_left_out_is_refused_with_the_reason() -> None:
    compressor = Compressor.of(made(Chain, nn.GroupNorm(1, 8)), images(2, side=8))
    with pytest.raises(
        SpaceError, match="'stem' has no filters that can be pruned: 'middle' normalises over these channels"
    ):
        compressor.compress(policy_of({"stem": (2, 8)}, {}))


class Wrong(nn.Module):
    """A network with one layer and any end."""

    def __init__(self, end: Callable[[torch.Tensor], object]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.end = end

    def forward(self, x: torch.Tensor) -> object:
        return self.end(self.conv(x))


@pytest.mark.parametrize(
    ("end", "error"),
    [
        (lambda x: {"logits": x}, r"gives logits \(n, classes\), got dict"),
        (lambda x: x, r"gives logits \(n, classes\), got shape \(1, 4, 6, 6\)"),
        (lambda x: x @ torch.zeros(3, 3), "the network does not run on an image of shape"),
    ],
)
def test_a_network_that_is_no_classifier_is_refused(end: Callable[[torch.Tensor], object], error: str) -> None:
    with pytest.raises(CompressionError, match=error):
        Compressor.of(Wrong(end), images(2, side=8))


def test_a_network_without_layers_is_refused() -> None:
    with pytest.raises(CompressionError, match="from 0 such layers"):
        Compressor.of(nn.Flatten(), images(2, side=8))
