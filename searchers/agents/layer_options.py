"""What the agents that walk over layers let the user choose."""

from __future__ import annotations

from dataclasses import dataclass

from moco.errors import ConfigError
from moco.searchers.agents.layer_rewards import FLAT, GRADED, RANKS
from moco.searchers.agents.layer_states import S1, S3
from moco.searchers.shared.cost_bounds import FILL, NONE, SHRINK
from moco.searchers.shared.option_checks import one_of

WALL = "wall"


@dataclass(frozen=True, kw_only=True)
class LayerOptions:
    """Options of every agent that walks over layers; see `layer_states`, `layer_actions`, `layer_rewards`."""

    state: str = S1  # `s1`, the features of S1.31, or `s3`, those of Galen, the sensitivity analysis among them
    identity: bool = True  # whether the state also tells which layer it is: what one teaches need not hold for all
    history: bool = True
    """Whether the state holds the executed actions of all layers before, not of the last one alone: without them a
    critic takes what earlier layers cost for noise."""
    share: bool = True  # whether a layer's ratios share one action, and its precision and bits two (S3.43)
    hidden: tuple[int, ...] = (64, 64)
    """Units of the hidden layers of both networks; `[400, 300]` in the published ones, which learned no better and took
    four times as long."""
    reward: str = RANKS
    """`ranks` among the trials that are learned from; the score on a fixed scale, with what misses a bound `graded` by
    how far, below all that meets them; or the same with a `flat` -50 for it, S1's."""
    bounds: str = WALL
    """How bounds on exact costs are kept (see `cost_bounds`): `none`, by the reward alone; `wall`, each action lowered
    on the way as far as they ask for (AMC); `shrink`, all actions of the finished walk lowered by the same amount;
    `fill`, also raised as far as they allow, for scores that grow with what is kept."""

    def __post_init__(self) -> None:
        one_of("state", self.state, (S1, S3))
        one_of("reward", self.reward, (RANKS, GRADED, FLAT))
        one_of("bounds", self.bounds, (NONE, WALL, SHRINK, FILL))
        whole = all(isinstance(size, int) and not isinstance(size, bool) and size >= 1 for size in self.hidden)
        if not self.hidden or not whole:
            expected = "sizes of hidden layers such as [64, 64]"
            raise ConfigError(f"searcher.hidden: expected {expected}, got {list(self.hidden)}")
