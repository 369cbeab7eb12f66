"""Trials made by hand, for the statistics of a comparison: losses, score, seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from moco.policy import Policy
from moco.trial import FIRST_MADE, Evaluation, MetricValue, Outcome, Suggestion, Trial, TrialState


def trial(
    number: int,
    losses: Sequence[float] = (0.5, 0.5),
    feasible: bool = True,
    score: float | None = None,
    search_s: float = 0.1,
    evaluation_s: float = 1.0,
    **changes: Any,
) -> Trial:
    """A complete trial; `stored` takes its evaluation from a store, `start` and `given` make it a start."""
    stored, start, given = changes.pop("stored", False), changes.pop("start", None), changes.pop("given", False)
    made = {"compress": evaluation_s / 4, "score": evaluation_s * 3 / 4}
    seconds = {"search": search_s, "record": 9.0, **({} if stored else made)}
    notes: dict[str, Any] = {} if start is None else {"start": start, **({"given": True} if given else {})}
    values: dict[str, Any] = {
        "number": number,
        "suggestion": Suggestion(number if start is None else -1 - number, {"x": number}, notes),
        "state": TrialState.COMPLETE,
        "point": {"x": number},
        "policy": Policy.of({"x": number}),
        "evaluation": Evaluation(
            {"loss": MetricValue(losses[0])}, seconds=seconds, details={FIRST_MADE: made} if stored else {}
        ),
        "outcome": Outcome(tuple(losses), violations=(-1.0 if feasible else 1.0,)),
        "score": -sum(losses) if score is None else score,
        "seconds": 20.0,
    }
    return Trial(**{**values, **changes})


def failed(number: int, seconds: float = 2.0) -> Trial:
    """A trial that failed after so many seconds."""
    return Trial(
        number, Suggestion(number, {"x": number}), TrialState.FAILED, {"x": number}, seconds=seconds, reason="broken"
    )
