"""Searches with worker processes: the same evaluations, killed workers, and workers that nobody can have."""

from __future__ import annotations

import json
import os
import signal
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from optuna.distributions import FloatDistribution
from safetensors.torch import load_file
from torch.utils.data import TensorDataset

import moco
from moco.data import load_data
from moco.data.sources import SourceOptions
from moco.errors import ConfigError, PolicyRejectedError, WorkersLostError
from moco.evaluation.evaluator import Evaluator
from moco.models import build_model
from moco.trial import Trial, TrialState
from tests.app import tiny
from tests.processes import Children

SCORED = {"protocol": "accuracy-guaranteed", "floor": "-10 pp", "weights": {"size_mb": 1}}
"""An objective that times nothing."""


def evaluated(run: Path) -> dict[str, Any]:
    """By policy, what its evaluation gave but for what it took."""
    trials = json.loads((run / "trials.json").read_text(encoding="utf-8"))
    assert all(trial["state"] == "complete" for trial in trials)
    return {
        json.dumps(trial["policy"]): (trial["evaluation"]["metrics"], trial["evaluation"]["artifact_sha256"])
        for trial in trials
    }


@pytest.mark.slow  # two fresh interpreters build an evaluator each
def test_workers_evaluate_what_one_process_does(experiment: Callable[..., Path], tmp_path: Path) -> None:
    yaml = experiment(objective=SCORED)
    for workers in (1, 2):
        result = tiny.moco("search", yaml, "--out", tmp_path / f"with{workers}", "--workers", str(workers))
        assert result.exit_code == 0, result.output
    assert evaluated(tmp_path / "with1") == evaluated(tmp_path / "with2")


@pytest.mark.slow
def test_a_network_from_python_is_searched_by_workers_and_timed(weights: Path, tmp_path: Path) -> None:
    network = build_model("digits_resnet", 10)
    network.load_state_dict(load_file(weights))
    data = load_data("digits", SourceOptions(), None)
    train, test = (
        TensorDataset(torch.from_numpy(rows.images()), torch.from_numpy(rows.labels.copy()))
        for rows in (data.train, data.test)
    )
    settings = {name: tiny.SETTINGS[name] for name in ("target", "certificate", "store")} | {
        "data": {"splits": tiny.SPLITS},
        "searcher": {"name": "random"},
    }
    out = tmp_path / "mine"
    result = moco.optimize(network, train=train, test=test, trials=6, out=out, workers=2, settings=settings)
    assert result["trials"] == 6
    assert len(evaluated(out)) == result["distinct"]
    assert not list(out.glob(".files"))


@pytest.mark.slow
def test_a_resumed_search_may_have_other_workers(experiment: Callable[..., Path], tmp_path: Path) -> None:
    yaml, out = experiment(objective=SCORED, budget={"trials": 2}), tmp_path / "run"
    assert tiny.moco("search", yaml, "--out", out).exit_code == 0
    done = tiny.moco("search", yaml, "--out", out, "--resume", "--workers", "2")
    assert done.exit_code == 0, done.output


