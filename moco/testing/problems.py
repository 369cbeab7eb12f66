"""Problems of every kind of space that a searcher may meet, each with the function that evaluates its points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from moco.encoding import encode, project
from moco.policy import Policy
from moco.problem import Problem
from moco.space import LayerGroup, SearchSpace
from moco.trial import Point

MIXED: dict[str, BaseDistribution] = {
    "float": FloatDistribution(-1.0, 2.0),
    "log": FloatDistribution(1e-4, 1.0, log=True),
    "step": FloatDistribution(0.1, 0.7, step=0.1),
    "int": IntDistribution(2, 8),
    "int_step": IntDistribution(4, 64, step=4),
    "int_log": IntDistribution(1, 1000, log=True),
    "precision": CategoricalDistribution(("float32", "int8")),
    "odd": CategoricalDistribution((None, True, 3, 0.5, "x")),
    "only_float": FloatDistribution(0.3, 0.3),
    "only_int": IntDistribution(5, 5),
    "only_choice": CategoricalDistribution(("only",)),
}


@dataclass(frozen=True)
class Widths:
    """A codec that rounds ratios to keep to widths of 8 channels in twos, as a target's channel multiple does.

    The ratio that was executed may lie below the lower bound of its distribution and off its grid.
    """

    channels: int = 8

    def policy(self, point: Point) -> Policy:
        """The widths."""
        return Policy.of({name: max(2, 2 * round(keep * self.channels / 2)) for name, keep in point.items()})

    def point(self, policy: Policy) -> Point:
        """The ratios that were kept."""
        return {name: width / self.channels for name, width in policy.settings.items()}

    def cost(self, policy: Policy) -> Mapping[str, float]:
        """The sum of all widths."""
        return {"macs": float(sum(policy.settings.values()))}

    def n_policies(self) -> int | None:
        """They are not counted."""
        return None


def layers(space: SearchSpace, size: int) -> SearchSpace:
    """The space with each so many of its parameters in a layer group, and the last of them in none."""
    names = list(space.distributions)[:-1]
    parts = [tuple(names[i : i + size]) for i in range(0, len(names), size)]
    groups = tuple(LayerGroup(f"layer{i}", part, features={"macs": 10.0**i}) for i, part in enumerate(parts))
    return replace(space, groups=groups)


ROUNDED = SearchSpace({f"keep{i}": FloatDistribution(0.3, 1.0) for i in range(3)}, codec=Widths())
SPACES: dict[str, SearchSpace] = {
    "one float": SearchSpace({"x": FloatDistribution(0.0, 1.0)}),
    "one int": SearchSpace({"n": IntDistribution(0, 100)}),
    "one choice": SearchSpace({"c": CategoricalDistribution(("a", "b", "c"))}),
    "one value": SearchSpace({"x": FloatDistribution(0.5, 0.5)}),
    "mixed": SearchSpace(MIXED),
    "numeric": SearchSpace({name: d for name, d in MIXED.items() if not isinstance(d, CategoricalDistribution)}),
    "many": SearchSpace({f"keep{i}": FloatDistribution(0.1, 1.0) for i in range(30)}),
    "categorical": SearchSpace({f"bits{i}": CategoricalDistribution((2, 4, 8)) for i in range(6)}),
    "finite": SearchSpace({"n": IntDistribution(0, 2), "c": CategoricalDistribution(("a", "b"))}),
    "finite numeric": SearchSpace({"n": IntDistribution(0, 2), "m": IntDistribution(1, 2)}),
    "layers": layers(SearchSpace(MIXED), 3),
    "finite layers": layers(SearchSpace({"n": IntDistribution(0, 2), "c": CategoricalDistribution(("a", "b"))}), 1),
    "rounded layers": layers(ROUNDED, 1),
    "rounded": ROUNDED,
}


def two_losses(space: SearchSpace, constraints: Mapping[str, str] | None = None) -> Problem:
    """A problem with a trade-off over the space."""
    return Problem(space, {"near": "minimize", "far": "maximize"}, constraints or {})


def distances(space: SearchSpace, point: Point) -> dict[str, float]:
    """Squared distances from two corners of the unit cube."""
    x = encode(space, project(space, point))
    return {"near": float((x**2).mean()), "far": float(((1 - x) ** 2).mean()), "sum": float(x.sum())}
