"""The problems with known answers: their fronts against their volumes, and their functions against BoTorch's."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from benchmarks.problems.known import BRANIN_LEAST, KNOWN, N_VARIABLES
from moco.pareto import hypervolume
from moco.randomness import generator
from moco.trial import Point

BEST_ZDT = dict.fromkeys([f"x{i}" for i in range(1, N_VARIABLES)], 0.0)
BEST_DTLZ2 = dict.fromkeys([f"x{i}" for i in range(1, N_VARIABLES)], 0.5)


def random_points(name: str, n: int) -> list[Point]:
    rng = generator(0, name)
    return [
        {p: float(rng.uniform(d.low, d.high)) for p, d in KNOWN[name].problem.space.distributions.items()}  # type: ignore[attr-defined]
        for _ in range(n)
    ]


@pytest.mark.parametrize("name", ["zdt1", "zdt2", "zdt3", "constrained zdt1", "dtlz2", "c2-dtlz2"])
def test_the_front_has_the_stated_volume_but_for_the_steps_between_its_points(name: str) -> None:
    known, rest = KNOWN[name], BEST_DTLZ2 if "dtlz2" in name else BEST_ZDT
    values = [known.evaluate({"x0": k / 2000, **rest}) for k in range(2001)]
    feasible = [v for v in values if all(v[bound.metric] <= bound.value for bound in known.problem.bounds)]
    reached = hypervolume([[v[loss] for loss in known.problem.objectives] for v in feasible], known.reference_point)
    assert known.volume - 0.001 < reached <= known.volume + 1e-6


FLOORS: dict[str, Callable[[float], float]] = {
    "zdt1": lambda f1: 1 - math.sqrt(f1),
    "zdt2": lambda f1: 1 - f1**2,
    "dtlz2": lambda f1: math.sqrt(max(1 - f1**2, 0.0)),
}


@pytest.mark.parametrize("name", FLOORS)
def test_no_random_point_lies_before_the_front(name: str) -> None:
    for point in random_points(name, 200):
        values = KNOWN[name].evaluate(point)
        assert values["f2"] >= FLOORS[name](values["f1"])


def test_branin_has_its_published_minimum_within_the_disc() -> None:
    """0.397887 at (pi, 2.275), in Branin's own coordinates."""
    values = KNOWN["branin"].evaluate({"x": (math.pi + 5) / 15, "y": 2.275 / 15})
    assert values["branin"] == pytest.approx(BRANIN_LEAST, abs=1e-5)
    assert values["distance"] < 50


def test_rosenbrock_has_its_minimum_at_ones() -> None:
    assert KNOWN["rosenbrock"].evaluate({f"x{i}": 1.0 for i in range(N_VARIABLES)}) == {"value": 0.0}


def botorchs() -> dict[str, Callable[[], object]]:
    from botorch.test_functions import multi_objective as m
    from botorch.test_functions import synthetic as s

    return {
        "zdt1": lambda: m.ZDT1(N_VARIABLES),
        "zdt2": lambda: m.ZDT2(N_VARIABLES),
        "zdt3": lambda: m.ZDT3(N_VARIABLES),
        "dtlz2": lambda: m.DTLZ2(N_VARIABLES),
        "c2-dtlz2": lambda: m.C2DTLZ2(N_VARIABLES),
        "branin-currin": m.ConstrainedBraninCurrin,
        "rosenbrock": lambda: s.Rosenbrock(N_VARIABLES),
    }


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
@pytest.mark.parametrize("name", sorted(KNOWN.keys() - {"constrained zdt1", "branin"}))
def test_botorch_gives_the_same_values(name: str) -> None:
    import torch

    theirs, known, points = botorchs()[name](), KNOWN[name], random_points(name, 50)
    x = torch.tensor([list(point.values()) for point in points], dtype=torch.float64)
    values = [known.evaluate(point) for point in points]
    ours = np.array([[v[loss] for loss in known.problem.objectives] for v in values])
    if name == "zdt3":  # BoTorch 0.18 leaves out the factor g of the paper's f2 = g h
        ours[:, 1] /= 1 + 9 * x[:, 1:].mean(dim=1).numpy()
    np.testing.assert_allclose(theirs.evaluate_true(x).numpy().reshape(ours.shape), ours, rtol=1e-9, atol=1e-9)  # type: ignore[attr-defined]
    for bound in known.problem.bounds:
        slack = theirs.evaluate_slack_true(x).numpy()[:, 0]  # type: ignore[attr-defined]
        np.testing.assert_allclose(slack, [bound.value - v[bound.metric] for v in values], rtol=1e-9, atol=1e-9)