def test_workers_that_are_lost_end_the_search_in_one_line_with_what_to_do(
    experiment: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def evaluate(evaluator: Evaluator, policy: Any) -> Any:
        calls.append(policy)
        if len(calls) > 2:
            raise WorkersLostError("they died: give fewer workers")
        return as_it_is(evaluator, policy)

    as_it_is, out = Evaluator.evaluate, tmp_path / "run"
    monkeypatch.setattr(Evaluator, "evaluate", evaluate)
    line = tiny.one_line(tiny.moco("search", experiment(objective=SCORED), "--out", out), 1)
    assert line == "they died: give fewer workers; finished trials are kept, continue with --resume"
    assert len(evaluated(out)) == 2


@pytest.mark.parametrize(("trials", "processes"), [(2, 2), (9, 4)])
def test_no_more_workers_are_started_than_a_search_has_candidates(
    experiment: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trials: int, processes: int
) -> None:
    asked = []

    def in_workers(workers: int, *_: Any) -> Any:
        asked.append(workers)
        raise WorkersLostError("none of them is needed here")

    monkeypatch.setattr("moco.experiment.worker.in_workers", in_workers)
    yaml = experiment(objective=SCORED, budget={"trials": trials}, searcher={"start": "none"})
    tiny.one_line(tiny.moco("search", yaml, "--out", tmp_path / "run", "--workers", "4"), 1)
    assert asked == [processes]


def test_far_more_workers_than_processors_are_refused(experiment: Callable[..., Path], tmp_path: Path) -> None:
    line = tiny.one_line(tiny.moco("search", experiment(), "--out", tmp_path / "run", "--workers", "99999"), 2)
    assert line.startswith("workers: expected at most ")
    assert line.endswith(f" on {len(os.sched_getaffinity(0))} processors, got 99999")
    assert not (tmp_path / "run" / "manifest.json").exists()


@pytest.mark.parametrize("workers", ["0", "-1", "two"])
def test_workers_that_are_no_number_of_processes_are_refused(
    experiment: Callable[..., Path], tmp_path: Path, workers: str
) -> None:
    result = tiny.moco("search", experiment(), "--out", tmp_path / "run", "--workers", workers)
    assert result.exit_code == 2
    assert "workers" in result.output
    assert not (tmp_path / "run").exists()


PROBLEM = moco.Problem(
    space={"x": FloatDistribution(0, 1)}, objectives={"loss": "minimize"}, reference_point={"loss": 2.0}
)


def test_a_callable_is_evaluated_in_other_processes() -> None:
    def evaluate(point: Mapping[str, float]) -> dict[str, float]:
        return {"loss": point["x"], "process": float(os.getpid())}

    result = moco.search(PROBLEM, evaluate, searcher="random", trials=20, workers=2)
    assert len(result.trials) == 20
    processes = {trial.evaluation.metrics["process"].value for trial in result.trials if trial.evaluation is not None}
    assert 1 <= len(processes) <= 2
    assert float(os.getpid()) not in processes


def test_workers_draw_what_one_process_draws() -> None:
    def points(workers: int) -> list[float]:
        result = moco.search(
            PROBLEM, lambda point: {"loss": point["x"]}, searcher="random", trials=20, seed=3, workers=workers
        )
        return sorted(trial.point["x"] for trial in result.trials)

    assert points(1) == points(2)


def test_a_killed_worker_costs_no_trial(tmp_path: Path) -> None:
    def evaluate(point: Mapping[str, float]) -> dict[str, float]:
        if len(list(tmp_path.iterdir())) < 2:
            (tmp_path / str(os.getpid())).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return {"loss": point["x"]}

    result = moco.search(PROBLEM, evaluate, searcher="tpe", trials=20, workers=2)
    assert [trial.state for trial in result.trials] == [TrialState.COMPLETE] * 20
    assert len({trial.suggestion.id for trial in result.trials}) == 20
    assert len(list(tmp_path.iterdir())) >= 2


def test_workers_that_always_die_end_the_search_with_what_is_finished(tmp_path: Path) -> None:
    """From some time on the machine kills whatever is evaluated."""
    heard = []

    def evaluate(point: Mapping[str, float]) -> dict[str, float]:
        if (tmp_path / "short of memory").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return {"loss": point["x"]}

    def on_trial(trial: Trial) -> None:
        heard.append(trial)
        if len(heard) == 20:
            (tmp_path / "short of memory").touch()

    with pytest.raises(WorkersLostError, match=r"^3 worker processes, .* give fewer workers; it is ") as caught:
        moco.search(PROBLEM, evaluate, searcher="random", trials=200, workers=2, on_trial=on_trial)
    assert "--resume" not in str(caught.value), "a callable has none"
    assert caught.value.trials == tuple(heard)
    assert len(heard) >= 20
    assert all(trial.state is TrialState.COMPLETE for trial in heard)


def test_a_search_goes_on_after_points_at_which_workers_die() -> None:
    def evaluate(point: Mapping[str, float]) -> dict[str, float]:
        if 0.9 < point["x"] < 0.93:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"loss": point["x"]}

    with pytest.warns(UserWarning, match="trials failed, the first with: DeadlyPolicyError: 3 worker processes"):
        result = moco.search(PROBLEM, evaluate, searcher="random", trials=60, workers=2, seed=1)
    assert len(result.trials) == 60
    assert result.failed
    assert all(0.9 < trial.point["x"] < 0.93 for trial in result.failed)


def test_workers_killed_between_trials_cost_no_trial(children: Children) -> None:
    def on_trial(trial: Trial) -> None:
        if trial.number in {4, 14}:
            for child in children():
                child.kill()
                child.join()

    result = moco.search(
        PROBLEM, lambda point: {"loss": point["x"]}, searcher="random", trials=30, workers=2, on_trial=on_trial
    )
    assert [trial.state for trial in result.trials] == [TrialState.COMPLETE] * 30


@pytest.mark.filterwarnings("ignore:workers")
def test_no_more_processes_are_started_than_there_is_to_evaluate(children: Children) -> None:
    started = []
    moco.search(
        PROBLEM,
        lambda point: {"loss": point["x"]},
        searcher="random",
        trials=2,
        workers=4,
        on_trial=lambda _: started.append(len(children())),
    )
    assert max(started) == 2


def test_rejected_and_failed_points_are_told_as_with_one_process() -> None:
    def evaluate(point: Mapping[str, float]) -> dict[str, float]:
        if point["x"] < 0.3:
            raise PolicyRejectedError("too small")
        if point["x"] > 0.9:
            raise ValueError("too large")
        return {"loss": point["x"]}

    def reasons(workers: int) -> list[str | None]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = moco.search(PROBLEM, evaluate, searcher="random", trials=40, seed=1, workers=workers)
        return sorted(str(trial.reason) for trial in result.trials)

    assert reasons(1) == reasons(2)


def test_more_workers_than_processors_are_warned_about() -> None:
    many = len(os.sched_getaffinity(0)) + 1
    with pytest.warns(UserWarning, match=f"workers: {many} are more than the {many - 1} processors"):
        moco.search(PROBLEM, lambda point: {"loss": point["x"]}, searcher="random", trials=2, workers=many)


@pytest.mark.parametrize("workers", [0, -1, 1.5, True, "2"])
def test_workers_of_the_function_are_whole_and_above_0(workers: Any) -> None:
    with pytest.raises(ConfigError, match="workers: expected at least 1, a whole number"):
        moco.search(PROBLEM, lambda point: {"loss": point["x"]}, workers=workers)
