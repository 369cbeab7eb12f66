"""Batch-norms: which modules they are, and what they see."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@contextmanager
def observing(norms: Sequence[nn.Module]) -> Iterator[None]:
    """Let the batch-norms normalise by what they see, averaged into fresh running statistics; then put all back."""
    before = [(m.training, m.momentum, m.running_mean, m.running_var, m.num_batches_tracked) for m in norms]
    try:
        for module in norms:
            if module.running_mean is not None:
                module.running_mean = torch.zeros_like(module.running_mean)  # type: ignore[arg-type]
                module.running_var = torch.zeros_like(module.running_var)  # type: ignore[arg-type]
                module.num_batches_tracked = torch.tensor(0)
            module.momentum = None  # type: ignore[assignment]  # a plain average over the batches
            module.train()
        yield
    finally:
        for module, state in zip(norms, before, strict=True):
            training, module.momentum, module.running_mean, module.running_var, module.num_batches_tracked = state
            module.train(training)
