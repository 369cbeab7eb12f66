"""Writing a run folder (design: "Command line, run folder and Python"): each file whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from safetensors.torch import save_file
from torch import nn

from moco.compression.settings import policy_file
from moco.errors import RunFolderError
from moco.interfaces import Artifact
from moco.metrics import METRICS
from moco.policy import Policy
from moco.trial import Trial

LEDGER, RESULT, MANIFEST, EXPERIMENT = "study.db", "result.json", "manifest.json", "experiment.yaml"


def open_run_folder(out: Path, resume: bool) -> None:
    """Make sure that `out` can be written and holds no other search.

    Raises:
        RunFolderError: it cannot be written, holds a search although it is not to be resumed, or holds none although
            it is.
    """
    held = (out / LEDGER).exists()
    if held and not resume:
        raise RunFolderError(f"{out}: holds a search already; continue it with --resume or choose another --out")
    if resume and not held and not (out / MANIFEST).exists():
        raise RunFolderError(f"{out}: nothing to resume, there is no {LEDGER} in it; leave --resume out")
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".writable"
        probe.write_text("", encoding="utf-8")
        probe.unlink()
    except OSError as error:
        raise RunFolderError(f"{out}: the run folder cannot be written: {error.strerror or error}") from None


def claim(out: Path, fingerprint: str) -> None:
    """Refuse a folder that an earlier search of another experiment has begun.

    Raises:
        RunFolderError: the manifest names another fingerprint.
    """
    try:
        manifest = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{out / MANIFEST}: cannot be read: {error}") from None
    if manifest.get("fingerprint") != fingerprint:
        raise RunFolderError(
            f"{out}: belongs to another experiment ('{manifest.get('name')}' with other settings); only the budget, "
            "tracking and certificate may change on --resume; choose another --out"
        )


def write_text(path: Path, text: str) -> None:
    """Write the file whole: readers see the old content or the new one.

    Raises:
        RunFolderError: it cannot be written (a full disk, a folder that is gone).
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".partial")
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    except OSError as error:
        raise RunFolderError(f"{path}: cannot be written: {error.strerror or error}") from None


def write_json(path: Path, data: object) -> None:
    """Write `data` as JSON that a person can read."""
    write_text(path, json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def write_yaml(path: Path, data: object) -> None:
    """Write `data` as YAML, keys in their order."""
    write_text(path, yaml.safe_dump(data, sort_keys=False, allow_unicode=True))


def write_trials(out: Path, trials: Iterable[Trial], objectives: Iterable[str]) -> None:
    """trials.csv, one row a trial, and trials.json, all that is known of each."""
    trials = list(trials)
    write_json(out / "trials.json", [trial_record(trial) for trial in trials])
    losses = [f"loss.{name}" for name in objectives]
    parameters = sorted({name for trial in trials for name in trial.point})
    columns = ["number", "origin", "state", "feasible", "distinct", "score", "seconds", "reason", *losses, *METRICS, *parameters]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for trial in trials:
        measured = {} if trial.evaluation is None else {n: m.value for n, m in trial.evaluation.metrics.items()}
        judged = {} if trial.outcome is None else dict(zip(losses, trial.outcome.losses, strict=True))
        record = {key: value for key, value in trial_record(trial).items() if value is not None}
        writer.writerow({**dict(trial.point), **measured, **judged, **record})
    write_text(out / "trials.csv", text.getvalue())


def trial_record(trial: Trial) -> dict[str, Any]:
    """A trial as trials.json holds it."""
    return {
        "number": trial.number,
        "origin": trial.origin,
        "state": trial.state.value,
        "feasible": trial.feasible,
        "distinct": trial.distinct,
        "score": trial.score,
        "reason": trial.reason,
        "seconds": trial.seconds,
        "losses": None if trial.outcome is None else list(trial.outcome.losses),
        "violations": None if trial.outcome is None else list(trial.outcome.violations),
        "policy": None if trial.policy is None else trial.policy.settings,
        "point": dict(trial.point),
        "evaluation": None if trial.evaluation is None else trial.evaluation.to_json(),
    }


def write_network(
    folder: Path, artifact: Artifact, policy: Policy, network_name: str, network: nn.Module | None = None
) -> None:
    """policy.json and model.onnx, and network.safetensors where the network is given.

    Raises:
        RunFolderError: the folder cannot be written.
    """
    write_json(folder / "policy.json", policy_file(policy, network_name))
    try:
        shutil.copyfile(artifact.path, folder / "model.onnx")
        if network is not None:
            tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
            save_file(tensors, folder / "network.safetensors", metadata={"policy": policy.text, "network": network_name})
    except OSError as error:
        raise RunFolderError(f"{folder}: cannot be written: {error.strerror or error}") from None


def clear(folder: Path) -> None:
    """Remove a folder of an earlier ending, so that nothing stale is delivered."""
    shutil.rmtree(folder, ignore_errors=True)


def summary_of(trial: Trial, metrics: Mapping[str, float]) -> dict[str, Any]:
    """A trial as `best` and `front` of result.json hold it."""
    assert trial.policy is not None
    assert trial.outcome is not None
    return {
        "trial": trial.number,
        "policy": trial.policy.settings,
        "metrics": dict(metrics),
        "losses": list(trial.outcome.losses),
    }
