"""The network that a search builds on (`space.base_weights`): a base policy's, with the weights an earlier one trained.

Two-stage compression (S5.01) tunes a network after each stage and goes on from its weights. What the base policy does
to the network has been done then, once; a candidate gets what its policy does beyond that.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from moco.compression.compressor import Compressor
from moco.compression.policy_settings import by_method, pruned
from moco.errors import CompressionError
from moco.policy import Policy


@dataclass(frozen=True)
class Beginning:
    """Where a candidate begins: a pruned network that is its own, and what is still to be done to it."""

    network: nn.Module
    rest: Policy  # of the candidate's policy
    pruned: bool  # whether channels were removed just now, so that steps after pruning have something to mend


@dataclass(frozen=True)
class BaseNetwork:
    """A compressed network with the weights that a recovery, or the training of a finalist, gave it."""

    policy: Policy
    network: nn.Module  # of the policy's shapes; never changed

    def beginning(self, compressor: Compressor, policy: Policy, kept: dict[str, np.ndarray]) -> Beginning | None:
        """Where a policy that holds all of the base begins; None for another one, as the reference's is.

        `kept` is what the policy keeps by channel group. A CompressionError where channels were to be removed from a
        base whose layers are others already.
        """
        rest = self._rest(policy)
        if rest is None:
            return None
        if not pruned(rest):
            return Beginning(copy.deepcopy(self.network), rest, pruned=False)
        return Beginning(compressor.graph.thin(self._whole(compressor), kept), policy, pruned=True)

    def _rest(self, policy: Policy) -> Policy | None:
        base, found = self.policy.settings, policy.settings
        if any(found.get(name, {}).get(key) != value for name, one in base.items() for key, value in one.items()):
            return None
        rest: dict[str, dict[str, Any]] = {
            name: {key: value for key, value in one.items() if key not in base.get(name, {})}
            for name, one in found.items()
        }
        return Policy.of({name: one for name, one in rest.items() if one})

    def _whole(self, compressor: Compressor) -> nn.Module:
        """The original's structure with the base's weights; branches that the base has not have the original's."""
        whole = copy.deepcopy(compressor.network)
        changed = [m.name for m, _ in by_method(self.policy) if m.changes_structure and not m.removes_branches]
        if changed:
            raise CompressionError(
                f"space.base: channels cannot be removed after '{changed[0]}', which gave layers other shapes; remove "
                "them first"
            )
        whole.load_state_dict(self.network.state_dict(), strict=False)
        return whole
