"""Problems from the literature whose best front is known: what a searcher is tried on before it is believed.

| name | variables | losses | constraint | front |
|---|---|---|---|---|
| `zdt1`, `zdt2`, `zdt3` | 6 in [0, 1] | 2 | | convex, concave, in five pieces |
| `dtlz2` | 6 in [0, 1] | 2 | | a quarter of the unit circle |
| `c2-dtlz2` | 6 in [0, 1] | 2 | near three points of the circle | three arcs of it |
| `branin-currin` | 2 in [0, 1] | 2 | within a disc | unknown formula, volume from 90,000 evaluations of NSGA-II |
| `branin` | 2 in [0, 1] | 1 | within the same disc | the least value, 0.397887 |
| `rosenbrock` | 6 in [-2, 2] | 1 | | the least value, 0 at (1, …, 1) |

ZDT: E. Zitzler, K. Deb and L. Thiele, "Comparison of multiobjective evolutionary algorithms: empirical results",
Evolutionary Computation 8(2), 2000. DTLZ2: K. Deb, L. Thiele, M. Laumanns and E. Zitzler, "Scalable multi-objective
optimization test problems", CEC 2002. C2-DTLZ2: H. Jain and K. Deb, "An evolutionary many-objective optimization
algorithm using reference-point based nondominated sorting approach, part II", IEEE Transactions on Evolutionary
Computation 18(4), 2014, in the form for two losses of S. Daulton, M. Balandat and E. Bakshy, "Parallel Bayesian
optimization of multiple noisy objectives with expected hypervolume improvement", NeurIPS 2021. Branin and Currin as a
pair: E. Bradford, A. Schweidtmann and A. Lapkin, "Efficient multiobjective optimization employing Gaussian processes,
spectral sampling and a genetic algorithm", Journal of Global Optimization 71, 2018; the disc: M. Gelbart, J. Snoek and
R. Adams, "Bayesian optimization with unknown constraints", UAI 2014. The same functions stand in BoTorch; the tests
compare.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from optuna.distributions import FloatDistribution

from moco.problem import Problem
from moco.space import SearchSpace
from moco.trial import Point

Evaluate = Callable[[Point], Mapping[str, float]]

N_VARIABLES = 6
"""Of ZDT and DTLZ; a network that is compressed by stage or by block has about as many."""

ARC = 0.2
"""Radius of the two feasible balls of C2-DTLZ2 at the ends of the circle; the one in the middle is sqrt(2) times as
large, as its squared radius is summed over the losses (Daulton et al.)."""


@dataclass(frozen=True)
class Known:
    """A problem with its answer.

    Attributes:
        reference_point: loss by objective, that bounds the hypervolume.
        volume: hypervolume of the whole front; for a single loss, reference less the least value.
    """

    problem: Problem
    evaluate: Evaluate
    reference_point: tuple[float, ...]
    volume: float


def zdt1(point: Point) -> dict[str, float]:
    """ZDT1; the front is f2 = 1 - sqrt(f1). `rest`, the mean of all variables but the first, may be bounded."""
    first, g = _zdt(point)
    return {"f1": first, "f2": g * (1 - math.sqrt(first / g)), "rest": (g - 1) / 9}


def zdt2(point: Point) -> dict[str, float]:
    """ZDT2; the front is f2 = 1 - f1^2."""
    first, g = _zdt(point)
    return {"f1": first, "f2": g * (1 - (first / g) ** 2)}


def zdt3(point: Point) -> dict[str, float]:
    """ZDT3; the front is the non-dominated part of f2 = 1 - sqrt(f1) - f1 sin(10 pi f1), five pieces."""
    first, g = _zdt(point)
    return {"f1": first, "f2": g * (1 - math.sqrt(first / g) - first / g * math.sin(10 * math.pi * first))}


def dtlz2(point: Point) -> dict[str, float]:
    """DTLZ2 with two losses; the front is f1^2 + f2^2 = 1."""
    first, *others = (point[f"x{i}"] for i in range(N_VARIABLES))
    radius = 1 + sum((x - 0.5) ** 2 for x in others)
    return {"f1": radius * math.cos(first * math.pi / 2), "f2": radius * math.sin(first * math.pi / 2)}


def c2_dtlz2(point: Point) -> dict[str, float]:
    """DTLZ2 with `outside`: squared distance less squared radius, of the nearest of three balls on the front."""
    losses = dtlz2(point)
    half = math.sqrt(0.5)
    balls = (1.0, 0.0, ARC**2), (0.0, 1.0, ARC**2), (half, half, 2 * ARC**2)
    outside = ((losses["f1"] - a) ** 2 + (losses["f2"] - b) ** 2 - square for a, b, square in balls)
    return {**losses, "outside": min(outside)}


def branin_currin(point: Point) -> dict[str, float]:
    """Branin's and Currin's functions, and `distance`, squared, to the middle of the square in Branin's coordinates."""
    x, y = point["x"], point["y"]
    u, v = 15 * x - 5, 15 * y
    parabola = v - 5.1 * u**2 / (4 * math.pi**2) + 5 * u / math.pi - 6
    branin = parabola**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(u) + 10
    damping = 1 - math.exp(-1 / (2 * y)) if y > 0 else 1.0
    currin = damping * (2300 * x**3 + 1900 * x**2 + 2092 * x + 60) / (100 * x**3 + 500 * x**2 + 4 * x + 20)
    return {"branin": branin, "currin": currin, "distance": (u - 2.5) ** 2 + (v - 7.5) ** 2}


