"""A synthetic network of 15 layers with a known optimum: what an agent that walks over layers should learn in minutes.

Keep ratios a_i in [0.1, 1] of layers with multiply-accumulates m_i (of the whole network's), at most half of which may
be spent, and with sensitivities s_i:

    minimise   sum_i s_i (1 - a_i)^2 + sum_i c_i (1 - a_i) (1 - a_{i+1})   subject to   sum_i m_i a_i <= 0.5

Without interaction all c_i are 0; with it, neighbours help or hurt each other: c_i = rho_i sqrt(s_i s_{i+1}) with
|rho_i| <= 0.9, for which the loss stays convex. The layers are those of a random convolutional network. Each instance
has its own law that ties the logarithm of a sensitivity to the layer's features (depth, size, kernel), which explains
about four fifths of its variance; the rest is noise that only trying can tell. Ratios are rounded to channels, and the
cost of what was rounded is exact, as in a real network; the optimum is that of the unrounded problem, a lower bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from optuna.distributions import FloatDistribution
from scipy.optimize import LinearConstraint, minimize

from moco.compression.methods.filter_pruning import rounded_width
from moco.policy import Policy
from moco.problem import Problem
from moco.randomness import generator
from moco.space import LayerGroup, SearchSpace
from moco.trial import MetricValue, Point

N_LAYERS = 15
LOWEST_KEEP = 0.1
BUDGET = 0.5
"""Share of the multiply-accumulates that may be spent."""

LAW, NOISE = 0.6, 0.6
"""Standard deviations of a law's weight on each of the four standardised features, and of what no feature tells, in
the logarithm of the sensitivity. So that the problem is neither easier nor harder than such were found to be: CMA-ES
with repair ends 13 % above the optimum after 200 evaluations (median of 40 instances; with interaction 17 %)."""

LARGEST_INTERACTION = 0.9

FEATURES = (
    "index", "is_linear", "out_channels", "in_channels", "input_height", "input_width",
    "stride", "kernel", "weights", "macs",
)  # fmt: skip


@dataclass(frozen=True)
class Layers:
    """One instance.

    Attributes:
        macs: (L,) multiply-accumulates of each layer, whole.
        channels: (L,) channels of each layer, whole.
        sensitivities: (L,) s_i, of mean 1.
        interactions: (L - 1,) c_i.
        features: by name, (L,) as a network's layer groups have them.
    """

    macs: np.ndarray
    channels: np.ndarray
    sensitivities: np.ndarray
    interactions: np.ndarray
    features: Mapping[str, np.ndarray]

    def loss(self, keep: np.ndarray) -> float:
        """The loss of keep ratios (L,)."""
        lost = 1 - keep
        return float(self.sensitivities @ lost**2 + self.interactions @ (lost[:-1] * lost[1:]))

    @cached_property
    def optimum(self) -> np.ndarray:
        """Keep ratios (L,) of the least loss within the budget, not rounded."""
        pairs = np.diag(self.interactions, 1)
        hessian = 2 * np.diag(self.sensitivities) + pairs + pairs.T
        shares = self.macs / self.macs.sum()
        found = minimize(
            self.loss,
            np.full(len(shares), BUDGET),
            jac=lambda keep: -hessian @ (1 - keep),
            method="SLSQP",
            bounds=[(LOWEST_KEEP, 1.0)] * len(shares),
            constraints=[LinearConstraint(shares, -np.inf, BUDGET)],
            options={"ftol": 1e-12, "maxiter": 1000},
        )
        if not found.success:
            raise ArithmeticError(f"the optimum was not found: {found.message}")
        return np.asarray(found.x)

    def gap(self, loss: float) -> float:
        """How far a loss lies above the optimum's, relative to it."""
        return loss / self.loss(self.optimum) - 1

    def keep(self, point: Point) -> np.ndarray:
        """Keep ratios (L,) of a point."""
        return np.array([point[f"{name}.keep"] for name in names(len(self.macs))])

    def evaluate(self, point: Point) -> dict[str, float]:
        """Loss and macs of an executed point."""
        keep = self.keep(point)
        return {"loss": self.loss(keep), "macs": float(self.macs @ keep)}

    def problem(self) -> Problem:
        """Minimise the loss within half of the macs."""
        groups = tuple(
            LayerGroup(name, (f"{name}.keep",), (name,), {f: float(column[i]) for f, column in self.features.items()})
            for i, name in enumerate(names(len(self.macs)))
        )
        parameters = [parameter for group in groups for parameter in group.parameters]
        space = SearchSpace(
            distributions={parameter: FloatDistribution(LOWEST_KEEP, 1.0) for parameter in parameters},
            groups=groups,
            neutral=dict.fromkeys(parameters, 1.0),
            codec=Widths(dict(zip(parameters, map(int, self.channels), strict=True)), tuple(map(float, self.macs))),
        )
        reference = {"macs": MetricValue(float(self.macs.sum()))}
        return Problem(space, {"loss": "minimize"}, {"macs": f"<= {BUDGET}x"}, reference=reference)


