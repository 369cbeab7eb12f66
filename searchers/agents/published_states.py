"""State vectors of exactly the features that each published agent saw of a layer, in the papers' order.

| vector | features | after |
|---|---|---|
| `s1` | 13 | the Chalmers thesis, S1.31 |
| `galen_p`, `galen_q`, `galen_pq` | 19, 32, 47 | Galen's source: its agents that prune, quantise, do both |
| `s5` | 8 | the two-stage PPO, S5.02 |

`features_of` names them. Galen has ten divergences by sparsity, at 0, 0.1 … 0.9, and ten by either kind of bits, at
those that S3.14 makes of the same ten numbers: of at most six bits 6, 6, 5, 5, 4, 4, 3, 2, 2 and 1. They are those of
`space.sensitivity`, in nats.

Departures from the papers:
1. Columns are scaled by fixed numbers of the space (W20), Galen's to mean 0 and deviation 1 over its layers, which its
   running statistics come to, those of `s1` and `s5` to [0, 1]. Shares are left as they are.
2. A layer without a divergence (which cannot be pruned) stands at the mean; Galen wrote 1000.0, which spoilt the scale.
   The divergence of float32 is 0 by definition, here as there.
3. Numbers of a layer are those of the whole network. What earlier layers took off its inputs is seen in "before": the
   network's cost as compressed so far, less the layer's own and that of all that follow. All are over the network's.
4. `galen_p` reads "current sparsity" as that of the layer before, as `galen_pq` does: each layer is decided once.
5. `galen_p` and `galen_q` lack the number of weights, as in Galen's source, which overwrote it.
6. `s5` has one number for what may go, also of bits (fewest over most), where the paper names two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from optuna.distributions import FloatDistribution, IntDistribution

from moco.cost_bounds import Costs
from moco.errors import ConfigError
from moco.searchers.agents.layer_actions import BITS, ActionSet, PrecisionAndBits
from moco.space import LayerGroup, SearchSpace

S1, GALEN_P, GALEN_Q, GALEN_PQ, S5 = "s1", "galen_p", "galen_q", "galen_pq", "s5"
GALEN = (GALEN_P, GALEN_Q, GALEN_PQ)
PUBLISHED = (S1, GALEN_P, GALEN_Q, GALEN_PQ, S5)

POINTS = tuple(k / 10 for k in range(10))
"""What is taken off: the sparsities at which Galen samples sensitivities, and shares of the bits."""
FLOAT_BITS = 32
REMOVED = "removed"
WEIGHT, ACTIVATION = PrecisionAndBits.kinds
DYNAMIC = (REMOVED, WEIGHT, ACTIVATION, "previous", "macs_left", "macs_before", "bops_before")
SHARED_ACTIONS = {GALEN_P: {"ratio"}, GALEN_Q: {WEIGHT, ACTIVATION}, GALEN_PQ: {"ratio", WEIGHT, ACTIVATION}}
KL = "kl_"


def bits_at(share: float, most: int) -> int:
    """Bits that a share in [0, 1) to be taken off leaves of `most` (S3.14): floor((1 - r) n) + 1 within [1, n]."""
    return min(max(int((1 - share) * most + 1e-9) + 1, 1), most)


def features_of(vector: str, weight_bits: int = 6, activation_bits: int = 6) -> tuple[str, ...]:
    """Names of the vector's features in their order; where bits are few, a divergence stands several times."""
    sparsities = tuple(f"{KL}keep_{1 - share:g}" for share in POINTS)
    weights = tuple(f"{KL}weight_bits_{bits_at(share, weight_bits)}" for share in POINTS)
    activations = tuple(f"{KL}activation_bits_{bits_at(share, activation_bits)}" for share in POINTS)
    plain, shape = (f"{KL}int8", f"{KL}float32"), ("out_channels", "in_channels", "kernel", "stride")
    macs, bops = ("macs_before", "macs_share_after"), ("bops_before", "bops_share_after")
    return {
        S1: (
            *("index", "is_linear", "out_channels", "in_channels", "input_height", "input_width", "stride", "kernel"),
            *("weights", "macs", "previous", "macs_after", "macs_left"),
        ),
        GALEN_P: ("index", "macs", *shape, *macs, *sparsities, REMOVED),
        GALEN_Q: ("index", "bops", *shape, *bops, *activations, *weights, *plain, ACTIVATION, WEIGHT),
        GALEN_PQ: (
            *("index", "macs", "bops", *shape, "weights", *macs, *bops),
            *(*sparsities, *activations, *weights, *plain, REMOVED, ACTIVATION, WEIGHT),
        ),
        S5: ("index", "out_channels", "in_channels", "kernel", "kernel_width", "stride", "most_off", "flops"),
    }[vector]


@dataclass(frozen=True)
class PublishedState:
    """A vector over the layers of a space."""

    names: tuple[str, ...]  # of its features, in order
    fixed: np.ndarray  # (L, features), with 0 for those that depend on actions
    shares: np.ndarray  # (L,) of the network's MACs that a layer and all that follow have
    places: Mapping[str, int]  # of the actions, among those of the space

    def of(self, layer: int, before: np.ndarray, whole: Costs, now: Costs) -> np.ndarray:
        """The features of a layer.

        `before` (A,) are the executed actions of the layer before, `whole` the network's costs uncompressed and `now`
        as compressed so far.
        """
        left = {name: now[name] / whole[name] for name in ("macs", "bops") if whole.get(name)}
        known = {name: 1.0 - float(before[place]) for name, place in self.places.items()}
        known["previous"] = float(before[0])
        known["macs_left"] = left.get("macs", 1.0)
        for name in ("macs", "bops"):
            known[f"{name}_before"] = max(left.get(name, 1.0) - float(self.shares[layer]), 0.0)
        found: np.ndarray = self.fixed[layer].copy()
        for place, name in enumerate(self.names):
            if name in DYNAMIC:
                found[place] = known[name]
        return found


