"""Every protocol orders trials by feasibility, then by its score or by how far they miss (the contract suite, with
these options), and in whatever unit (W13)."""

from __future__ import annotations

import math
from typing import Any

import pytest

from moco.experiment.options import options_of
from moco.problem import Problem
from moco.registry import BUILT_IN, plugin
from moco.study import Budget, Study
from moco.testing.objective import SPACE, evaluation_of
from moco.trial import Trial
from moco.trial_rank import best

PROTOCOLS: dict[str, dict[str, Any]] = {
    "accuracy-guaranteed": {"floor": "-5 pp", "constraints": {"size_mb": "<= 0.7x"}},
    "resource-constrained": {"constraints": {"size_mb": "<= 0.2x", "latency_ms": "<= 0.4x"}},
    "galen": {"target": 0.6, "constraints": {"top1_error": "<= +20 pp"}},
    "two-stage": {"constraints": {"top1_error": "<= +10 pp", "size_mb": "<= 0.6x"}},
    "hybrid": {"constraints": {"top1_error": "<= +10 pp"}},
    "front": {
        "objectives": {"top1_error": "minimize", "size_mb": "minimize", "throughput_ips": "maximize"},
        "constraints": {"latency_ms": "<= 0.6x"},
    },
}


def test_no_protocol_is_left_out() -> None:
    assert set(PROTOCOLS) == set(BUILT_IN["objective"])


def problem(name: str, units: float) -> Problem:
    kind = plugin("objective", name)
    reference = evaluation_of(1.0, 1.0, "float32", units).metrics
    found: Problem = kind(options_of(kind.Options, PROTOCOLS[name], "objective")).problem(SPACE, reference)
    return found


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("searcher", ["nsga2", "tpe", "evolution", "greybox"])
@pytest.mark.slow
def test_units_a_hundred_times_smaller_leave_the_selected_policies_unchanged(name: str, searcher: str) -> None:
    def searched(units: float) -> list[Trial]:
        asked, kind = problem(name, units), plugin("searcher", searcher)
        proposing = kind(asked, kind.Options(), 3)
        study = Study(asked, proposing, lambda policy: evaluation_of(**policy.settings, units=units))
        return study.run(Budget(30))

    ours, theirs = searched(1.0), searched(100.0)
    assert [trial.point for trial in ours] == [trial.point for trial in theirs]
    chosen, same = best(ours), best(theirs)
    assert chosen is not None
    assert same is not None
    assert chosen.number == same.number
    assert chosen.score is not None
    assert math.isclose(chosen.score, same.score or 0.0, rel_tol=1e-9)
