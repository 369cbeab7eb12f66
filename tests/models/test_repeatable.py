"""A network whose logits depend on chance or on other images is refused before a search."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from moco.errors import ConfigError
from moco.models.repeatable import check_repeatable
from tests.compression.toys import images

BATCH = images(8, side=8)


class Dropping(nn.Module):
    """A dropout that goes on in evaluation mode."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(x)


class Centred(nn.Module):
    """Features less those of the batch."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x - x.mean(0)


def network_of(middle: nn.Module) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = nn.Conv2d(3, 8, 3), middle, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)
    return nn.Sequential(*layers).eval()


@pytest.mark.parametrize(
    ("middle", "message"),
    [
        (nn.BatchNorm2d(8, track_running_stats=False), "alone than among others; '1' normalises by the batch"),
        (Centred(), "alone than among others; give one"),
        (Dropping(), "other logits in a second pass; look for randomness"),
    ],
)
def test_logits_that_do_not_depend_on_the_image_alone_are_refused(middle: nn.Module, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_repeatable(network_of(middle), BATCH)


@pytest.mark.parametrize("middle", [nn.BatchNorm2d(8), nn.Dropout(), nn.InstanceNorm2d(8)])
def test_others_pass(middle: nn.Module) -> None:
    check_repeatable(network_of(middle), BATCH)
