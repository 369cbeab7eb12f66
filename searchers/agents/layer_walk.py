"""The walk of an agent over a space's layer groups, in the order of the forward pass: states, actions, a point.

An episode is one walk: in each layer the agent sees a state (`layer_states`), gives actions (`layer_actions`), and at
the end there is a point of the space. The same states follow from a finished trial's point, so what an agent learns
from is what was executed, and nothing but the trial is needed (W20).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from moco.cost_bounds import FILL, NONE, SHRINK, CostBounds, Costs, heaviest, idle_bounds
from moco.encoding import project
from moco.errors import ConfigError
from moco.problem import Problem
from moco.searchers.agents.direct_metrics import DirectMetrics
from moco.searchers.agents.layer_actions import ABSENT, ActionSet, action_set
from moco.searchers.agents.layer_rewards import FLAT, GRADED, RANKS, SCORE
from moco.searchers.agents.layer_states import REMAINING, S1, S3, SENSITIVITY, centred, static_features
from moco.searchers.agents.published_states import GALEN, PUBLISHED, published_state
from moco.searchers.shared.option_checks import one_of
from moco.space import LayerGroup
from moco.trial import Point

WALL = "wall"
MEASURED, CONSTANT = "measured", "constant"
MOST_HIDDEN, MOST_UNITS = 8, 4096
NO_NOTES: Mapping[str, Any] = MappingProxyType({})
Choose = Callable[[int, np.ndarray], np.ndarray]  # actions (A,) of an agent for a layer and its state (features,)


@dataclass(frozen=True, kw_only=True)
class LayerOptions:
    """Options of every agent that walks over layers; see `layer_states`, `layer_actions`, `layer_rewards`."""

    state: str = S1  # `s1`, the features of S1.31, or `s3`, those of Galen, the sensitivity analysis among them
    features: str | None = None
    """`s1`, `galen_p`, `galen_q`, `galen_pq` or `s5`: exactly the published vector in place of `state`, `identity` and
    `history` (see `published_states`)."""
    sensitivities: str | None = None
    """`measured`, or `constant` in place of the sensitivities in `features` (S3.53); None is measured."""
    direct: bool | None = None  # whether the state also holds the device's metrics of the network before (Q19)
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
    how far, below all that meets them; the same with a `flat` -50 for it, S1's; or the `score` as it is."""
    bounds: str = WALL
    """How bounds on exact costs are kept (see `cost_bounds`): `none`, by the reward alone; `wall`, each action lowered
    on the way as far as they ask for (AMC); `shrink`, all actions of the finished walk lowered by the same amount;
    `fill`, also raised as far as they allow, for scores that grow with what is kept."""

    def __post_init__(self) -> None:
        one_of("state", self.state, (S1, S3))
        one_of("reward", self.reward, (RANKS, GRADED, FLAT, SCORE))
        if self.features is not None:
            one_of("features", self.features, PUBLISHED)
        if self.sensitivities is not None:
            one_of("sensitivities", self.sensitivities, (MEASURED, CONSTANT))
        one_of("bounds", self.bounds, (NONE, WALL, SHRINK, FILL))
        whole = all(isinstance(size, int) and not isinstance(size, bool) for size in self.hidden)
        whole = whole and all(1 <= size <= MOST_UNITS for size in self.hidden)
        if not 1 <= len(self.hidden) <= MOST_HIDDEN or not whole:
            expected = f"1 to {MOST_HIDDEN} sizes of hidden layers in 1..{MOST_UNITS}, such as [64, 64]"
            raise ConfigError(f"searcher.hidden: expected {expected}, got {list(self.hidden)}")


@dataclass(frozen=True)
class Episode:
    """One walk over L layers."""

    point: Point  # a value for every parameter
    states: np.ndarray  # (L, features)
    actions: np.ndarray  # (L, A), as executed: within [0, 1] and the bounds, and for a finished trial as rounded


