"""What a search shows while it works: a live line on a terminal, plain lines elsewhere, and a soft stop on Ctrl-C."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from moco.metrics import TOP1_ERROR, shown
from moco.run_folder.manifest import SpaceRecord
from moco.study import Budget, Study
from moco.trial import Evaluation, Trial
from moco.trial_rank import best

MOST_GROUPS = 40
PLAIN_EVERY_S = 10.0


class Progress:
    """Shows a search on a console. As a context it turns the first Ctrl-C into a request to end after this trial."""

    def __init__(self, console: Console, *, detailed: bool = False) -> None:
        """Show nothing yet; `detailed` tells of every trial what it gave and where its seconds went."""
        self.console, self.detailed = console, detailed
        self.title = ""
        self.study: Study | None = None
        self._budget = Budget(0)
        self._left: Callable[[], str] | None = None
        self._live: Live | None = None
        self._last_line = self._began = 0.0
        self._previous: Any = None
        self._stop_early = self._has_begun = False

    def __enter__(self) -> Progress:
        """Take over Ctrl-C."""
        try:
            self._previous = signal.signal(signal.SIGINT, self._interrupted)
        except ValueError:  # not in the main thread: Ctrl-C stays what it was
            self._previous = None
        return self

    def __exit__(self, *_: object) -> None:
        """Give Ctrl-C back."""
        self._stop()
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)

    @property
    def stopping(self) -> bool:
        """Whether Ctrl-C has asked for an early end."""
        return self._stop_early

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self._stop()
        self._say(text)

    def step(self, text: str) -> None:
        """Say what is being done now."""
        self._stop()
        if self.console.is_terminal:
            # Redrawn when there is news only: a thread that spins beside a timed one would disturb it.
            self._live = Live(Text(text), console=self.console, auto_refresh=False, transient=True)
            self._live.start(refresh=True)
        else:
            self._say(text)

    def space(self, summary: SpaceRecord, warnings: tuple[str, ...], outlook: str) -> None:
        """Show the search space before the search."""
        self._stop()
        policies = policies_text(summary.policies, summary.policies_exact)
        groups = summary.groups or ()
        table = Table(title=f"Search space: {policies}", title_justify="left")
        for column in ("group", "layers", "legal widths", "precisions"):
            table.add_column(column)
        for group in groups[:MOST_GROUPS]:
            widths = "; ".join(f"{name} {_list(values)}" for name, values in group.widths.items()) or "-"
            table.add_row(group.name, str(len(group.layers)), widths, " ".join(group.precisions))
        if len(groups) > MOST_GROUPS:
            table.caption = f"and {len(groups) - MOST_GROUPS} more"
        self.console.print(table)
        if summary.kept:
            self._say(f"kept as in space.base: {', '.join(summary.kept)}")
        if outlook:
            self._say(outlook)
        for warning in warnings:
            self._say(f"warning: {warning}")

    def begin(self, study: Study, budget: Budget, left: Callable[[], str] | None = None) -> None:
        """The first trial is about to begin; `left` says what is left, where more follows once the budget is spent."""
        self.study, self._budget, self._left = study, budget, left
        self._began = time.monotonic()
        self._done_before = len(study.trials)
        study.stop_requested = self._stop_early
        if study.trials and self._done_before and not self._has_begun:
            self.console.print(f"resumed after {len(study.trials)} finished trials")
        self._has_begun = True
        self.step(f"{self.title}searching")

    def trial(self, trial: Trial) -> None:
        """A trial is in the ledger."""
        assert self.study is not None
        line = self._line(self.study, trial)
        if self._live is not None:
            self._live.update(Text(line), refresh=True)
        elif time.monotonic() - self._last_line > PLAIN_EVERY_S or self.study.n_counted in {1, self._budget.trials}:
            self._last_line = time.monotonic()
            self._say(line)
        if self.detailed:
            self._say(trial_text(trial))
        elif trial.reason is not None:
            self._say(f"trial {trial.number} {trial.state.value}: {trial.reason}")

    def _line(self, study: Study, trial: Trial) -> str:
        top = best(study.trials)
        feasible = sum(t.feasible for t in study.trials)
        text = f"{self.title}trial {trial.number} ({trial.origin}), {study.n_counted}/{self._budget.trials} done"
        if top is not None and top.evaluation is not None and top.score is not None:
            error = top.evaluation.metrics.get(TOP1_ERROR)
            score = f"score {top.score:.4g}" if top.feasible else "none feasible yet"
            text += f"  best {score}" + (f" at top-1 {shown(TOP1_ERROR, 1 - error.value)}" if error is not None else "")
        left = self._left() if self._left is not None else f"{self._left_s(study):.0f} s left"
        return text + f"  feasible {feasible}/{len(study.trials)}  {left}"

    def _left_s(self, study: Study) -> float:
        """Seconds to the end of the budget, at the pace so far."""
        new = max(len(study.trials) - self._done_before, 1)
        left_s = (time.monotonic() - self._began) / new * max(self._budget.trials - study.n_counted, 0)
        if self._budget.seconds is None:
            return left_s
        return min(left_s, max(self._budget.seconds - study.elapsed_s, 0.0))

    def _say(self, text: str) -> None:
        """Print a line as it is: brackets in an error's text are no markup."""
        self.console.print(text, markup=False)

    def _interrupted(self, _signal: int, _frame: FrameType | None) -> None:
        if self._stop_early or self.study is None:
            raise KeyboardInterrupt
        self._stop_early = True
        self.study.stop_requested = True
        self.console.print("ending after this trial; press Ctrl-C again to leave at once")

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


