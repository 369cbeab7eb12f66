"""Shows a search in MLflow: a parent run for the search, a nested run for each trial, the chosen network as a model.

Uses MLflow's client only: no active run, no global tracking address. It may raise and may take seconds; the search
reaches it through `moco.tracking.background`.
"""

from __future__ import annotations

import json
import os
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit, urlunsplit
from urllib.request import urlopen

from moco.tracking import mlflow_values as values
from moco.tracking.mlflow_model import log_onnx_model
from moco.tracking.quiet import quiet
from moco.trial import Trial, TrialState

if TYPE_CHECKING:
    from mlflow import MlflowClient

_FILES = ("experiment.yaml", "manifest.json", "result.json", "trials.csv", "report.html")
_BEST_FILES = ("policy.json", "certificate.json", "card.md")
_STATUS = {TrialState.COMPLETE: "FINISHED", TrialState.REJECTED: "KILLED", TrialState.FAILED: "FAILED"}
_NOTE = "mlflow.json"
_PARENT = "mlflow.parentRunId"
_TRIAL = "moco.trial"
_BATCH = 100
"""Parameters that a server takes in one call."""
_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # otherwise it reports its use to its makers, from its first import on
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # two lines a run, in the middle of the search's progress
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # of 7, which take four minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",  # of 120 s
}


