"""The rate of a finalist's training, by what its network has lost."""

import math

import pytest
import torch

from moco.finalists.learning_rate import LEAST, WHOLE_FROM, share_of_rate


def logits_of(probability: float) -> torch.Tensor:
    """Of two classes, the first of which has that probability."""
    return torch.tensor([[math.log(probability), math.log(1 - probability)]]).repeat(8, 1)


def test_a_network_that_answers_as_the_original_takes_the_least_share_and_a_broken_one_the_whole_rate() -> None:
    original = torch.randn(32, 10, generator=torch.Generator().manual_seed(0)) * 8
    assert share_of_rate(original, original.clone(), 4.0) == LEAST
    assert share_of_rate(original, original.roll(1, dims=1), 4.0) == 1.0


def test_between_these_the_share_is_that_of_the_divergence() -> None:
    original, compressed = logits_of(0.9), logits_of(0.8)
    divergence = 0.9 * math.log(0.9 / 0.8) + 0.1 * math.log(0.1 / 0.2)  # by hand
    assert LEAST < divergence / WHOLE_FROM < 1
    assert share_of_rate(original, compressed, 1.0) == pytest.approx(divergence / WHOLE_FROM, rel=1e-5)
    assert share_of_rate(4 * original, 4 * compressed, 4.0) == pytest.approx(divergence / WHOLE_FROM, rel=1e-5)
