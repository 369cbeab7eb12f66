"""Whether a network gives an image the same logits each time, whatever other images stand beside it."""

from __future__ import annotations

import torch
from torch import nn

from moco.errors import ConfigError

BATCH, TOLERANCE = 8, 1e-3  # of the largest logit, as a file may differ from its network


def check_repeatable(network: nn.Module, images: torch.Tensor) -> None:
    """Pass a network, in evaluation mode, that gives the first of these images (n, channels, height, width) its logits.

    A ConfigError where two passes differ, or an image alone and among others: no file could agree with such a network.
    """
    batch = images[:BATCH]
    with torch.no_grad():
        together, again, alone = network(batch), network(batch), network(batch[:1])
    largest = float(together.abs().max())
    if not float((together - again).abs().max()) <= TOLERANCE * largest:
        raise ConfigError(
            "the network gives the same images other logits in a second pass; "
            "look for randomness in its evaluation mode, such as a dropout without `training=self.training`"
        )
    if not float((together[:1] - alone).abs().max()) <= TOLERANCE * largest:
        norms = [name for name, module in network.named_modules() if _of_the_batch(module)]
        first = f"; '{norms[0]}' normalises by the batch (track_running_stats=False)" if norms else ""
        raise ConfigError(
            f"the network gives an image other logits alone than among others{first}; "
            "give one whose logits in evaluation mode depend on the image alone"
        )


def _of_the_batch(module: nn.Module) -> bool:
    return isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is None
