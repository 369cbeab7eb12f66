"""The measured networks of run folders: of each its metrics, and of each folder what may not be mixed with others."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from moco.errors import RunFolderError
from moco.metrics import METRICS
from moco.products import with_products
from moco.run_folder.manifest import Manifest
from moco.run_folder.reading import COMPARISON, read_comparison, read_run, read_trials, well_formed
from moco.run_folder.trial_record import TrialRecord
from moco.run_folder.writing import MANIFEST
from moco.trial import MetricValue, TrialState

UNKNOWN = "unknown"
REPEATED = "repeated"
_FLOATS = ("float", "bfloat")  # how the names of precisions that are no integers begin
_HASH = 12  # characters of a hash that tell two sets of images apart
_USUAL = "float32"  # a layer's precision where its policy names none


@dataclass(frozen=True)
class MeasuredTrial:
    """A network that was measured.

    Attributes:
        values: by metric, in stored units; what was not measured is left out.
        sems: standard errors by metric, where they were estimated.
        integers: whether a layer computes in integers.
        key: the same for two trials of one network.
    """

    run: str
    number: int
    values: Mapping[str, float]
    sems: Mapping[str, float]
    integers: bool
    key: str


@dataclass(frozen=True)
class Source:
    """A run folder: its measured networks, the number of left out trials by state, and what they were measured on."""

    run: str
    network: str
    target: str
    data: str
    trials: tuple[MeasuredTrial, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def setting(self) -> tuple[str, ...]:
        """What must be the same for numbers that stand in one matrix; a folder that does not say it stands alone."""
        known = (self.network, self.target, self.data)
        return (*known, self.run) if UNKNOWN in known else known


def read_source(run: Path) -> Source:
    """The measured networks of a finished search, or of all runs of a comparison.

    A network that was evaluated again, by the same search or another seed's, counts once: its first trial. A
    RunFolderError where the folder is neither, or a file of it is missing or malformed.
    """
    if (run / COMPARISON).exists():
        manifest, records = _comparison(run)
    elif run.is_dir() and not (run / "result.json").exists():
        raise RunFolderError(
            f"{run}: expected the folder of a finished search or comparison, "
            f"found neither result.json nor {COMPARISON} in it"
        )
    else:
        whole = read_run(run)
        manifest, records = whole.manifest, [(str(run), whole.trials)]
    left_out: Counter[str] = Counter()
    kept: dict[str, MeasuredTrial] = {}
    for name, trials in records:
        for trial in trials:
            if trial.state != TrialState.COMPLETE:
                left_out[trial.state] += 1
                continue
            measured = _measured(name, trial)
            left_out[REPEATED] += measured.key in kept
            kept.setdefault(measured.key, measured)
    facts = _facts(manifest)
    return Source(str(run), *facts, tuple(kept.values()), {state: n for state, n in left_out.items() if n})


def together(sources: Sequence[Source]) -> tuple[list[Source], list[Source]]:
    """The sources of the setting with the most networks, of equal ones the first, and those that are set apart."""
    counts: dict[tuple[str, ...], int] = {}
    for source in sources:
        counts[source.setting] = counts.get(source.setting, 0) + len(source.trials)
    chosen = max(counts, key=lambda setting: counts[setting])
    inside = [source for source in sources if source.setting == chosen]
    return inside, [source for source in sources if source.setting != chosen]


def _comparison(run: Path) -> tuple[Manifest, list[tuple[str, tuple[TrialRecord, ...]]]]:
    content = read_comparison(run)
    manifest = Manifest(name=content.name)  # one on a callable has no file of it
    if (run / MANIFEST).exists():
        with well_formed(f"{run / MANIFEST}: not what a comparison writes"):
            manifest = Manifest.read(run / MANIFEST)
    files = sorted((run / "runs").glob("*/seed*/trials.json"))
    return manifest, [(str(file.parent), read_trials(file, tuple(content.problem.objectives))) for file in files]


def _key(trial: TrialRecord) -> str:
    """What two trials of one network share: its file, or without one its policy and numbers."""
    sha256 = None if trial.evaluation is None else trial.evaluation.artifact_sha256
    return sha256 or json.dumps([trial.policy, trial.metrics], sort_keys=True, default=str)


def _measured(run: str, trial: TrialRecord) -> MeasuredTrial:
    known = {name: MetricValue(value, trial.sems.get(name)) for name, value in trial.metrics.items() if name in METRICS}
    found = with_products(known, METRICS)
    values = {name: metric.value for name, metric in found.items()}
    sems = {name: metric.sem for name, metric in found.items() if metric.sem is not None}
    return MeasuredTrial(run, trial.number, values, sems, _integers((trial.policy or {}).values()), _key(trial))


def _integers(settings: Iterable[Any]) -> bool:
    named = (str(one.get("precision", _USUAL)) for one in settings if isinstance(one, Mapping))
    return any(not name.startswith(_FLOATS) for name in named)


def _facts(manifest: Manifest) -> tuple[str, str, str]:
    hardware = manifest.hardware
    keys = ("processor", "runtime", "version", "providers", "threads")
    words = [f"{key} {hardware[key]}" if key == "threads" else _word(hardware[key]) for key in keys if key in hardware]
    split = manifest.data.splits.get("search")
    images = (split.hash if split is not None else None) or UNKNOWN
    return manifest.network.name or UNKNOWN, ", ".join(words) or UNKNOWN, images[:_HASH]


def _word(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
