"""What each network of a search promises, were it trained for as long as it would be."""

from __future__ import annotations

from collections.abc import Sequence

from moco.finalists.history import Finalist, completed, finalists
from moco.finalists.promise import Forecast
from moco.run.finalist_files import FinalistFiles
from moco.run.finalist_forecasts import Forecasts
from moco.run.finalist_steps import FinalistSteps
from moco.trial import Trial

Promised = tuple[float, float]
"""What is to be expected of trying a network beside what is there already, and alone."""


class Prospects:
    """By all that is known of one search at one moment.

    What was trained by now is a way back, so that another network may be bolder, and so is what needs no training: a
    network that would be delivered as it is gains nothing by one.
    """

    def __init__(
        self, trials: Sequence[Trial], forecasts: Forecasts, files: FinalistFiles, steps: FinalistSteps
    ) -> None:
        """Take the trials so far, what forecasts them, the files in fewer bits, and the steps that are left."""
        self.trials, self.forecasts, self.files, self.steps = trials, forecasts, files, steps
        self.promise, self.worth = forecasts.promise(trials), forecasts.worth(trials)
        trained = {one.of: one for one in completed(finalists(trials))}
        self._trained = {of: (one.trial, self._forecast(trials[of], one.steps)) for of, one in trained.items()}
        self._as_they_are = forecasts.best_as_they_are(trials, self.worth)

    def of(self, one: Finalist) -> Promised:
        """Of a trial's network that was trained before, or was not yet, in its own bits or those it is written in."""
        base = self.trials[one.of]
        return self._of(one.trial, self._forecast(base, one.steps + self._steps_to_come(base)), one.of)

    def of_new(self, trial: Trial) -> Promised:
        """Of a network that is no trial of the search yet."""
        return self._of(trial, self._forecast(trial, self._steps_to_come(trial)))

    def _of(self, trial: Trial, then: Forecast, of: int | None = None) -> Promised:
        beside = [*self._as_they_are, *(way_back for known, way_back in self._trained.items() if known != of)]
        files = [trial]
        if not self.forecasts.loses_by_codes(trial, self.worth):
            files += self.files.counted_on(trial)
        return max((self.worth(file, then, beside), self.worth(file, then)) for file in files)

    def _forecast(self, trial: Trial, steps: int) -> Forecast:
        return self.promise.forecast(self.forecasts.untrained(trial), steps)

    def _steps_to_come(self, trial: Trial) -> int:
        assert trial.policy is not None
        return self.steps.to_come(trial.policy, self.trials)
