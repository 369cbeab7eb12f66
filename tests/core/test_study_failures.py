"""Rows of failed trials: when the loop ends a search, and when it goes on."""

from __future__ import annotations

from concurrent.futures import BrokenExecutor, ThreadPoolExecutor

import pytest

from moco.errors import DeadlyPolicyError, DeviceLostError, PolicyRejectedError, WorkersLostError
from moco.study import FAILURES_AFTER_A_SUCCESS, FAILURES_AT_FIRST, Budget, SearchAbortedError, Study
from moco.trial import Suggestion, Trial, TrialState
from tests.core.studies import WIDE, Evaluate, Learner, ListLedger


def test_failures_from_the_first_on_end_the_search_with_all_trials_recorded() -> None:
    ledger = ListLedger()
    study = Study(WIDE, Learner(), Evaluate(loss=lambda n: float("nan")), ledger=ledger)
    with pytest.raises(SearchAbortedError, match=rf"the last {FAILURES_AT_FIRST} trials failed.*trial 4.*loss = nan"):
        study.run(Budget(100))

    assert len(ledger.recorded) == FAILURES_AT_FIRST == 5


class Breaks(Learner):
    """Learns until the fourth time that it is asked, or told."""

    def __init__(self, what: str, error: BaseException) -> None:
        super().__init__()
        self.what, self.error = what, error

    def ask(self) -> Suggestion:
        if self.what == "ask" and self.asks == 3:
            raise self.error
        return super().ask()

    def tell(self, trial: Trial) -> None:
        if self.what == "tell" and len(self.told) == 3:
            raise self.error
        super().tell(trial)


@pytest.mark.parametrize(("what", "finished"), [("ask", 3), ("tell", 4)])
@pytest.mark.parametrize("error", [ValueError("no such point"), SystemExit(0)])
def test_a_searcher_that_breaks_ends_the_search_with_the_finished_trials_kept(
    what: str, finished: int, error: BaseException
) -> None:
    ledger = ListLedger()
    study = Study(WIDE, Breaks(what, error), Evaluate(), ledger=ledger)
    why = rf"^the searcher {__name__}\.Breaks failed to {what}: {type(error).__name__}: {error}$"
    with pytest.raises(SearchAbortedError, match=why) as ended:
        study.run(Budget(100))
    assert ended.value.trials == tuple(ledger.recorded)
    assert len(ledger.recorded) == finished
    if what == "tell":
        with pytest.raises(SearchAbortedError, match="failed to tell"):
            Study(WIDE, Breaks(what, error), Evaluate(), ledger=ledger)


def test_the_end_says_what_to_raise_for_a_policy_that_cannot_be_evaluated() -> None:
    study = Study(WIDE, Learner(), Evaluate(loss=lambda n: float("nan")))
    with pytest.raises(
        SearchAbortedError, match=r"no failure where moco\.errors\.PolicyRejectedError is raised for it$"
    ):
        study.run(Budget(100))


def test_after_a_success_only_a_longer_row_of_failures_ends_the_search() -> None:
    """A device that goes away after the third trial."""
    gone = Evaluate({n: OSError("no device") for n in range(3, 100)})
    study = Study(WIDE, Learner(script=list(range(100))), gone)
    with pytest.raises(
        SearchAbortedError, match=r"^the last 20 trials failed, the last one \(trial 22\) with: OSError"
    ):
        study.run(Budget(100))

    assert len(study.trials) == 3 + FAILURES_AFTER_A_SUCCESS == 23


def test_rows_of_failures_that_end_before_the_limit_do_not_add_up() -> None:
    """Nineteen of twenty fail, again and again."""
    works = range(0, 100, FAILURES_AFTER_A_SUCCESS)
    fickle = Evaluate({n: ValueError("broken") for n in range(100) if n not in works})
    trials = Study(WIDE, Learner(script=list(range(100))), fickle).run(Budget(100))

    assert [trial.number for trial in trials if trial.state is TrialState.COMPLETE] == list(works)


def test_a_rejected_policy_is_no_success() -> None:
    raises: dict[int, Exception] = {n: ValueError("broken") for n in range(1, 100)}
    study = Study(WIDE, Learner(script=list(range(100))), Evaluate({0: PolicyRejectedError("no"), **raises}))
    with pytest.raises(SearchAbortedError, match="the last 5 trials failed"):
        study.run(Budget(100))


@pytest.mark.parametrize("between", [PolicyRejectedError("no"), None])
def test_failures_with_another_trial_in_between_do_not_end_the_search(between: Exception | None) -> None:
    raises: dict[int, Exception] = {n: ValueError("broken") for n in range(10) if n != 4}
    if between is not None:
        raises[4] = between
    trials = Study(WIDE, Learner(script=list(range(9))), Evaluate(raises)).run(Budget(9))

    assert len(trials) == 9


def test_a_resumed_search_may_fail_again_before_it_ends() -> None:
    ledger = ListLedger()
    broken = Evaluate(loss=lambda n: float("nan"))
    with pytest.raises(SearchAbortedError):
        Study(WIDE, Learner(), broken, ledger=ledger).run(Budget(100))
    trials = Study(WIDE, Learner(), Evaluate(), ledger=ledger).run(Budget(8))

    assert [trial.state.value for trial in trials] == ["failed"] * 5 + ["complete"] * 3


