"""S2's hybrid of accuracy and latency, as the requirements read it (S2.14)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moco.errors import ConfigError
from moco.objectives.hybrid import HybridObjective, HybridOptions
from moco.trial import Evaluation, MetricValue
from tests.objectives.test_published_rewards import MBV2, R50, SPACE, evaluation

R50_CP = evaluation(9.64, 26.7, 80.2, 0.29, 66.7)


def hybrid(**options: Any) -> HybridObjective:
    return HybridObjective(HybridOptions(**options))


@pytest.mark.parametrize(
    ("options", "compressed", "score"),
    [
        # acc / ref_acc - lambda * max(0, lat / target - 1), by hand; R50 has 94.81 % and 33.8 ms
        ({"target": "0.8x"}, R50_CP, 0.9036 / 0.9481),
        ({"target": "26.7 ms"}, R50_CP, 0.9036 / 0.9481),
        ({"target": "20 ms"}, R50_CP, 0.9036 / 0.9481 - 0.335),
        ({"target": "20 ms", "penalty": 2.0}, R50_CP, 0.9036 / 0.9481 - 0.67),
        ({"target": "0.5x"}, R50, 1.0 - 1.0),
        ({"metric": "throughput_ips", "target": "100 images/s"}, R50_CP, 0.9036 / 0.9481 - (100 / 80.2 - 1)),
        ({"metric": "size_mb", "target": "0.5x"}, R50_CP, 0.9036 / 0.9481 - (66.7 / 51 - 1)),
    ],
)
def test_the_score(options: dict[str, Any], compressed: Evaluation, score: float) -> None:
    assert hybrid(**options).score(compressed, R50.metrics) == pytest.approx(score)


@given(one=st.floats(1.0, 60.0), other=st.floats(1.0, 60.0))
def test_at_equal_accuracy_less_latency_never_scores_lower(one: float, other: float) -> None:
    fast, slow = sorted((one, other))
    scores = [hybrid().score(evaluation(9.0, latency, 80, 0.3, 60), R50.metrics) for latency in (fast, slow)]
    assert scores[0] >= scores[1]


def test_a_reference_that_is_never_right_is_refused() -> None:
    with pytest.raises(ConfigError, match="whose accuracy is 0"):
        hybrid().problem(SPACE, {**MBV2.metrics, "top1_error": MetricValue(1.0)})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "soon"}, r"^objective\.target: expected 'NUMBER\[unit or x\]' .* got 'soon'"),
        ({"target": "25 MB"}, r"^objective\.target: unit 'MB' does not fit; 'latency_ms' is given in 'ms'"),
        ({"target": "0x"}, r"^objective\.target: expected an amount of latency_ms above 0, got '0x'"),
        ({"penalty": -1.0}, r"^objective\.penalty: expected a number >= 0, got -1"),
        ({"metric": "latncy_ms"}, r"^objective\.metric: unknown metric 'latncy_ms'; did you mean 'latency_ms'"),
    ],
)
def test_what_it_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        HybridOptions(**options)
