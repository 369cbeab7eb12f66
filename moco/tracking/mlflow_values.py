"""What MLflow is told of a search and of its trials, in the names, types and lengths that it accepts."""

from __future__ import annotations

import json
import math
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from moco.run_folder.manifest import Manifest
from moco.trial import Trial

# MLflow's own limits (mlflow.utils.validation, 3.x); a server refuses a whole batch for one value beyond them.
MAX_KEY, MAX_PARAM, MAX_TAG = 250, 6000, 8000
_NOT_IN_KEYS = re.compile(r"[^\w.\-/ ]")


def flattened(tree: Any, separator: str = ".", path: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested mappings and sequences of mappings, each with its path; other sequences are leaves."""
    if isinstance(tree, Mapping) and tree:
        for name, branch in tree.items():
            yield from flattened(branch, separator, f"{path}{separator}{name}" if path else str(name))
    elif isinstance(tree, (list, tuple)) and any(isinstance(item, Mapping) for item in tree):
        for index, item in enumerate(tree):
            yield from flattened(item, separator, f"{path}{separator}{index}")
    else:
        yield path, tree


def as_key(name: str) -> str:
    """A name of a number or text that MLflow accepts."""
    # MLflow takes names as paths and refuses those that a file system would read differently.
    return posixpath.normpath(_NOT_IN_KEYS.sub("_", name)[:MAX_KEY]).lstrip("./") or "_"


def as_params(values: Mapping[str, Any]) -> dict[str, str]:
    """Parameters as texts that MLflow accepts; too long ones end in an ellipsis."""
    return {as_key(name): _cut(str(value), MAX_PARAM) for name, value in values.items()}


def as_tags(values: Mapping[str, Any]) -> dict[str, str]:
    """Tags as texts that MLflow accepts; None is left out."""
    return {as_key(name): _cut(str(value), MAX_TAG) for name, value in values.items() if value is not None}


def as_metrics(values: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers among the values, truth as 0 or 1."""
    numbers = {as_key(name): float(value) for name, value in values.items() if isinstance(value, (int, float))}
    return {name: number for name, number in numbers.items() if math.isfinite(number)}


def search_params(manifest: Manifest) -> dict[str, str]:
    """Parameters of a search: its configuration, flattened, with the searcher and the seed."""
    known = {"name": manifest.name, "searcher": manifest.searcher, "seed": manifest.seed}
    said = {name: value for name, value in known.items() if value is not None}
    return as_params(dict(flattened({**said, **manifest.config})))


def search_tags(manifest: Manifest) -> dict[str, str]:
    """Tags of a search: what to filter searches by, versions, hardware, and what images it is for, as JSON."""
    known = {
        "experiment": manifest.name,
        "network": manifest.network.name,
        "protocol": manifest.setting("objective", "protocol"),
        "target": manifest.setting("target", "runtime"),
        "data": manifest.setting("data", "source"),
        "searcher": manifest.searcher,
        "seed": manifest.seed,
        "version": manifest.versions.get("moco"),
        "versions": manifest.versions or None,
        "hardware": manifest.hardware or None,
    }
    described = {name: json.dumps(value) for name, value in (manifest.data.description or {}).items()}
    return as_tags({f"moco.{name}": value for name, value in (known | described).items()})


def trial_params(trial: Trial) -> dict[str, str]:
    """Parameters of a trial: the point that was executed, and its policy."""
    policy = {} if trial.policy is None else {"policy": trial.policy.text, "policy_key": trial.policy.key[:12]}
    return as_params({**trial.point, **policy})


def trial_tags(trial: Trial) -> dict[str, str]:
    """Tags of a trial: what to filter runs by."""
    feasible = None if trial.outcome is None else truth(trial.feasible)
    return as_tags(
        {
            "moco.trial": trial.number,
            "moco.state": trial.state.value,
            "moco.origin": trial.origin,
            "moco.feasible": feasible,
            "moco.reason": trial.reason,
            "moco.distinct": truth(trial.distinct),
        }
    )


def trial_metrics(trial: Trial, losses: Sequence[str]) -> dict[str, float]:
    """Numbers of a trial: metrics under their names, and losses, violations, standard errors and seconds in folders."""
    numbers: dict[str, Any] = {"seconds": trial.seconds}
    if trial.score is not None:
        numbers["score"] = trial.score
    if trial.evaluation is not None:
        for name, metric in trial.evaluation.metrics.items():
            numbers[name] = metric.value
            numbers[f"sem/{name}"] = metric.sem
        numbers |= {f"seconds/{stage}": spent for stage, spent in trial.evaluation.seconds.items()}
    if trial.outcome is not None:
        names = losses if len(losses) == len(trial.outcome.losses) else range(len(trial.outcome.losses))
        numbers |= {f"loss/{name}": loss for name, loss in zip(names, trial.outcome.losses, strict=True)}
        numbers |= {f"violation/{index}": missed for index, missed in enumerate(trial.outcome.violations)}
        numbers["feasible"] = trial.feasible
    return as_metrics(numbers)


def truth(value: bool) -> str:
    """A truth as a tag."""
    return str(value).lower()


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
