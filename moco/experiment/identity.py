"""What makes a search this one: the hash of its settings, and the addresses that it is written to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from moco.experiment.schema import Experiment
from moco.optional import require
from moco.secret import Secret

CHANGEABLE = ("budget", "tracking", "certificate", "store", "compare", "workers")
"""Sections that may differ when a search is resumed, all but the ledger's address."""


def settings_hashes(
    written: Mapping[str, Any], config: Mapping[str, Any], storage: Secret | None
) -> tuple[str, dict[str, str]]:
    """Hash of the settings that the trials of one search share, and what an earlier version took in its place.

    The ledger's address counts without its password, however it is given; earlier it was part of it.

    Args:
        written: the resolved experiment, its secrets starred.
        config: the resolved experiment.
    """
    if storage is None:
        return _hash(written, None), {}
    return _hash(written, storage.without_password), {"settings": _hash(config, storage.value)}


def _hash(config: Mapping[str, Any], storage: str | None) -> str:
    shared = {key: value for key, value in config.items() if key not in CHANGEABLE}
    shared["storage"] = storage
    return hashlib.sha256(json.dumps(shared, sort_keys=True, default=str).encode()).hexdigest()[:16]


def storage_address(experiment: Experiment) -> Secret | None:
    """The ledger's database; None where it is RUN/study.db.

    Raises:
        ConfigError: an environment variable that it names is not set.
    """
    storage = experiment.tracking.storage
    return None if storage is None else Secret.of(storage, "tracking.storage")


def mlflow_address(experiment: Experiment, out: Path) -> tuple[Secret, str] | None:
    """MLflow's address and the name of its experiment; None where MLflow is switched off.

    Raises:
        ConfigError: an environment variable that it names is not set, or MLflow is not installed.
    """
    mlflow = experiment.tracking.mlflow
    if mlflow is False:
        return None
    require("mlflow", "tracking.mlflow")
    uri = None if isinstance(mlflow, bool) else mlflow.uri
    name = None if isinstance(mlflow, bool) else mlflow.experiment
    address = Secret.of(uri, "tracking.mlflow.uri") if uri else beside(out, "mlflow.db")
    return address, name or "moco"


def beside(out: Path, name: str) -> Secret:
    """The address of a SQLite file beside the run folder; the path is taken as it is."""
    address = f"sqlite:///{out.resolve().parent / name}"
    return Secret(address, address)
