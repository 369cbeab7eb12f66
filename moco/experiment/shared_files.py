"""The files that searches share, which lie outside the run folder, as a command names them (docs/tracking.md)."""

from __future__ import annotations

from pathlib import Path

from moco.experiment.build import store_of
from moco.experiment.identity import mlflow_address
from moco.experiment.schema import Experiment


def shared_file_lines(experiment: Experiment, out: Path) -> list[str]:
    """Lines that name the evaluation store and MLflow's address, where the experiment has them."""
    mlflow = mlflow_address(experiment, out)
    lines = store_line(experiment, out)
    return lines if mlflow is None else [*lines, f"MLflow: mlflow ui --backend-store-uri {mlflow[0].shown}"]


def store_line(experiment: Experiment, out: Path) -> list[str]:
    """A line that names the evaluation store, if the experiment has one."""
    store = store_of(experiment, out)
    return [] if store is None else [f"evaluations, for later searches: {store}"]
