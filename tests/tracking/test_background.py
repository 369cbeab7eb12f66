"""Whatever its reporter does, the search is neither stopped nor held up, and hears of it in one line."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from moco.tracking.background import BackgroundReporter
from moco.trial import Suggestion, Trial, TrialState

FOLDER = Path("run")


class Scripted:
    """Keeps what it was called with; `before` is called first, with the name of the call, and may raise or block."""

    def __init__(self, before: Any = None) -> None:
        self.calls: list[Any] = []
        self.threads: set[int] = set()
        self._before = before or (lambda call: None)

    def _take(self, call: Any) -> None:
        self.threads.add(threading.get_ident())
        self._before(call)
        self.calls.append(call)

    def start(self, manifest: Mapping[str, Any], folder: Path) -> None:
        self._take("start")

    def report(self, trial: Trial) -> None:
        self._take(trial.number)

    def finish(self, result: Mapping[str, Any], folder: Path) -> None:
        self._take("finish")

    def abandon(self) -> None:
        self._take("abandon")


def test_an_abandoned_search_is_told_after_its_trials_and_only_once() -> None:
    inner = Scripted()
    reporter = BackgroundReporter(inner, "made")
    reporter.start({}, FOLDER)
    reporter.report(_trial(0))

    reporter.abandon()
    reporter.abandon()

    assert inner.calls == ["start", 0, "abandon"]


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """An event that blocked reporters wait for; set in the end, so that no thread outlives its test."""
    event = threading.Event()
    yield event
    event.set()


def _trial(number: int) -> Trial:
    return Trial(number, Suggestion(number, {}), TrialState.FAILED, {}, reason="made")


def _search(reporter: BackgroundReporter, trials: int) -> None:
    reporter.start({}, FOLDER)
    for number in range(trials):
        reporter.report(_trial(number))
    reporter.finish({}, FOLDER)


def test_everything_arrives_in_order_on_one_other_thread_and_there_is_no_warning() -> None:
    inner = Scripted()
    reporter = BackgroundReporter(inner, "made")

    _search(reporter, 20)

    assert inner.calls == ["start", *range(20), "finish"]
    assert len(inner.threads) == 1
    assert threading.get_ident() not in inner.threads
    assert reporter.warnings == ()


def test_a_report_that_raises_is_counted_and_the_others_arrive() -> None:
    def before(call: Any) -> None:
        if call in {3, 4}:
            raise ConnectionError(f"server said no to {call}\nand more")

    inner = Scripted(before)
    reporter = BackgroundReporter(inner, "mlflow")

    _search(reporter, 6)

    assert inner.calls == ["start", 0, 1, 2, 5, "finish"]
    expected = (
        "mlflow: 2 of 6 trials are missing there: ConnectionError: server said no to 3; "
        "the search and its run folder are complete without it"
    )
    assert reporter.warnings == (expected,)


def test_a_reporter_that_cannot_start_is_called_no_more() -> None:
    def before(call: Any) -> None:
        raise OSError("no route")

    inner = Scripted(before)
    reporter = BackgroundReporter(inner, "mlflow")

    _search(reporter, 5)

    assert inner.calls == []
    [warning] = reporter.warnings
    assert "5 of 5 trials are missing there: OSError: no route" in warning


def test_a_reporter_that_wants_to_exit_does_not_end_the_thread() -> None:
    def before(call: Any) -> None:
        if call == 0:
            raise SystemExit(3)

    inner = Scripted(before)
    reporter = BackgroundReporter(inner, "mlflow")

    _search(reporter, 2)

    assert inner.calls == ["start", 1, "finish"]
    assert "SystemExit: 3" in reporter.warnings[0]


def test_a_finish_that_fails_is_told_apart_from_lost_trials() -> None:
    def before(call: Any) -> None:
        if call == "finish":
            raise OSError("artefact store is full")

    reporter = BackgroundReporter(Scripted(before), "mlflow")

    _search(reporter, 2)

    assert "its summary is incomplete: OSError: artefact store is full" in reporter.warnings[0]


@pytest.mark.parametrize("stuck_in", ["start", 1, "finish"])
def test_a_reporter_that_blocks_for_ever_is_left_behind(gate: threading.Event, stuck_in: object) -> None:
    def before(call: Any) -> None:
        if call == stuck_in:
            gate.wait()

    reporter = BackgroundReporter(Scripted(before), "mlflow", close_timeout_s=0.05)

    _search(reporter, 3)  # returns

    assert "it was not done 0.05 s after the search" in reporter.warnings[0]


def test_a_slow_reporter_loses_reports_beyond_its_queue_but_never_its_end(gate: threading.Event) -> None:
    def before(call: Any) -> None:
        if call == "start":
            gate.wait()

    inner = Scripted(before)
    reporter = BackgroundReporter(inner, "mlflow", queue_limit=4)
    reporter.start({}, FOLDER)
    for number in range(100):
        reporter.report(_trial(number))  # none of them waits
    gate.set()
    reporter.finish({}, FOLDER)

    kept = inner.calls[1:-1]
    assert inner.calls[-1] == "finish"
    assert kept == list(range(len(kept)))
    assert len(kept) in {3, 4}
    assert f"{100 - len(kept)} of 100 trials are missing there: it is too slow" in reporter.warnings[0]


def test_a_finish_without_a_start_returns() -> None:
    reporter = BackgroundReporter(Scripted(), "mlflow")

    reporter.finish({}, FOLDER)

    assert reporter.warnings == ()


def test_no_call_begins_while_timings_are_taken() -> None:
    inner = Scripted()
    reporter = BackgroundReporter(inner, "mlflow")
    with reporter.quiet():
        reporter.start({}, FOLDER)
        reporter.report(_trial(0))
        during = list(inner.calls)
    reporter.finish({}, FOLDER)

    assert during == []
    assert inner.calls == ["start", 0, "finish"]


def test_a_stuck_call_holds_timings_up_once_at_most(gate: threading.Event) -> None:
    entered = threading.Event()

    def before(call: Any) -> None:
        entered.set()
        gate.wait()

    reporter = BackgroundReporter(Scripted(before), "mlflow", close_timeout_s=0.05)
    reporter.start({}, FOLDER)
    assert entered.wait(10)
    with reporter.quiet(wait_s=0.01):
        pass
    with reporter.quiet(wait_s=3600):  # would show as a time-out of this test
        pass
    reporter.finish({}, FOLDER)

    assert reporter.warnings
