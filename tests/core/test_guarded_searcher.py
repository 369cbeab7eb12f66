"""The border of the searcher: whatever it answers, raises or does to its arguments, the finished trials are kept."""

from __future__ import annotations

import math
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from moco.policy import Policy
from moco.problem import Problem
from moco.study import Budget, SearchAbortedError, Study
from moco.trial import Evaluation, MetricValue, Suggestion, Trial, TrialState
from tests.core.studies import WIDE, Evaluate, Learner
from tests.core.test_study_failures import Breaks


def test_ctrl_c_in_a_searcher_is_no_failure_of_it() -> None:
    class Pressed(Learner):
        def ask(self) -> Suggestion:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
            raise AssertionError

    with pytest.raises(KeyboardInterrupt):
        Study(WIDE, Pressed(), Evaluate()).run(Budget(100))


class Answers(Learner):
    """Gives what it was made with, after three suggestions of its own."""

    def __init__(self, answer: object) -> None:
        super().__init__()
        self.answer = answer

    def ask(self) -> Any:
        given = super().ask()
        return self.answer if given.id == 3 else given


class UnreadableError(Exception):
    def __str__(self) -> str:
        raise SystemExit("no text")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (None, "TypeError: expected a Suggestion, got None"),
        (Suggestion(0, {"n": 3}), "ValueError: the id 0 was suggested before"),
        (Suggestion(-1, {"n": 3}), "TypeError: expected an id that is a whole number of at least 0, got -1"),
        (Suggestion("4", {"n": 3}), "TypeError: expected an id .* got '4'"),  # type: ignore[arg-type]
        (Suggestion(3, {"n": 10**7}), "SpaceError: point: n = 10000000 is outside"),
        (Suggestion(3, {"n": "3"}), "SpaceError: point: n = '3' is outside"),
        (Suggestion(3, {"n": math.nan}), "SpaceError: point: n = nan is outside"),
        (Suggestion(3, {"m": 3}), "SpaceError: point: unknown parameter 'm'"),
        (Suggestion(3, {}), "SpaceError: point: parameter 'n' is missing"),
        (Suggestion(3, {"n": 3}, {"note": math.inf}), "ValueError: Out of range float values"),
        (Suggestion(3, {"n": 3}, {"note": {1, 2}}), "TypeError: Object of type set"),
        (Suggestion(3, None), "AttributeError: "),  # type: ignore[arg-type]
    ],
)
def test_an_answer_that_is_no_suggestion_ends_the_search_with_its_trials_kept(answer: object, told: str) -> None:
    study = Study(WIDE, Answers(answer), Evaluate())
    with pytest.raises(SearchAbortedError, match=rf"^the searcher {__name__}\.Answers failed to ask: {told}") as ended:
        study.run(Budget(100))
    assert len(ended.value.trials) == 3


class Exits:
    def __repr__(self) -> str:
        sys.exit(0)


class ExitingPoint(dict[str, int]):
    def items(self) -> Any:
        sys.exit(0)


class EndlessPoint(dict[str, int]):
    def items(self) -> Any:
        while True:
            yield "n", 3


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Exits(), "SystemExit: 0"),
        (Suggestion(3, ExitingPoint()), "SystemExit: 0"),
        (Suggestion(3, EndlessPoint()), "ValueError: expected a point of 1 parameters, got more than 101"),
    ],
)
def test_reading_its_answer_is_its_own_code_too(answer: object, told: str) -> None:
    study = Study(WIDE, Answers(answer), Evaluate())
    with pytest.raises(SearchAbortedError, match=rf"Answers failed to ask: {told}") as ended:
        study.run(Budget(100, answer_seconds=60))
    assert len(ended.value.trials) == 3


def test_a_suggestion_that_calls_itself_a_start_is_none() -> None:
    study = Study(WIDE, Answers(Suggestion(3, {"n": 3}, {"start": "reference", "given": True})), Evaluate())
    assert {trial.origin for trial in study.run(Budget(4))} == {"search"}