class LayerWalk:
    """The walk over a problem's space: over `n_layers` (L), each of which has some of `n_actions` (A)."""

    def __init__(self, problem: Problem, options: LayerOptions) -> None:
        """Find the layers, their actions and features; a ConfigError where the space has no layer groups."""
        space = problem.space
        if not space.groups:
            raise ConfigError("searcher: it walks over layer groups, which a plain space does not have")
        groups = [group for group in space.groups if group.parameters]
        grouped = {name for group in groups for name in group.parameters}
        rest = tuple(name for name in space.distributions if name not in grouped)
        if rest:  # parameters of no group are decided last, as one more layer
            groups.append(LayerGroup("rest", rest))
        self._space, self._groups, self._options = space, groups, options
        self._actions: ActionSet = action_set(space, groups, options.share)
        constant, named = options.sensitivities == CONSTANT, options.features
        self._published = None if named is None else published_state(named, space, groups, self._actions, constant)
        self._static = static_features(groups, options.state, options.identity)
        self.mask = self._actions.mask  # (L, A): 1 where the layer has the action
        self.n_layers, self.n_actions = self.mask.shape
        self.lightest, self.heaviest = (self.point(np.full(self.mask.shape, level)) for level in (0.0, 1.0))
        self.cost_bounds = CostBounds(problem, self.lightest)
        self._whole: Costs = self.cost_bounds.costs(self.heaviest)
        self._remaining = tuple(name for name in REMAINING[options.state] if self._whole.get(name))
        self.direct = DirectMetrics(problem, bool(options.direct))
        self.n_features = len(self.state([], self.lightest, self.heaviest)) + len(self.direct)  # the length of a state

    def warnings(self, problem: Problem) -> list[str]:
        """Options of an agent that have no effect on the problem."""
        options = self._options
        told = idle_bounds("bounds", options, problem, self.cost_bounds.binds)
        if options.direct and not len(self.direct):
            told.append("direct: has no effect: the objective names no metric that is read from the device")
        if options.sensitivities == CONSTANT and options.features not in GALEN:
            told.append(f"sensitivities: '{CONSTANT}' has no effect without `features` of Galen's")
        if options.features is not None:
            idle = [f"state: '{options.state}' has no effect beside `features`"] if options.state != S1 else []
            return [*told, *idle]
        seen = any(name.startswith(SENSITIVITY) for group in problem.space.groups for name in group.features)
        if options.state == S3 and not seen:
            none = f"no layer has features {SENSITIVITY}*, which space.sensitivity takes from what `moco sensitivity`"
            return [f"state: '{S3}' shows no sensitivities: {none} has written", *told]
        return told

    def rollout(self, choose: Choose, notes: Mapping[str, Any] = NO_NOTES) -> Episode:
        """A walk in which `choose` acts; behind a wall, no action may make the bounds unreachable (AMC's).

        In each layer the actions are lowered together, towards the lightest, until the rounded policy with all
        layers that follow at their lightest meets the bounds. So does the lightest policy, and each step keeps it
        so, whatever rounding does: the last step's policy is the finished one. `notes` are those of the suggestion.
        """
        walled = self._options.bounds == WALL and self.cost_bounds.binds
        steps = _Steps(self, notes)
        for layer in range(self.n_layers):
            actions = np.clip(choose(layer, steps.state()), 0.0, 1.0)
            if walled:
                actions = self._affordable(layer, actions, steps.light)
            steps.take(layer, actions, self._actions.values(layer, actions))
        return steps.episode()

    def repaired(self, episode: Episode) -> Point:
        """The point of a finished walk, kept within the bounds by moving all of its actions by the same amount.

        They are lowered until the rounded policy meets the bounds and, to fill them, raised as far as they allow.
        """
        if self._options.bounds not in {SHRINK, FILL} or not self.cost_bounds.binds:
            return episode.point

        def moved(by: float) -> Point:
            return self.point(np.clip(episode.actions + by, 0.0, 1.0))

        most = 1.0 if self._options.bounds == FILL else 0.0
        return moved(heaviest(lambda by: self.cost_bounds.meets(moved(by)), -1.0, most))

    def of(self, point: Point, notes: Mapping[str, Any] = NO_NOTES) -> Episode:
        """The walk that leads to a point, such as a finished trial's, with the notes of its suggestion."""
        executed = project(self._space, point)
        steps = _Steps(self, notes)
        for layer, group in enumerate(self._groups):
            steps.state()
            values = {name: executed[name] for name in group.parameters}
            steps.take(layer, self._actions.executed(layer, executed), values)
        return steps.episode()

    def point(self, actions: np.ndarray) -> dict[str, Any]:
        """The point of actions (L, A), clipped to [0, 1]."""
        point: dict[str, Any] = {}
        for layer in range(self.n_layers):
            point |= self._actions.values(layer, actions[layer])
        return point

    def state(self, taken: Sequence[np.ndarray], light: Point, heavy: Point) -> np.ndarray:
        """The features of the next layer after actions `taken` (A,) in each layer before; see `layer_states`.

        `light` and `heavy` are the point so far, with all layers that follow at their lightest, and at their heaviest.
        """
        before = taken[-1] if taken else np.full(self.n_actions, ABSENT)
        if self._published is not None:
            return self._published.of(len(taken), before, self._whole, self.cost_bounds.costs(heavy))
        shares = list(before)
        if self._remaining or self.cost_bounds.binds:
            most = self.cost_bounds.costs(heavy)
            shares += [most[name] / self._whole[name] for name in self._remaining]
            if self.cost_bounds.binds:
                shares.append(self.cost_bounds.headroom(self.cost_bounds.costs(light), most))
        history = np.zeros(self.mask.shape if self._options.history else (0, 0))
        history[: len(taken)] = centred(np.array(taken)) if self._options.history and taken else 0.0
        return np.concatenate([self._static[len(taken)], centred(np.array(shares)), history.ravel()])

    def _affordable(self, layer: int, actions: np.ndarray, light: Point) -> np.ndarray:
        """The actions, scaled down as far as the bounds ask for it."""
        meets, values = self.cost_bounds.meets, self._actions.values
        return actions * heaviest(lambda x: meets({**light, **values(layer, actions * x)}), 0.0, 1.0)


class _Steps:
    """A walk under way: the point so far, with all layers that follow at their lightest, and at their heaviest."""

    def __init__(self, walk: LayerWalk, notes: Mapping[str, Any]) -> None:
        self._walk, self._direct = walk, walk.direct.seen(notes)
        self.light, self.heavy = dict(walk.lightest), dict(walk.heaviest)
        self._states: list[np.ndarray] = []
        self._actions: list[np.ndarray] = []

    def state(self) -> np.ndarray:
        of_layer = self._walk.state(self._actions, self.light, self.heavy)
        self._states.append(np.concatenate([of_layer, self._direct]) if len(self._direct) else of_layer)
        return self._states[-1]

    def take(self, layer: int, actions: np.ndarray, values: Point) -> None:
        self._actions.append(np.where(self._walk.mask[layer] > 0, actions, ABSENT))
        self.light |= values
        self.heavy |= values

    def episode(self) -> Episode:
        return Episode(self.light, np.array(self._states), np.array(self._actions))
