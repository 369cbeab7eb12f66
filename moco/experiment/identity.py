"""What makes a search this one: its settings, every default spelled out, their hash, and where it is written to."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from moco.experiment.schema import Experiment
from moco.home import shared_file
from moco.optional import require
from moco.registry import written_options
from moco.secret import Secret
from moco.tracking.database import database_address, file_address

MLFLOW = "mlflow.db"
"""MLflow's runs where no address is given, in moco's home (moco/home.py); its artefacts lie beside it."""

CHANGEABLE = ("budget", "tracking", "certificate", "store", "compare", "workers", "baselines", "student")
"""Sections that may differ when a search is resumed, all but the ledger's address."""


def resolved(experiment: Experiment) -> dict[str, Any]:
    """The experiment with every default spelled out: the content of RUN/experiment.yaml, which can be loaded again."""
    data, plugins = experiment.model_dump(mode="json", by_alias=True, exclude_none=True), experiment.plugins
    for section in ("objective", "searcher", "target"):
        given = dataclasses.asdict(getattr(plugins, section).options).items()
        data[section] |= _plain({name: value for name, value in given if value is not None})
    runtime, *others = data["target"].items()
    first = [field.name for field in dataclasses.fields(plugins.target.options)][:1]
    leading = [(name, data["target"][name]) for name in first if name in data["target"]]
    data["target"] = dict([runtime, *leading, *others])  # the order that run folders have always had
    methods = {method.name: _plain(written_options(method.options)) for method in plugins.methods}
    # Methods stand where they are usually written: after what says which layers.
    space = {key: value for key, value in data["space"].items() if key not in methods}
    first = [key for key in ("groups", "ignore", "channel_multiple") if key in space]
    data["space"] = {**{key: space[key] for key in first}, **methods, **space}
    return data


def _plain(values: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps(values))


def settings_hashes(
    written: Mapping[str, Any], config: Mapping[str, Any], storage: Secret | None
) -> tuple[str, dict[str, tuple[str, ...]]]:
    """Hash of the settings that the trials of one search share, and what earlier versions took in its place.

    Of the resolved experiment: `written` has its secrets starred, `config` has them. The ledger's address counts
    without its password, however it is given; earlier it was part of it, later some passwords were not seen.
    """
    if storage is None:
        return _hash(written, None), {}
    whole, in_part = storage.earlier
    older = _hash(config, whole), _hash(written, in_part)
    return _hash(written, storage.without_password), {"settings": older}


def _hash(config: Mapping[str, Any], storage: str | None) -> str:
    shared = {key: value for key, value in config.items() if key not in CHANGEABLE}
    if isinstance(data := shared.get("data"), Mapping):  # what is allowed changes no trial
        shared["data"] = {key: value for key, value in data.items() if key != "allow_duplicates"}
    shared["storage"] = storage
    return hashlib.sha256(json.dumps(shared, sort_keys=True, default=str).encode()).hexdigest()[:16]


def storage_address(experiment: Experiment) -> Secret | None:
    """The ledger's database; None where it is RUN/study.db. A ConfigError where SQLAlchemy cannot use the address."""
    storage = experiment.tracking.storage
    return None if storage is None else database_address(storage, "tracking.storage")


def mlflow_address(experiment: Experiment, out: Path) -> tuple[Secret, str] | None:
    """MLflow's address and the name of its experiment; None where MLflow is switched off.

    A ConfigError names an environment variable that is not set, or says that MLflow is not installed.
    """
    mlflow = experiment.tracking.mlflow
    if mlflow is False:
        return None
    require("mlflow", "tracking.mlflow")
    uri = None if isinstance(mlflow, bool) else mlflow.uri
    name = None if isinstance(mlflow, bool) else mlflow.experiment
    address = Secret.of(uri, "tracking.mlflow.uri") if uri else file_address(shared_file(MLFLOW, out))
    return address, name or "moco"


def registered_model(experiment: Experiment) -> str | None:
    """The model of MLflow's registry that deliveries are versions of; None where none was asked for."""
    mlflow = experiment.tracking.mlflow
    return None if isinstance(mlflow, bool) else mlflow.registered_model
