"""The trained weights that a search's candidates begin with (`space.base_weights`), read beside their policy."""

from __future__ import annotations

import hashlib

from moco.compression.compressor import Compressor
from moco.compression.space.base_policy import read_base
from moco.errors import ConfigError, DataError
from moco.evaluation.base_network import BaseNetwork
from moco.models.weights import load_weights
from moco.run.plan import SpacePlan

WHERE = "space.base_weights"


def base_weights_hash(plan: SpacePlan) -> str | None:
    """SHA-256 of the file; None where the search begins with the original's weights. A ConfigError: it is not there."""
    if plan.base_weights is None:
        return None
    try:
        return hashlib.sha256(plan.base_weights.read_bytes()).hexdigest()
    except OSError as error:
        raise ConfigError(f"{WHERE}: {plan.base_weights}: cannot be read: {error.strerror}") from None


def base_network(plan: SpacePlan, compressor: Compressor) -> BaseNetwork | None:
    """The base's network with those weights; None where there are none. A DataError where they do not fit it."""
    if plan.base is None or plan.base_weights is None:
        return None
    policy = read_base(plan.base)
    network = compressor.structure(policy)
    try:
        load_weights(network, plan.base_weights)
    except DataError as error:
        raise DataError(f"{WHERE}: {error}") from None
    return BaseNetwork(policy, network.eval())
