"""`moco sweep`: the experiment that a sweep, a schedule and a base come to, checked, and as YAML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from moco.errors import ConfigError, nearest
from moco.experiment.loading import experiment_of, sections_of, with_overrides
from moco.experiment.schema import NAME, Experiment
from moco.models.zoo import build_model
from moco.sweep.mapping import experiment_sections, fixed_schedule
from moco.sweep.schedule import Schedule, read_schedule
from moco.sweep.sweep_file import read_sweep
from moco.whole_file import write_bytes


@dataclass(frozen=True)
class MadeExperiment:
    """An experiment that was made of other files.

    Attributes:
        sections: as in its YAML, paths absolute; of a search they are all that counts.
        schedule: with what the sweep does not search; each trial sets the rest.
        notes: a line each for what was put right or decided.
    """

    sections: dict[str, Any]
    schedule: Schedule
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        """Of the run."""
        return str(self.sections["name"])

    @property
    def yaml(self) -> str:
        """The experiment as a file has it."""
        return yaml.safe_dump(self.sections, sort_keys=False, allow_unicode=True)

    def written_beside(self, out: Path) -> Path:
        """The path OUT.yaml, where `moco search` finds the experiment again; a RunFolderError as of `write_bytes`."""
        path = out.with_name(f"{out.name}.yaml")
        write_bytes(path, self.yaml.encode())
        return path


def made_experiment(
    sweep_path: Path, schedule_path: Path, base: Path, overrides: Sequence[str] = (), allow_import: bool = False
) -> MadeExperiment:
    """The experiment of a sweep under a schedule; the base says network, data, target and budget.

    A ConfigError says in one line what is wrong with one of the files, and names a layer that the network has not.
    """
    (sweep, slips), (schedule, more) = read_sweep(sweep_path), read_schedule(schedule_path)
    made, notes = experiment_sections(sweep, schedule, sections_of(base))
    name = sweep.name or sweep_path.stem
    if not NAME.match(name):
        raise ConfigError(f"{sweep_path}: name: expected letters, digits and . _ + - (it names the run), got {name!r}")
    sections = with_overrides({"name": name, **made}, overrides)
    _check_layers(schedule, experiment_of(sections, allow_import), str(schedule_path))
    return MadeExperiment(sections, fixed_schedule(sweep, schedule), (*slips, *more, *notes))


def _check_layers(schedule: Schedule, experiment: Experiment, where: str) -> None:
    """Pass layers of the network; one of the user's own is looked at when it is built."""
    model = experiment.model
    if model.name is None:
        return
    network = build_model(model.name, model.num_classes, **model.options)
    known = [name for name, module in network.named_modules() if getattr(module, "weight", None) is not None]
    for name, layers in schedule.layers().items():
        for place, layer in enumerate(layers):
            if layer not in known:
                of = f"the network '{model.name}' has no layer '{layer}'"
                raise ConfigError(f"{where}: pruners.{name}.weights[{place}]: {of}{nearest(layer, known)}")
