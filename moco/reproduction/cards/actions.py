"""What the cards of the thesis may do to a network, and the agent that decides it, as published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moco.reproduction.setting import Setting


@dataclass(frozen=True)
class Action:
    """One of the three kinds of action (S1.40 to S1.43).

    Attributes:
        method: of moco's.
        recovery: steps after it; the thesis refits after channel pruning, and nothing else.
    """

    name: str
    method: str
    recovery: tuple[str, ...] = ()
    options: tuple[tuple[str, Any], ...] = ()

    def space(self, lowest: float) -> dict[str, Any]:
        """The space of shares from the lowest to 1, widths in single channels as published."""
        given = {"keep": [lowest, 1.0], **dict(self.options)}
        return {"groups": "per-layer", "channel_multiple": 1, self.method: given}


FP = Action("FP", "filter_pruning", options=(("rank", "l1"), ("coupled", False)))
CP = Action("CP", "channel_pruning", ("refit",), (("coupled", False),))
TD = Action("TD", "factorisation")
ACTIONS = (CP, FP, TD)


def published_agent(setting: Setting, episodes: int, **more: Any) -> dict[str, Any]:
    """The thesis's DDPG (S1.30 to S1.32): a quarter of the episodes is warm-up, a missed bound is a flat -50."""
    assert setting.seed >= 0
    options: Mapping[str, Any] = {
        "name": "ddpg",
        "state": "s1",
        "identity": False,
        "history": False,
        "hidden": [400, 300],
        "reward": "flat",
        "bounds": "none",
        "warmup": max(episodes // 4, 1),
        "noise_decay": 0.95,
        "actor_rate": 1.0e-4,
        "critic_rate": 1.0e-3,
        "saturation": 0.0,
    }
    return {**options, **more}