class MLflowReporter:
    """Writes a search to an MLflow store or server (`moco.interfaces.Reporter`)."""

    def __init__(self, tracking_uri: str, experiment_name: str, run_name: str, probe_timeout_s: float = 3.0) -> None:
        """Nothing is imported, connected or written before `start`.

        Args:
            tracking_uri: `sqlite:///FILE`, or the address of a tracking server.
            experiment_name: created where there is none.
            run_name: of the parent run.
            probe_timeout_s: how long a server may take to answer at all.
        """
        self._uri = tracking_uri
        self._experiment_name = experiment_name
        self._run_name = run_name
        self._probe_timeout_s = probe_timeout_s
        self._client: MlflowClient
        self._experiment_id = ""
        self._parent_id = ""
        self._losses: list[str] = []
        self._written: set[int] = set()
        self._settings = ExitStack()

    def start(self, manifest: Mapping[str, Any], folder: Path) -> None:
        """Open the parent run, or continue the one that RUN/mlflow.json names: the search is resumed.

        Raises:
            ConnectionError: the server does not answer.
        """
        self._losses = values.loss_names(manifest)
        self._settings.enter_context(_environment())
        try:
            with self._working():
                self._open(manifest, folder)
        except BaseException:
            self._settings.close()
            raise

    def report(self, trial: Trial) -> None:
        """Write a trial as a nested run; one that is there already is left as it is."""
        if trial.number in self._written:
            return
        now = round(time.time() * 1000)
        tags = {_PARENT: self._parent_id, "mlflow.source.name": "moco", **values.trial_tags(trial)}
        with self._working():
            run = self._client.create_run(
                self._experiment_id,
                start_time=now - round(trial.seconds * 1000),
                tags=tags,
                run_name=f"trial {trial.number}",
            )
            self._log(run.info.run_id, values.trial_metrics(trial, self._losses), values.trial_params(trial))
            self._client.set_terminated(run.info.run_id, _STATUS[trial.state], end_time=now)
        self._written.add(trial.number)

    def finish(self, result: Mapping[str, Any], folder: Path) -> None:
        """Write the result, the files of the run folder and the chosen network, and end the parent run."""
        with self._settings, self._working():
            self._log(self._parent_id, metrics=values.result_metrics(result))
            if statement := (result.get("certificate") or {}).get("statement"):
                self._client.set_tag(self._parent_id, "moco.certificate", statement[: values.MAX_TAG])
            self._client.set_terminated(self._parent_id)  # before the files: one that fails leaves no run "running"
            for name in _FILES:
                self._log_file(folder / name)
            for name in _BEST_FILES:
                self._log_file(folder / "best" / name, "best")
            if (network := folder / "best" / "model.onnx").is_file():
                log_onnx_model(self._client, self._experiment_id, self._parent_id, network)

    def abandon(self) -> None:
        """End the parent run as killed; a search that is resumed opens it again."""
        with self._settings, self._working():
            self._client.set_terminated(self._parent_id, "KILLED")

    @contextmanager
    def _working(self) -> Iterator[None]:
        """Fail within seconds where a server is down (MLflow itself tries for minutes), and print nothing."""
        if self._uri.startswith(("http://", "https://")):
            _probe(self._uri, self._probe_timeout_s)
        import mlflow  # noqa: F401  sets the levels of its loggers, so it comes before `quiet`

        with quiet("mlflow", "alembic"):
            yield

    def _open(self, manifest: Mapping[str, Any], folder: Path) -> None:
        from mlflow import MlflowClient

        self._client = MlflowClient(self._uri)
        self._experiment_id = self._experiment()
        if self._continue(folder / _NOTE):
            return
        tags = {"mlflow.source.name": "moco", "moco.run_folder": str(folder), **values.search_tags(manifest)}
        self._parent_id = self._client.create_run(self._experiment_id, tags=tags, run_name=self._run_name).info.run_id
        self._log(self._parent_id, params=values.search_params(manifest))
        (folder / _NOTE).write_text(json.dumps(self._address(), indent=1), encoding="utf-8")

    def _experiment(self) -> str:
        found = self._client.get_experiment_by_name(self._experiment_name)
        if found is not None:
            return str(found.experiment_id)
        return str(self._client.create_experiment(self._experiment_name, _artifacts_beside(self._uri)))

    def _address(self) -> dict[str, str]:
        """Where the search is found again; without a password that the address may hold."""
        known = {"tracking_uri": _without_password(self._uri), "experiment_id": self._experiment_id}
        return {**known, "run_id": self._parent_id}

    def _continue(self, note: Path) -> bool:
        """Whether there was a parent run to continue; takes note of the trials that it has."""
        from mlflow.exceptions import MlflowException

        found = json.loads(note.read_text(encoding="utf-8")) if note.is_file() else {}
        self._parent_id = str(found.get("run_id", ""))
        if not found or found != self._address():
            return False
        try:
            self._client.update_run(self._parent_id, status="RUNNING")
        except MlflowException:  # deleted there, or another store at that address
            return False
        finished = f"tags.`{_PARENT}` = '{self._parent_id}' and attributes.status != 'RUNNING'"
        page = None
        while True:
            runs = self._client.search_runs([self._experiment_id], finished, max_results=1000, page_token=page)
            self._written |= {int(run.data.tags[_TRIAL]) for run in runs}
            page = runs.token
            if not page:
                return True

    def _log(
        self, run_id: str, metrics: Mapping[str, float] | None = None, params: Mapping[str, str] | None = None
    ) -> None:
        from mlflow.entities import Metric, Param

        now = round(time.time() * 1000)
        numbers = [Metric(name, value, now, 0) for name, value in (metrics or {}).items()]
        texts = [Param(name, text) for name, text in (params or {}).items()]
        for at in range(0, max(len(numbers), len(texts)), _BATCH):
            self._client.log_batch(run_id, numbers[at : at + _BATCH], texts[at : at + _BATCH], synchronous=True)

    def _log_file(self, file: Path, into: str | None = None) -> None:
        if file.is_file():
            self._client.log_artifact(self._parent_id, str(file), into)


@contextmanager
def _environment() -> Iterator[None]:
    """MLflow's settings for which it has no other way, where the user has not set them; taken back in the end."""
    added = {name: value for name, value in _SETTINGS.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def _probe(address: str, timeout_s: float) -> None:
    """Raise where nothing answers at that address; any answer will do, MLflow knows better what it means."""
    host = _without_password(address)
    try:
        with urlopen(f"{host.rstrip('/')}/health", timeout=timeout_s):
            return
    except HTTPError:
        return
    except OSError as error:  # URLError and time-outs among them
        reason = error.reason if isinstance(error, URLError) else error
        if isinstance(reason, ssl.SSLError):
            return
        raise ConnectionError(f"no answer from {host} within {timeout_s:g} s ({reason})") from error


def _without_password(address: str) -> str:
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if "@" in parts.netloc else address


def _artifacts_beside(tracking_uri: str) -> str | None:
    """Folder for the artefacts of a SQLite store; a server knows its own."""
    prefix = "sqlite:///"
    if not tracking_uri.startswith(prefix):
        return None
    return (Path(tracking_uri.removeprefix(prefix)).resolve().parent / "mlflow_artifacts").as_uri()
