"""What a search writes outside its run folder, told at its end (docs/tracking.md)."""

from __future__ import annotations

from pathlib import Path

from moco.experiment.build import store_of
from moco.experiment.identity import mlflow_address
from moco.experiment.schema import Experiment


def outside(experiment: Experiment, out: Path) -> list[str]:
    """Lines that name the evaluation store and MLflow's address, where the experiment has them."""
    store, mlflow = store_of(experiment, out), mlflow_address(experiment, out)
    lines = [] if store is None else [f"evaluations, for later searches: {store}"]
    return lines if mlflow is None else [*lines, f"MLflow: mlflow ui --backend-store-uri {mlflow[0].shown}"]
