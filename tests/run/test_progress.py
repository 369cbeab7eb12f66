"""What a search shows while it works."""

from __future__ import annotations

import io
import os
import re
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest
from optuna.distributions import FloatDistribution
from rich.console import Console

import moco
from moco.registry import plugin
from moco.run.progress import Progress, policies_text
from moco.run_folder.manifest import SpaceRecord
from moco.study import Budget, Study
from moco.trial import Evaluation, MetricValue

SUMMARY = {
    "policies": 12,
    "groups": [
        {"name": f"group{n}", "layers": ["conv"], "widths": {"conv": list(range(1, 10))}, "precisions": ["float32"]}
        for n in range(50)
    ],
}


def screen(terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=100, highlight=False)


def shown(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def searched(progress: Progress, evaluate: Any = None, trials: int = 4, left: Callable[[], str] | None = None) -> Study:
    problem = moco.Problem({"x": FloatDistribution(0, 1)}, {"top1_error": "minimize"}, {"top1_error": "<= 0.5"})
    searcher = plugin("searcher", "random")
    study = Study(
        problem,
        searcher(problem, searcher.Options(), 0),
        evaluate or (lambda policy: Evaluation({"top1_error": MetricValue(policy.settings["x"])})),
    )
    budget = Budget(trials)
    progress.begin(study, budget, left)
    study.run(budget, on_trial=progress.trial)
    return study


def test_what_is_left_is_forecast_by_the_pace_of_the_trials() -> None:
    console = screen(terminal=False)
    with Progress(console) as progress:
        searched(progress)
    assert "0 s left" in " ".join(shown(console).split())  # long lines are wrapped


def test_what_follows_the_search_is_part_of_what_is_left() -> None:
    console = screen(terminal=False)
    with Progress(console) as progress:
        searched(progress, left=lambda: "at most 40 s left, training included")
    text = " ".join(shown(console).split())
    assert "4/4 done" in text
    assert text.count("s left") == text.count("at most 40 s left, training included") > 0


def test_plain_lines_without_a_terminal() -> None:
    console = screen(terminal=False)
    with Progress(console) as progress:
        progress.step("preparing")
        progress.space(SpaceRecord.from_json(SUMMARY), ("a warning",), "what can be certified")
        searched(progress)
    text = shown(console)
    assert "\x1b" not in text
    assert "\r" not in text
    assert "12 policies" in text
    assert "1 2 … 9" in text
    assert "and 10 more" in text
    assert "warning: a warning" in text
    assert "what can be certified" in text
    assert "trial 0 (search), 1/4 done" in text
    assert "trial 3 (search), 4/4 done" in text
    assert re.search(r"4 done  best score -0\.\d+ at top-1 \d\d\.\d\d %  feasible \d/4", text)


SEARCHER = "moco-searcher"  # the thread that a searcher is asked in: it waits while a candidate is evaluated


def test_a_terminal_has_a_line_that_changes_and_no_thread_that_would_disturb_timings() -> None:
    console, threads = screen(terminal=True), []
    with Progress(console) as progress:
        progress.step("preparing")

        def evaluate(policy: Any) -> Evaluation:
            threads.append({thread.name for thread in threading.enumerate()} - before)
            return Evaluation({"top1_error": MetricValue(0.25)})

        before = {thread.name for thread in threading.enumerate()} | {SEARCHER}
        searched(progress, evaluate)
    assert threads == [set()] * 4
    assert "trial 2 (search), 3/4 done" in shown(console)
    assert "top-1 75.00 %" in shown(console)


def test_a_trial_that_failed_is_said() -> None:
    def evaluate(policy: Any) -> Evaluation:
        if policy.settings["x"] > 0.5:
            raise RuntimeError("too [bold]large")
        return Evaluation({"top1_error": MetricValue(0.9)})

    console = screen(terminal=False)
    with Progress(console) as progress:
        searched(progress, evaluate)
    assert "failed: RuntimeError: too [bold]large" in shown(console)
    assert "none feasible yet" in shown(console)


def test_ctrl_c_before_the_search_leaves_at_once_and_is_given_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), Progress(screen(terminal=False)):
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_outside_of_the_main_thread_ctrl_c_stays_what_it_was() -> None:
    before, errors = signal.getsignal(signal.SIGINT), []

    def work() -> None:
        try:
            with Progress(screen(terminal=False)) as progress:
                searched(progress)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert errors == []
    assert signal.getsignal(signal.SIGINT) is before


def test_numbers_of_policies_are_readable() -> None:
    assert policies_text(7488) == "7,488 policies"
    assert policies_text(3 * 10**40) == "about 10^40 policies"
    assert policies_text(7488, exact=False) == "at most 7,488 policies"
    assert policies_text(None) == "uncountably many policies"