@dataclass(frozen=True)
class Widths:
    """Implements moco.space.Codec: keep ratios are rounded to channels, and macs are linear in what is kept.

    Attributes:
        channels: by parameter, the channels of its layer.
        macs: of the whole layers, in the same order.
    """

    channels: Mapping[str, int]
    macs: tuple[float, ...]

    def policy(self, point: Point) -> Policy:
        """Channels left, by parameter."""
        return Policy.of({name: rounded_width(of, point[name]) for name, of in self.channels.items()})

    def point(self, policy: Policy) -> Point:
        """The ratios that were executed; the least width may lie just below the lowest ratio."""
        return {name: max(policy.settings[name] / of, LOWEST_KEEP) for name, of in self.channels.items()}

    def cost(self, policy: Policy) -> Mapping[str, float]:
        """Multiply-accumulates."""
        kept = self.point(policy)
        return {"macs": sum(macs * kept[name] for name, macs in zip(self.channels, self.macs, strict=True))}

    def n_policies(self) -> int | None:
        """Not counted."""
        return None


def names(n_layers: int) -> list[str]:
    """Names of the layers."""
    return [f"layer{i}" for i in range(n_layers)]


def instance(seed: int, interaction: bool = False, n_layers: int = N_LAYERS) -> Layers:
    """The instance of a seed; with interaction, the same layers and sensitivities and neighbours that interact."""
    rng = generator(seed, "layers")
    features, channels, macs = _geometry(rng, n_layers)
    depth, kernel = features["index"], features["kernel"]
    explaining = np.stack([depth, np.log(macs), np.log(features["weights"]), kernel])
    spread = explaining.std(axis=1, keepdims=True)
    explaining = (explaining - explaining.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1.0)
    log_sensitivity = rng.normal(0, LAW, 4) @ explaining + rng.normal(0, NOISE, n_layers)
    sensitivities = np.exp(log_sensitivity)
    sensitivities /= sensitivities.mean()
    rho = rng.uniform(-LARGEST_INTERACTION, LARGEST_INTERACTION, n_layers - 1)
    interactions = rho * np.sqrt(sensitivities[:-1] * sensitivities[1:]) * interaction
    return Layers(macs, channels, sensitivities, interactions, features)


def _geometry(rng: np.random.Generator, n_layers: int) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Features (S1.31), channels and macs of a random convolutional network on images of 32 x 32."""
    wider = set(rng.choice(np.arange(1, n_layers), size=3, replace=False).tolist())
    width = inner = int(rng.choice([32, 48, 64]))
    side, rows = 32, []
    for i in range(n_layers):
        stride = 2 if i in wider else 1
        width, kernel = width * stride, int(rng.choice([1, 3], p=[0.3, 0.7]))
        weights = width * inner * kernel**2
        output = side // stride
        rows.append((i, 0, width, inner, side, side, stride, kernel, weights, weights * output**2))
        side, inner = output, width
    columns = np.array(rows, dtype=float).T
    features = dict(zip(FEATURES, columns, strict=True))
    macs = features["macs"]
    features["macs_after"] = macs.sum() - np.cumsum(macs)
    return features, features["out_channels"], macs
