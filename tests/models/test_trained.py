"""A network is held to the images before anything is done with it."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import nn

from moco.errors import DataError
from moco.models.trained import Task, check_fit


class Exiting(nn.Module):
    """A forward pass that ends the process."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        sys.exit(0)


def test_a_forward_pass_that_exits_is_one_line() -> None:
    with pytest.raises(DataError, match=r"does not take images of shape \(1, 8, 8\) from mine: SystemExit: 0"):
        check_fit(Exiting(), Task((1, 8, 8), 4, "mine"))
