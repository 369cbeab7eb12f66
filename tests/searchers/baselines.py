"""A small network's space and its exact costs, on which the baselines can be followed by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from moco.policy import Policy
from moco.problem import Problem
from moco.space import LayerGroup, SearchSpace
from moco.trial import MetricValue, Point

MACS = {"a": 600.0, "b": 300.0, "c": 100.0}
SENSITIVITY = {"a": 1.0, "b": 1.1, "c": 4.0}
"""No two steps lose as much for what they save."""


@dataclass(frozen=True)
class Eighths:
    """A codec that rounds ratios to keep to eighths; bits count while the precision is mixed only."""

    def policy(self, point: Point) -> Policy:
        settings: dict[str, object] = {}
        for name in MACS:
            width = max(1, round(8 * point[f"{name}.keep"]))
            bits = point.get(f"{name}.weight_bits") if point.get(f"{name}.precision") == "mixed" else None
            low = point.get(f"{name}.precision", "float32") != "float32"
            settings[name] = [width, bits if bits is not None else 8 if low else 32]
        return Policy.of(settings)

    def point(self, policy: Policy) -> Point:
        return {f"{name}.keep": width / 8 for name, (width, _) in policy.settings.items()}

    def cost(self, policy: Policy) -> Mapping[str, float]:
        macs = {name: MACS[name] * width / 8 for name, (width, _) in policy.settings.items()}
        bits = {name: bits for name, (_, bits) in policy.settings.items()}
        return {"macs": sum(macs.values()), "bops": sum(macs[name] * bits[name] for name in macs)}

    def n_policies(self) -> int | None:
        return None


def pruning(constraints: Mapping[str, str] | None = None, *, losses: tuple[str, ...] = ("error", "macs")) -> Problem:
    """Three layers that may keep an eighth to all of their channels; loss sum s (1 - keep)^2, cost sum macs x keep."""
    names = [f"{name}.keep" for name in MACS]
    space = SearchSpace(
        dict.fromkeys(names, FloatDistribution(0.125, 1.0)),
        tuple(LayerGroup(name, (f"{name}.keep",), (name,)) for name in MACS),
        dict.fromkeys(names, 1.0),
        Eighths(),
    )
    reference = {"macs": MetricValue(1000.0), "latency_ms": MetricValue(1.0)}
    return Problem(space, dict.fromkeys(losses, "minimize"), constraints or {}, reference=reference)


def evaluate(point: Point) -> dict[str, float]:
    """Error, macs, and a latency that grows with the macs."""
    keep = {name: point[f"{name}.keep"] for name in MACS}
    macs = sum(MACS[name] * keep[name] for name in MACS)
    error = sum(SENSITIVITY[name] * (1 - keep[name]) ** 2 for name in MACS)
    return {"error": error, "macs": macs, "latency_ms": 0.2 + 0.8 * macs / 1000}


def quantization() -> SearchSpace:
    """One layer of `Eighths` with a precision whose bits count while it is mixed only; the others keep all."""
    distributions: dict[str, BaseDistribution] = {
        "a.keep": FloatDistribution(0.5, 1.0),
        "a.precision": CategoricalDistribution(("float32", "int8", "mixed")),
        "a.weight_bits": IntDistribution(2, 8),
        "b.keep": FloatDistribution(1.0, 1.0),
        "c.keep": FloatDistribution(1.0, 1.0),
    }
    groups = tuple(LayerGroup(n, tuple(p for p in distributions if p.startswith(f"{n}.")), (n,)) for n in MACS)
    neutral = {"a.keep": 1.0, "a.precision": "float32", "a.weight_bits": 8, "b.keep": 1.0, "c.keep": 1.0}
    return SearchSpace(distributions, groups, neutral, Eighths())
