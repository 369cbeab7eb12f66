"""The schedule of each trial of a sweep, as a file that `moco sweep --schedule` reads (S2.09: each trial writes one).

A reporter (`moco.interfaces.Reporter`): a file is there as soon as its trial is over.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from moco.errors import RunFolderError
from moco.run_folder.writing import write_yaml
from moco.sweep import vocabulary as words
from moco.sweep.mapping import DIGITS
from moco.sweep.schedule import Schedule
from moco.trial import Point, Trial

SCHEDULES = "schedules"
"""In the run folder; `schedules/3.yaml` is that of trial 3."""
KEEP, METHOD = "keep", "method"
GROUP_TYPES = {method: group_type for group_type, method in words.METHODS.items()}


class TrialSchedules:
    """Writes RUN/schedules/TRIAL.yaml for each trial of a sweep."""

    def __init__(self, schedule: Schedule) -> None:
        """Take the schedule that the sweep leaves: what it searches is set by each trial."""
        self._schedule = schedule
        self._folder: Path | None = None
        self._problem: str | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """Nothing, or one text that says why schedules are missing."""
        return () if self._problem is None else (f"schedules of trials are missing: {self._problem}",)

    def start(self, manifest: Mapping[str, Any], folder: Path) -> None:
        """Take the run folder."""
        del manifest
        self._folder = folder / SCHEDULES

    def report(self, trial: Trial) -> None:
        """Write the trial's schedule; one that is there already, of an earlier session, is written again."""
        assert self._folder is not None, "a search begins with `start`"
        try:
            self._folder.mkdir(exist_ok=True)
            write_yaml(self._folder / f"{trial.number}.yaml", schedule_of(self._schedule, trial.point).written)
        except (RunFolderError, OSError) as error:
            self._problem = self._problem or str(error)

    def finish(self, result: Mapping[str, Any], folder: Path) -> None:
        """Nothing is left to write."""

    def abandon(self) -> None:
        """What is written stays."""


def schedule_of(schedule: Schedule, point: Point) -> Schedule:
    """The schedule with what a point of the sweep's space sets: sparsities and group types, as they were executed."""
    changed = {}
    for name, pruner in schedule.pruners.items():
        kept, method = point.get(f"{name}.{KEEP}"), point.get(f"{name}.{METHOD}")
        update: dict[str, Any] = {}
        if kept is not None:
            update["desired_sparsity"] = round(1 - float(kept), DIGITS)
        if method is not None:
            update["group_type"] = GROUP_TYPES[str(method)]
        changed[name] = pruner.model_copy(update=update)
    return schedule.model_copy(update={"pruners": changed})