class StudyProgress:
    """Shows how far a study is: a live line on a terminal, a plain line every ten seconds elsewhere."""

    def __init__(self, console: Console) -> None:
        """Show nothing yet."""
        self._console = console
        self._live = Live(Text(""), console=console, auto_refresh=False, transient=True)
        self._first = self._last = time.monotonic()

    def __enter__(self) -> StudyProgress:
        """Begin the live line, on a terminal."""
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        if self._console.is_terminal:
            self._live.stop()

    def __call__(self, done: int, total: int) -> None:
        """Say how many of the compressed networks have run."""
        now = time.monotonic()
        if done == 1:  # tracing and the reference came before: they say nothing of what is left
            self._first = now
            return
        left = (now - self._first) / (done - 1) * (total - done)  # later layers are faster: rather too much
        text = f"sensitivity: {done} of {total} networks, at most about {left:.0f} s left"
        if self._console.is_terminal:
            self._live.update(Text(text), refresh=True)
        elif now - self._last >= PLAIN_EVERY_S:
            self._console.print(Text(text))
            self._last = now


def trial_text(trial: Trial) -> str:
    """All that a line can hold of a trial: what came of it, its metrics, and its seconds by stage."""
    text = f"trial {trial.number} ({trial.origin}) {trial.state.value}"
    if trial.reason is not None:
        text += f": {trial.reason}"
    if trial.evaluation is None:
        return f"{text}; {trial.seconds:.2f} s"
    text += f", {'feasible' if trial.feasible else 'infeasible'}"
    text += "" if trial.score is None else f", score {trial.score:.4g}"
    metrics = (f"{name} {shown(name, metric.value)}" for name, metric in trial.evaluation.metrics.items())
    return "; ".join((text, ", ".join(metrics), stages_text(trial.evaluation), f"{trial.seconds:.2f} s in all"))


def stages_text(evaluation: Evaluation) -> str:
    """The seconds of each stage of an evaluation; a stored one took none."""
    stages = (f"{stage} {seconds:.2f} s" for stage, seconds in evaluation.seconds.items())
    return ", ".join(stages) or "known already"


def policies_text(count: int | None, exact: bool = True) -> str:
    """A number of policies as a person reads it."""
    if count is None:
        return "uncountably many policies"
    number = f"{count:,}" if count < 10**9 else f"about 10^{len(str(count)) - 1}"
    return f"{'' if exact else 'at most '}{number} policies"


def _list(widths: list[int]) -> str:
    if len(widths) > 6:
        return f"{widths[0]} {widths[1]} … {widths[-1]}"
    return " ".join(map(str, widths))
