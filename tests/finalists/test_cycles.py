"""The mean of the weights at the ends of a training's cycles."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from moco.finalists.cycles import averaged_, steps_of_cycles
from moco.recovery.descent import Tuned


@pytest.mark.parametrize(("steps", "parts"), [(1, (1,)), (39, (39,)), (40, (20, 20)), (101, (51, 50))])
def test_a_training_in_which_each_cycle_sees_all_images_twice_has_two(steps: int, parts: tuple[int, ...]) -> None:
    assert steps_of_cycles(steps, steps_in_epoch=10) == parts


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)).eval()


def ending_at(trained: nn.Module, weight: float) -> Tuned:
    """A cycle that ends with this weight everywhere."""
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.fill_(weight)
    return Tuned(1.0, 10, 0.1, (0.5,))


BATCHES = torch.randn(4, 16, 1, 3, 3, generator=torch.Generator().manual_seed(0))


def test_the_weights_are_the_mean_and_batch_norms_see_what_it_gives() -> None:
    trained = network()
    found = averaged_(trained, [partial(ending_at, trained, end) for end in (1.0, 3.0)], iter(BATCHES))
    assert [tuned.steps for tuned in found] == [10, 10]
    assert all((parameter == 2).all() for parameter in trained.parameters())
    seen = 2 * BATCHES.flatten(0, 1) + 2
    assert trained[1].running_mean.tolist() == pytest.approx([float(seen.mean())] * 2, abs=1e-5)
    assert not trained.training


def test_the_end_of_a_single_cycle_and_kept_statistics_stay_as_they_are() -> None:
    single, kept = network(), network()
    averaged_(single, [partial(ending_at, single, 3.0)], iter(BATCHES))
    averaged_(kept, [partial(ending_at, kept, end) for end in (1.0, 3.0)], None)
    for trained, weight in ((single, 3), (kept, 2)):
        assert (trained[0].weight == weight).all()
        assert trained[1].running_mean.tolist() == [0, 0]
