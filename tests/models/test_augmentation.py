"""Images moved and mirrored: against a second way of doing it, and alike whenever a view comes round."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from moco.models.augmentation import View, moved, shifted

IMAGES = torch.arange(2.0 * 6 * 5 * 4).reshape(6, 2, 5, 4)


def gathered(images: Tensor, shift: int, down: Tensor, right: Tensor) -> Tensor:
    """The same by an index for each pixel, as moco did it before."""
    count, channels, height, width = images.shape
    rows = (down[:, None] + torch.arange(height))[:, None, :, None]
    columns = (right[:, None] + torch.arange(width))[:, None, None, :]
    places = torch.arange(count)[:, None, None, None], torch.arange(channels)[None, :, None, None]
    return F.pad(images, (shift,) * 4)[(*places, rows, columns)]


@pytest.mark.parametrize("shift", [1, 3])
def test_windows_are_what_an_index_for_each_pixel_gives(shift: int) -> None:
    down, right = torch.randint(0, 2 * shift + 1, (2, 6), generator=torch.Generator().manual_seed(1))
    assert torch.equal(moved(IMAGES, shift, down, right), gathered(IMAGES, shift, down, right))
    drawn = shifted(IMAGES, shift, torch.Generator().manual_seed(1))
    assert torch.equal(drawn, gathered(IMAGES, shift, down, right))


def test_an_image_looks_the_same_in_any_order_and_company() -> None:
    view, original = View(seed=3, shift=2, flip=True, number=1, of=4), IMAGES.clone()
    whole = view.shown(IMAGES, torch.arange(6))
    for rows in (torch.tensor([4, 1]), torch.tensor([1, 0, 5, 4])):
        assert torch.equal(view.shown(IMAGES, rows), whole[rows])
    assert torch.equal(IMAGES, original)


def test_each_view_is_another_one_and_comes_of_the_seed() -> None:
    images, rows = IMAGES.repeat(20, 1, 1, 1), torch.arange(120)
    seen = [View(seed, 1, True, number).shown(images, rows) for seed in (0, 1) for number in (0, 1)]
    assert all(not torch.equal(one, other) for place, one in enumerate(seen) for other in seen[:place])
    mirrored = View(0, 0, True).shown(images, rows) != images
    assert 0.3 < mirrored.flatten(1).any(1).float().mean() < 0.7
    assert torch.equal(View(0, 0, False).shown(images, rows), images)
