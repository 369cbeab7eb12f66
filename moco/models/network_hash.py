"""What tells one trained network from another."""

from __future__ import annotations

import hashlib

from torch import nn


def network_hash(network: nn.Module) -> str:
    """SHA-256 over the network's structure and tensors."""
    digest = hashlib.sha256(str(network).encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.detach().contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()
