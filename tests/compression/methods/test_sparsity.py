"""Which weights stay, exactly how many, and what is refused."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from moco.compression.methods.sparsity import kept_weights, largest, sparsify_
from moco.errors import CompressionError
from tests.compression.toys import Concat, images, made


@pytest.mark.parametrize(
    ("k", "expected"),
    [
        (1, [0, 0, -5, 0, 0, 0]),
        (2, [0, 4, -5, 0, 0, 0]),
        (3, [3, 4, -5, 0, 0, 0]),  # 3 and -3 tie: the lower index stays
        (4, [3, 4, -5, -3, 0, 0]),
        (5, [3, 4, -5, -3, 1, 0]),
        (6, [3, 4, -5, -3, 1, 0.5]),
    ],
)
def test_the_largest_magnitudes_stay_as_they_are(k: int, expected: list[float]) -> None:
    network = nn.Sequential(nn.Linear(3, 2))
    network[0].weight.data = torch.tensor([[3.0, 4.0, -5.0], [-3.0, 1.0, 0.5]])
    sparsify_(network, {"0": k})

    assert network[0].weight.flatten().tolist() == expected


@given(st.lists(st.sampled_from([-2.0, -1.0, 0.0, 1.0, 2.0]), min_size=1, max_size=60), st.data())
def test_exactly_k_stay_and_none_that_goes_is_larger(weights: list[float], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(weights)))
    stays = largest(torch.tensor(weights), k).tolist()
    by_hand = sorted(range(len(weights)), key=lambda i: (-abs(weights[i]), i))[:k]

    assert [i for i, s in enumerate(stays) if s] == sorted(by_hand)


def test_only_the_named_weights_change() -> None:
    original = made(Concat)
    network = copy.deepcopy(original)
    sparsify_(network, {"both": 100, "head": 30})
    changed = [n for n, p in network.named_parameters() if not torch.equal(p, original.get_parameter(n))]

    assert changed == ["both.weight"]  # the head has 30 weights, all stay
    assert int(network.both.weight.count_nonzero()) == 100
    assert network(images(2, side=8)).shape == (2, 5)


@pytest.mark.parametrize(
    ("n", "keep_ratio", "k"),
    [(10, 1.0, 10), (10, 0.9, 9), (10, 0.7, 7), (9, 0.5, 5), (10, 0.01, 1), (1, 0.1, 1), (589_824, 0.1, 58_983)],
)
def test_a_ratio_to_keep_is_rounded_as_for_filters(n: int, keep_ratio: float, k: int) -> None:
    assert kept_weights(n, keep_ratio) == k


@pytest.mark.parametrize("keep_ratio", [0.0, -0.1, 1.1, float("nan")])
def test_a_ratio_out_of_range_is_refused(keep_ratio: float) -> None:
    with pytest.raises(CompressionError, match=r"expected a ratio of weights to keep in \(0, 1\], got"):
        kept_weights(10, keep_ratio)


@pytest.mark.parametrize(
    ("kept", "error"),
    [
        ({"both": 100, "heat": 1}, "no convolution or linear layer 'heat'; did you mean 'head'"),
        ({"both": 100, "norm": 1}, "no convolution or linear layer 'norm'"),
        ({"both": 100, "head": 0}, "'head' has 30 weights, of which 1 to all stay; got 0"),
        ({"both": 100, "head": 31}, "'head' has 30 weights, of which 1 to all stay; got 31"),
        ({"both": 100, "left": 5}, "'left' has weights that are NaN"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_changes(kept: dict[str, int], error: str) -> None:
    network = made(Concat)
    network.left.weight.data[0] = torch.nan
    before = network.both.weight.clone()
    with pytest.raises(CompressionError, match=error):
        sparsify_(network, kept)

    assert torch.equal(network.both.weight, before)