def test_a_suggestion_in_numpys_numbers_is_recorded_in_pythons() -> None:
    study = Study(WIDE, Answers(Suggestion(np.int64(3), {np.str_("n"): np.int64(7)})), Evaluate())  # type: ignore[arg-type]
    last = study.run(Budget(4))[-1]
    assert (type(last.suggestion.id), type(last.suggestion.point["n"]), last.point["n"]) == (int, int, 7)


@pytest.mark.parametrize("what", ["ask", "tell"])
def test_a_searcher_that_never_returns_is_left_behind(what: str) -> None:
    left = threading.Event()

    class Waits(Learner):
        def ask(self) -> Suggestion:
            return super().ask() if what == "tell" or self.asks < 3 else left.wait(60)  # type: ignore[return-value]

        def tell(self, trial: Trial) -> None:
            super().tell(trial)
            if what == "tell" and trial.number == 2:
                left.wait(60)

    study = Study(WIDE, Waits(), Evaluate())
    late = rf"Waits failed to {what}: it did not return within 2 s \(budget\.answer_seconds\)$"
    with pytest.raises(SearchAbortedError, match=late) as ended:
        study.run(Budget(100, answer_seconds=2))
    assert len(ended.value.trials) == 3
    left.set()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (UnreadableError(), "UnreadableError: (its text cannot be read: SystemExit)"),
        (ValueError(), "ValueError"),
        (ValueError("one\n  two"), "ValueError: one two"),
        (GeneratorExit(), "GeneratorExit"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
    ],
)
def test_whatever_a_searcher_raises_is_one_line(error: BaseException, told: str) -> None:
    with pytest.raises(SearchAbortedError, match=rf"failed to ask: {re.escape(told)}$"):
        Study(WIDE, Breaks("ask", error), Evaluate()).run(Budget(100))


@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit(), UnreadableError()])
def test_whatever_an_evaluation_raises_is_a_failed_trial(error: BaseException) -> None:
    def evaluate(policy: Policy) -> Evaluation:
        if policy.settings["n"] == 1:
            raise error
        return Evaluation({"loss": MetricValue(1.0)})

    trials = Study(WIDE, Learner(script=[0, 1, 2]), evaluate).run(Budget(3))
    assert [trial.state for trial in trials] == [TrialState.COMPLETE, TrialState.FAILED, TrialState.COMPLETE]
    assert str(trials[1].reason).startswith(type(error).__name__)


def test_what_others_do_to_their_arguments_changes_no_record() -> None:
    class Spoils(Learner):
        def ask(self) -> Suggestion:
            self.mine = super().ask()
            return self.mine

        def tell(self, trial: Trial) -> None:
            super().tell(trial)
            self.mine.point["n"] = -5  # type: ignore[index]
            for mapping in (trial.point, trial.suggestion.point, trial.suggestion.notes, trial.evaluation.metrics):  # type: ignore[union-attr]
                mapping.clear()  # type: ignore[attr-defined]
            self.told.clear()

    def evaluate(policy: Policy) -> Evaluation:
        found = Evaluation({"loss": MetricValue(float(policy.settings["n"]))})
        policy.settings.clear()
        return found

    def scorer(evaluation: Evaluation) -> float:
        evaluation.metrics.clear()  # type: ignore[attr-defined]
        return 0.0

    problem = Problem(WIDE.space, {"loss": "minimize"}, scorer=scorer, derived={"other": spoilt})
    trials = Study(problem, Spoils(script=[4, 5, 6]), evaluate).run(Budget(3))
    assert [trial.point["n"] for trial in trials] == [4, 5, 6]
    assert [trial.suggestion.point["n"] for trial in trials] == [4, 5, 6]
    assert [trial.suggestion.notes["asked"] for trial in trials] == [0, 1, 2]
    assert [trial.evaluation.metrics["loss"].value for trial in trials if trial.evaluation] == [4.0, 5.0, 6.0]


def spoilt(metrics: Mapping[str, MetricValue]) -> MetricValue:
    value = metrics["loss"]
    metrics.clear()  # type: ignore[attr-defined]
    return value