def test_failures_and_successes_of_earlier_sessions_do_not_count() -> None:
    ledger = ListLedger()
    Study(WIDE, Learner(), Evaluate(), ledger=ledger).run(Budget(3))
    for session in (1, 2):
        with pytest.raises(SearchAbortedError, match="the last 5 trials failed"):
            Study(WIDE, Learner(), Evaluate(loss=lambda n: float("nan")), ledger=ledger).run(Budget(100))
        assert len(ledger.recorded) == 3 + session * FAILURES_AT_FIRST


def test_a_result_that_is_only_told_again_is_no_success_of_this_session() -> None:
    """The device is gone when the search is resumed, but policies of the ledger need none."""
    ledger = ListLedger()
    Study(WIDE, Learner(script=[3]), Evaluate(), ledger=ledger).run(Budget(1))
    gone = Evaluate({n: OSError("no device") for n in range(10)})
    study = Study(WIDE, Learner(script=[0, 3, 4, 5, 6, 7, 8, 9]), gone, ledger=ledger)
    with pytest.raises(SearchAbortedError, match="the last 5 trials failed"):
        study.run(Budget(100))

    assert [trial.distinct for trial in study.trials[:3]] == [True, False, True]


def test_with_workers_more_may_fail_before_the_first_success_is_back() -> None:
    """What fails at once comes back before what succeeds: two failures a worker are allowed."""
    evaluate = Evaluate(dict.fromkeys(range(100), ValueError("broken")))
    with ThreadPoolExecutor(4) as pool, pytest.raises(SearchAbortedError) as error:
        Study(WIDE, Learner(script=list(range(100))), evaluate).run(Budget(100), executor=pool, workers=4)
    assert len(error.value.trials) == 8


def test_a_result_that_is_only_told_again_does_not_end_a_row_of_failures() -> None:
    """A device that went away, and a searcher that comes back to a known policy between: the search ends."""
    script = [0, *(n if n % 3 else 0 for n in range(1, 100))]
    evaluate = Evaluate(dict.fromkeys(range(1, 100), ValueError("gone")))
    with pytest.raises(SearchAbortedError, match=f"the last {FAILURES_AFTER_A_SUCCESS} trials failed"):
        Study(WIDE, Learner(script=script), evaluate).run(Budget(100))


DEADLY = DeadlyPolicyError("3 worker processes died")


def searched(evaluate: Evaluate, script: list[int], workers: int = 2) -> Study:
    """A search that may be over, evaluated by so many threads."""
    study = Study(WIDE, Learner(script=script), evaluate, ledger=ListLedger())
    with ThreadPoolExecutor(workers) as threads:
        study.run(Budget(len(script)), executor=threads, workers=workers)
    return study


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("places", [[0], [3], [9], [0, 1, 2, 3], [6, 7, 8, 9]])
def test_policies_that_kill_their_workers_are_failed_trials_where_others_are_evaluated(
    places: list[int], workers: int
) -> None:
    """At first, in between and as the last of the budget."""
    trials = searched(Evaluate(dict.fromkeys(places, DEADLY)), list(range(10)), workers).trials

    assert sorted(trial.point["n"] for trial in trials) == list(range(10))
    failed = [(trial.point["n"], trial.reason) for trial in trials if trial.state is TrialState.FAILED]
    assert failed == [(place, "DeadlyPolicyError: 3 worker processes died") for place in places]


@pytest.mark.parametrize("workers", [2, 8])
def test_where_each_policy_kills_its_workers_the_machine_is_to_blame(workers: int) -> None:
    ledger = ListLedger()
    study = Study(WIDE, Learner(), Evaluate(), ledger=ledger)
    with ThreadPoolExecutor(workers) as threads:
        study.run(Budget(10), executor=threads, workers=workers)
        study.evaluate = kills = Evaluate(dict.fromkeys(range(10**6), DEADLY))
        with pytest.raises(DeadlyPolicyError, match=r"^3 worker processes died$") as caught:
            study.run(Budget(100), executor=threads, workers=workers)

    assert [trial.state for trial in ledger.recorded] == [TrialState.COMPLETE] * 10
    assert caught.value.trials == tuple(ledger.recorded)
    assert FAILURES_AT_FIRST <= len(kills.calls) < FAILURES_AT_FIRST + workers


@pytest.mark.parametrize("cause", [WorkersLostError("gone"), DeviceLostError("gone"), BrokenExecutor("gone")])
def test_what_is_no_fault_of_a_policy_ends_the_search_without_a_trial(cause: Exception) -> None:
    study = Study(WIDE, Learner(script=list(range(9))), Evaluate({3: cause}))
    with pytest.raises(type(cause), match=r"^gone$") as caught:
        study.run(Budget(9))

    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 3
    assert caught.value.trials == tuple(study.trials)  # type: ignore[attr-defined]


def test_a_twin_of_a_policy_that_kills_its_workers_waits_for_the_next_one() -> None:
    evaluate = Evaluate({4: DEADLY})
    states = [trial.state.value for trial in searched(evaluate, [4, 4, 5, 6]).trials]

    assert sorted(states) == ["complete", "complete", "failed", "failed"]
    assert evaluate.calls.count(4) == 2
