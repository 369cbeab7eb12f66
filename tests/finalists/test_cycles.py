"""The mean of the weights at the ends of a training's cycles."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from moco.finalists.cycles import FINENESS, averaged_, n_views_of_cycle, steps_of_cycles, steps_that_fit
from moco.recovery.descent import Tuned


@pytest.mark.parametrize(("steps", "parts"), [(1, (1,)), (39, (39,)), (40, (20, 20)), (101, (51, 50))])
def test_a_training_in_which_each_cycle_sees_all_images_twice_has_two(steps: int, parts: tuple[int, ...]) -> None:
    assert steps_of_cycles(steps, steps_in_epoch=10) == parts


@pytest.mark.parametrize(("steps", "views"), [(3, 1), (14, 1), (15, 2), (24, 2), (25, 3), (90, 4)])
def test_a_view_that_would_mostly_not_be_seen_is_not_begun(steps: int, views: int) -> None:
    assert n_views_of_cycle(steps, steps_in_epoch=10, most=4) == views
    assert n_views_of_cycle(steps, steps_in_epoch=10, most=None) is None


def test_steps_take_no_more_than_their_seconds_and_leave_less_than_a_view_of_them() -> None:
    """A step takes a second, a view half an epoch's time; the first one is answered already."""

    def answering_s(steps: int) -> float:
        longest, *_ = steps_of_cycles(steps, steps_in_epoch=100)
        return 50.0 * ((n_views_of_cycle(longest, 100, most=4) or 0) - 1)

    for seconds in range(1, 1200, 7):
        steps = steps_that_fit(float(seconds), 1.0, answering_s)
        took_s = steps + answering_s(steps)
        assert seconds - 50 - seconds / FINENESS - 1 < took_s <= seconds
    assert steps_that_fit(0.5, 1.0, answering_s) == steps_that_fit(-3.0, 1.0, answering_s) == 0
    assert steps_that_fit(10.0, 1.0, lambda _: 20.0) == 0


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