def rosenbrock(point: Point) -> dict[str, float]:
    """H. Rosenbrock's valley (1960), in six variables."""
    x = [point[f"x{i}"] for i in range(N_VARIABLES)]
    return {"value": sum(100 * (b - a**2) ** 2 + (1 - a) ** 2 for a, b in pairwise(x))}


def _zdt(point: Point) -> tuple[float, float]:
    """The first variable, and g = 1 + 9 x the mean of the others."""
    first, *others = (point[f"x{i}"] for i in range(N_VARIABLES))
    return first, 1 + 9 * sum(others) / len(others)


def _over_cube(constraints: dict[str, str] | None = None) -> Problem:
    space = {f"x{i}": FloatDistribution(0.0, 1.0) for i in range(N_VARIABLES)}
    return Problem(SearchSpace(space), {"f1": "minimize", "f2": "minimize"}, constraints or {})


def _over_square(*losses: str) -> Problem:
    square = {"x": FloatDistribution(0.0, 1.0), "y": FloatDistribution(0.0, 1.0)}
    return Problem(SearchSpace(square), dict.fromkeys(losses, "minimize"), {"distance": "<= 50"})


ZDT_REFERENCE = (1.1, 6.0)
"""Beyond it lie 4 % of uniform draws of ZDT1."""

CIRCLE_REFERENCE = (1.1, 1.1)

BRANIN_LEAST = 0.397887
"""At (pi, 2.275) in Branin's coordinates, which lies within the disc."""

KNOWN: dict[str, Known] = {
    # The volumes of ZDT1 and ZDT2: the integral of 6 - f2 over f1 in 0..1, and 0.1 x 6 beyond. Of ZDT3 and C2-DTLZ2:
    # the same integral, piece by piece. Of Branin-Currin: as BoTorch states it.
    "zdt1": Known(_over_cube(), zdt1, ZDT_REFERENCE, 5 + 2 / 3 + 0.6),
    "zdt2": Known(_over_cube(), zdt2, ZDT_REFERENCE, 5 + 1 / 3 + 0.6),
    "zdt3": Known(_over_cube(), zdt3, ZDT_REFERENCE, 6.721763),
    "constrained zdt1": Known(_over_cube({"rest": "<= 0.3"}), zdt1, ZDT_REFERENCE, 5 + 2 / 3 + 0.6),
    "dtlz2": Known(_over_cube(), dtlz2, CIRCLE_REFERENCE, 1.21 - math.pi / 4),
    "c2-dtlz2": Known(_over_cube({"outside": "<= 0"}), c2_dtlz2, CIRCLE_REFERENCE, 0.400057),
    "branin-currin": Known(_over_square("branin", "currin"), branin_currin, (80.0, 12.0), 608.4004),
    "branin": Known(_over_square("branin"), branin_currin, (80.0,), 80 - BRANIN_LEAST),
    "rosenbrock": Known(
        Problem(
            SearchSpace({f"x{i}": FloatDistribution(-2.0, 2.0) for i in range(N_VARIABLES)}), {"value": "minimize"}
        ),
        rosenbrock,
        (1000.0,),
        1000.0,
    ),
}
"""By name; `constrained zdt1` is ours: below the bound lie 6 % of uniform draws, and the front."""