def published_state(
    vector: str, space: SearchSpace, groups: Sequence[LayerGroup], actions: ActionSet, constant: bool
) -> PublishedState:
    """The vector for these layers; with `constant`, every divergence is 0 (the ablation S3.53).

    A ConfigError refuses a space whose layers have other actions than the vector tells of, or lack its features.
    """
    _check_actions(vector, actions)
    names = features_of(vector, *(_most(space, groups, kind) for kind in BITS))
    columns = {name: _column(space, groups, name) for name in dict.fromkeys(names) if name not in DYNAMIC}
    for name, column in columns.items():
        if not (constant and name.startswith(KL)) and np.isnan(column).all():
            raise ConfigError(_lacking(vector, name))
    scaled = {name: _scaled(vector, name, column, constant) for name, column in columns.items()}
    fixed = np.stack([scaled.get(name, np.zeros(len(groups))) for name in names], axis=1)
    own, after = (np.nan_to_num(_feature(groups, name)) for name in ("macs", "macs_after"))
    places = {REMOVED if kind == "ratio" else kind: place for place, kind in enumerate(actions.kinds)}
    return PublishedState(names, fixed, (own + after) / _total(groups), places)


def _check_actions(vector: str, actions: ActionSet) -> None:
    expected, found = SHARED_ACTIONS.get(vector), ", ".join(actions.kinds)
    if expected is not None and set(actions.kinds) != expected:
        told = f"the state of an agent with the actions {', '.join(sorted(expected))}; those of this space are {found}"
        raise ConfigError(f"searcher.features: '{vector}' is {told}; choose another one, or change the space")
    if vector == S1 and len(actions.kinds) > 1:
        told = f"the state of an agent with one action a layer; those of this space are {found}"
        raise ConfigError(f"searcher.features: '{vector}' is {told}; declare one method, or leave `features` out")


def _lacking(vector: str, name: str) -> str:
    if name.startswith(KL):
        way = "name in space.sensitivity what `moco sensitivity` has written, or set sensitivities: constant"
    else:
        way = "leave `features` out"
    return f"searcher.features: '{vector}' holds '{name}', which no layer of this space has; {way}"


def _most(space: SearchSpace, groups: Sequence[LayerGroup], kind: str) -> int:
    """The most bits of that kind that a layer may have; 8 where none are searched."""
    found = [space.distributions[name] for group in groups for name in group.parameters if name.endswith(kind)]
    return max((d.high for d in found if isinstance(d, IntDistribution)), default=8)


def _column(space: SearchSpace, groups: Sequence[LayerGroup], name: str) -> np.ndarray:
    """(layers,) of a feature that no action changes, NaN where a layer lacks it."""
    found, macs = _feature(groups, name), _feature(groups, "macs")
    if name == f"{KL}float32":
        found = np.zeros(len(groups))
    elif name == "most_off":
        found = np.array([_most_off(space, group) for group in groups])
    elif name in {"macs_share_after", "bops_share_after"}:  # uncompressed BOPs are MACs times a constant
        found = _feature(groups, "macs_after") / _total(groups)
    elif name in {"bops", "flops"}:
        found = macs * (FLOAT_BITS**2 if name == "bops" else 2)
    elif name == "index" and np.isnan(found).all():
        found = np.arange(len(groups), dtype=float)
    elif name == "kernel_width":
        found = np.where(np.isnan(found), _feature(groups, "kernel"), found)
    return found


def _total(groups: Sequence[LayerGroup]) -> float:
    """MACs of the network: the most that a layer and all that follow have."""
    shares = np.nan_to_num(_feature(groups, "macs")) + np.nan_to_num(_feature(groups, "macs_after"))
    return float(shares.max()) or 1.0


def _feature(groups: Sequence[LayerGroup], name: str) -> np.ndarray:
    return np.array([group.features.get(name, np.nan) for group in groups], dtype=float)


def _most_off(space: SearchSpace, group: LayerGroup) -> float:
    """The largest share that a parameter of the group may take off: 1 - lowest over highest."""
    found = [space.distributions[name] for name in group.parameters]
    numbers = [d for d in found if isinstance(d, (FloatDistribution, IntDistribution)) and d.high > 0]
    return max((1 - d.low / d.high for d in numbers), default=0.0)


def _scaled(vector: str, name: str, column: np.ndarray, constant: bool) -> np.ndarray:
    if constant and name.startswith(KL):
        return np.zeros_like(column)
    if name == "most_off" or name.endswith("_share_after"):
        return np.asarray(np.nan_to_num(column))
    if vector in {S1, S5}:
        low, high = np.nanmin(column), np.nanmax(column)
        return np.asarray(np.nan_to_num((column - low) / (high - low if high > low else 1.0)))
    return np.asarray(np.nan_to_num((column - np.nanmean(column)) / (float(np.nanstd(column)) or 1.0)))
