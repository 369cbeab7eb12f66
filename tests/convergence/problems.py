"""Small problems whose fronts are known. All losses: smaller is better."""

from __future__ import annotations

import math

from optuna.distributions import FloatDistribution

from moco.problem import Problem
from moco.trial import Point

N_VARIABLES = 6
ZDT1_REFERENCE = (1.1, 6.0)
"""Beyond it lie 4 % of uniform draws."""

ZDT1_VOLUME = 5 + 2 / 3 + 0.1 * 6
"""Of the whole front: the integral of 6 - (1 - sqrt(f1)) over f1 in 0..1, and 0.1 x 6 beyond."""

BRANIN_CURRIN_REFERENCE = (80.0, 14.0)


def zdt1_problem(constraints: dict[str, str] | None = None) -> Problem:
    """E. Zitzler, K. Deb and L. Thiele, "Comparison of multiobjective evolutionary algorithms", 2000: test problem T1.

    The front is f2 = 1 - sqrt(f1), with every variable but the first at 0. `rest`, the mean of the others, may be
    bounded: below 0.3 lie 6 % of uniform draws, and the front.
    """
    return Problem(
        space={f"x{i}": FloatDistribution(0.0, 1.0) for i in range(N_VARIABLES)},
        objectives={"f1": "minimize", "f2": "minimize"},
        constraints=constraints or {},
    )


def zdt1(point: Point) -> dict[str, float]:
    """Values of T1, and the mean of all variables but the first."""
    first, *others = (point[f"x{i}"] for i in range(N_VARIABLES))
    rest = sum(others) / len(others)
    g = 1 + 9 * rest
    return {"f1": first, "f2": g * (1 - math.sqrt(first / g)), "rest": rest}


def branin_currin_problem() -> Problem:
    """Branin's and Currin's functions over the unit square, within a disc of radius 0.4 (half of the square).

    The pair is that of E. Bradford, A. Schweidtmann and A. Lapkin, "Efficient multiobjective optimization employing
    Gaussian processes, spectral sampling and a genetic algorithm", 2018, and of BoTorch; the disc is ours.
    """
    return Problem(
        space={"x": FloatDistribution(0.0, 1.0), "y": FloatDistribution(0.0, 1.0)},
        objectives={"branin": "minimize", "currin": "minimize"},
        constraints={"distance": "<= 0.4"},
    )


def branin_currin(point: Point) -> dict[str, float]:
    """Values of both functions, and the distance to the middle of the square."""
    x, y = point["x"], point["y"]
    u, v = 15 * x - 5, 15 * y
    parabola = v - 5.1 * u**2 / (4 * math.pi**2) + 5 * u / math.pi - 6
    branin = parabola**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(u) + 10
    damping = 1 - math.exp(-1 / (2 * y)) if y > 0 else 1.0
    currin = damping * (2300 * x**3 + 1900 * x**2 + 2092 * x + 60) / (100 * x**3 + 500 * x**2 + 4 * x + 20)
    return {"branin": branin, "currin": currin, "distance": math.hypot(x - 0.5, y - 0.5)}
