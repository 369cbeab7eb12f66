"""What makes a search this one: the hashes that its sessions share, and the addresses that it is written to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from moco.data import DataSets
from moco.experiment.loading import Experiment
from moco.interfaces import Target
from moco.optional import require
from moco.redaction import starred
from moco.run.job import network_hash
from moco.secret import Secret

CHANGEABLE = ("budget", "tracking", "certificate", "store", "compare", "workers")
"""Sections that may differ when a search is resumed, all but the ledger's address."""


def fingerprint(
    config: Mapping[str, Any], network: nn.Module, data: DataSets, target: Target, storage: Secret | None = None
) -> dict[str, str]:
    """Hashes of all that the trials of one search must share: settings, network, images, and the machine.

    The ledger's address counts without its password, however it is given.
    """
    images = hashlib.sha256(f"{data.train.content_hash} {data.test.content_hash}".encode()).hexdigest()
    machine = hashlib.sha256(json.dumps(dict(target.describe()), sort_keys=True).encode()).hexdigest()
    return {
        "settings": _settings_hash(config, None if storage is None else starred(storage.value)),
        "network": network_hash(network)[:16],
        "data": images[:16],
        "machine or runtime": machine[:16],
    }


def older_fingerprint(config: Mapping[str, Any], storage: Secret | None) -> dict[str, str]:
    """The settings' hash as it was made while the ledger's password was part of it."""
    return {} if storage is None else {"settings": _settings_hash(config, storage.value)}


def _settings_hash(config: Mapping[str, Any], storage: str | None) -> str:
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
