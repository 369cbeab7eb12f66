"""Images as a training sees them: each moved and mirrored at random, a whole batch at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from moco.randomness import derived_seed


def moved(images: Tensor, shift: int, down: Tensor, right: Tensor) -> Tensor:
    """Images (n, channels, height, width), each read from its own place in a frame of `shift` zeros around it.

    The places (n,) count from 0, the upper or left end of the frame, to 2 `shift`. It is one copy: all places of an
    image are windows onto the same memory, of which each image has one chosen.
    """
    height, width = images.shape[2:]
    windows = F.pad(images, (shift,) * 4).unfold(2, height, 1).unfold(3, width, 1)
    return windows[torch.arange(len(images)), :, down, right]


def shifted(images: Tensor, shift: int, rng: torch.Generator) -> Tensor:
    """The batch with each image moved by up to `shift` pixels in each direction, zeros moving in."""
    if shift == 0:
        return images
    down, right = torch.randint(0, 2 * shift + 1, (2, len(images)), generator=rng)
    return moved(images, shift, down, right)


@dataclass(frozen=True)
class View:
    """One way to see a whole set of images: what is drawn for an image depends on the seed, the view and its row.

    So an image looks the same whenever the view comes round, in whatever order the images are shown.
    """

    seed: int
    shift: int  # pixels, at most, in each direction
    flip: bool  # whether each image is mirrored left to right with probability 1/2
    number: int = 0
    # How many views there are, which come round; None for another one each time. Not compared: a view is the same in a
    # plan of fewer views and of more.
    of: int | None = field(default=None, compare=False)

    def shown(self, images: Tensor, rows: Tensor) -> Tensor:
        """These rows of all images (n, channels, height, width) as they are seen."""
        seen = images[rows]
        if not (self.shift or self.flip):
            return seen
        down, right, mirrored = (drawn[rows] for drawn in _drawn(self, len(images)))
        if self.shift:
            seen = moved(seen, self.shift, down, right)
        if self.flip:
            seen[mirrored] = seen[mirrored].flip(3)
        return seen


@lru_cache(maxsize=16)
def _drawn(view: View, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Place from the top and from the left, and whether it is mirrored, of each of `count` images."""
    rng = torch.Generator().manual_seed(derived_seed(view.seed, "view", view.number))
    down, right = torch.randint(0, 2 * view.shift + 1, (2, count), generator=rng)
    return down, right, torch.rand(count, generator=rng) < 0.5
