"""A search whose finalists are trained on."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from moco.errors import ConfigError
from moco.experiment.build import build_job
from moco.experiment.finalists import finalists_plan
from moco.experiment.loading import experiment_of
from moco.finalists.bit_allocations import in_fewer_bits
from moco.finalists.plan import FinalistsPlan
from moco.finalists.worth import Worth
from moco.models.training import Descent
from moco.models.weights import weights_metadata
from moco.run.finals import Finals
from moco.run.job import prepare
from moco.trial import Trial
from tests.app.tiny import moco, one_line, read, settings, write

SHORT: dict[str, Any] = {"candidates": 2, "share": 0.8, "training": {"learning_rate": 0.005}}
WITHOUT_FLOAT = {"quantization": {"precision": ["int8"]}}


def test_finalists_are_a_word_or_a_section() -> None:
    budget = {"processor_seconds": 100}
    assert finalists_plan(experiment_of(settings(budget=budget))) is None
    assert finalists_plan(experiment_of(settings(budget=budget, finalists=False))) is None
    assert finalists_plan(experiment_of(settings(budget=budget, finalists=True))) == FinalistsPlan()
    given = finalists_plan(experiment_of(settings(budget=budget, finalists=SHORT)))
    assert given is not None
    assert (given.candidates, given.training.learning_rate) == (2, 0.005)


@pytest.mark.parametrize(
    ("budget", "finalists", "message"),
    [
        ({}, True, r"^finalists: expected budget\.processor_seconds or budget\.seconds, got neither: how long"),
        ({"seconds": 9}, {"training": {"epochs": 3.0}}, r"^finalists\.training\.epochs: leave it out, the budget says"),
        (
            {"seconds": 9},
            {"training": {"learning_rat": 1}},
            r"^finalists\.training\.learning_rat: unknown key",
        ),
        ({"seconds": 9}, {"candidate": 3}, r"^finalists\.candidate: unknown key; did you mean 'candidates'"),
        ({"seconds": 9}, {"share": 1.5}, r"^finalists\.share: "),
    ],
)
def test_what_makes_no_finalists_is_refused_when_it_is_read(budget: Any, finalists: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        experiment_of(settings(budget=budget, finalists=finalists))


def test_a_budget_too_small_for_a_first_round_is_refused_before_the_search(tmp_path: Path) -> None:
    file = write(tmp_path / "tiny.yaml", budget={"seconds": 0.5}, finalists=SHORT)
    line = one_line(moco("search", file, "--out", tmp_path / "run"), 2)
    assert line.startswith("finalists: the budget leaves 0 s for training, and a first round of 2 finalists, 20 steps")
    assert not (tmp_path / "run").exists() or not (tmp_path / "run" / "study.db").exists()


def test_a_space_in_which_nothing_can_be_trained_is_refused_before_the_search(tmp_path: Path) -> None:
    space = {"filter_pruning": None}
    file = write(tmp_path / "tiny.yaml", budget={"seconds": 30}, finalists=SHORT, space=space)
    line = one_line(moco("search", file, "--out", tmp_path / "run"), 2)
    assert line.startswith("finalists: nothing in `space` takes accuracy that training could give back")


@pytest.mark.slow
def test_a_finalist_of_few_bits_is_trained_in_codes(tmp_path: Path) -> None:
    run = tmp_path / "run"
    quantization = {"precision": ["mixed"], "weight_bits": [2, 3], "activation_bits": [8, 8]}
    file = write(
        tmp_path / "tiny.yaml",
        budget={"trials": 6, "processor_seconds": 60},
        space={"filter_pruning": None, "quantization": quantization},
        finalists=SHORT,
        objective={"floor": "-5 pp"},
    )
    assert moco("search", file, "--out", run).exit_code in {0, 3}
    trials, found = read(run / "trials.json"), read(run / "result.json")["finalists"]
    assert found
    assert all(weights_metadata(path) == {"codes": "true"} for path in (run / "finalists").iterdir())
    before, after = (trials[found[-1][name]]["evaluation"]["metrics"]["top1_error"][0] for name in ("of", "trial"))
    assert after < before


@pytest.mark.slow
def test_the_last_finalist_is_written_in_fewer_bits_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, judged, judge = tmp_path / "run", dict[int, set[float]](), Worth.__call__

    def noted(worth: Worth, trial: Trial, *rest: Any) -> float:
        assert trial.evaluation is not None
        judged.setdefault(trial.number, set()).add(trial.evaluation.metrics["size_mb"].value)
        return judge(worth, trial, *rest)

    monkeypatch.setattr(Worth, "__call__", noted)
    quantization = {"precision": ["mixed"], "weight_bits": [4, 8], "activation_bits": [8, 8]}
    sections: dict[str, Any] = {
        "budget": {"trials": 6, "processor_seconds": 60},
        "space": {"filter_pruning": {"keep": [0.5, 1.0]}, "quantization": quantization},
        "finalists": SHORT,
        "objective": {"floor": "-10 pp"},
    }
    file = write(tmp_path / "tiny.yaml", **sections)
    assert moco("search", file, "--out", run).exit_code in {0, 3}
    found, trials = read(run / "result.json")["finalists"], read(run / "trials.json")
    trained = [one for one in found if "bits_of" not in one]
    fewer = [one for one in found if "bits_of" in one]
    last = trials[trained[-1]["trial"]]
    assert len(fewer) <= 3
    assert {one["bits_of"] for one in fewer} <= {last["number"]}
    assert {one["steps"] for one in fewer} <= {trained[-1]["steps"]}
    sizes = [trials[one["trial"]]["evaluation"]["metrics"]["size_mb"][0] for one in (trained[-1], *fewer)]
    # It was picked by the files that it would be written in, too.
    measured = {trial["number"]: trial["evaluation"]["metrics"]["size_mb"][0] for trial in trials}
    assert [number for number, seen in judged.items() if min(seen) < measured[number]]
    assert all(size < sizes[0] for size in sizes[1:])
    in_codes = any(weights_metadata(path) == {"codes": "true"} for path in (run / "finalists").iterdir())
    with closing(prepare(build_job(experiment_of(settings(**sections)), run), tmp_path / "files")) as prepared:
        space = prepared.problem.space
        smaller = in_fewer_bits(space, space.canonical(last["point"]), last["point"])
    assert fewer or in_codes or not smaller
    assert len(list((run / "finalists").iterdir())) == len(trained)
    written = [last, *(trials[one["trial"]] for one in fewer)]
    assert len({str(trial["point"]) for trial in written}) == len(written)
    before = len(trials)
    assert moco("search", file, "--out", run, "--resume").exit_code in {0, 3}
    assert len(read(run / "trials.json")) == before


@pytest.mark.slow
def test_a_finalist_is_trained_kept_and_delivered(tmp_path: Path) -> None:
    run = tmp_path / "run"
    file = write(
        tmp_path / "tiny.yaml",
        budget={"trials": 12, "processor_seconds": 60},
        space=WITHOUT_FLOAT,
        finalists=SHORT,
        objective={"floor": "-5 pp"},
    )
    assert moco("search", file, "--out", run).exit_code == 0
    result, trials = read(run / "result.json"), read(run / "trials.json")
    found = result["finalists"]
    assert [one["round"] for one in found] == [0, 0, 1]
    assert found[2]["steps"] > max(one["steps"] for one in found[:2])
    errors = {trial["number"]: trial["evaluation"]["metrics"]["top1_error"][0] for trial in trials}
    assert errors[found[2]["trial"]] < errors[found[2]["of"]]
    trained = {one["trial"] for one in found} & {one["trial"] for one in result["front"]}
    assert trained
    assert all((run / "front" / str(number) / "model.onnx").is_file() for number in trained)
    assert "Finalists, round by round" in (run / "report.html").read_text(encoding="utf-8")
    assert moco("search", file, "--out", run, "--resume").exit_code == 0
    assert read(run / "result.json")["best"]["sha256"] == result["best"]["sha256"]


@pytest.mark.slow
def test_while_nothing_is_worth_a_training_the_search_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The split gives the search a fifth of the seconds, which may end before anything is worth the rest."""
    run, picked = tmp_path / "run", Finals._picked
    monkeypatch.setattr(Finals, "_picked", lambda self, t, n: picked(self, t, n) if len(t) >= 12 else None)
    budget = {"trials": 14, "processor_seconds": 60, "patience": 50}
    file = write(tmp_path / "tiny.yaml", budget=budget, space=WITHOUT_FLOAT, finalists={**SHORT, "share": 0.9})
    assert moco("search", file, "--out", run).exit_code in {0, 3}
    trials = read(run / "trials.json")
    assert sum(trial["origin"] != "finalist" for trial in trials) >= 12
    assert read(run / "result.json")["finalists"]


@pytest.mark.slow
def test_an_interrupted_training_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, steps = tmp_path / "run", Descent.step
    file = write(
        tmp_path / "tiny.yaml",
        budget={"trials": 6, "processor_seconds": 60},
        space=WITHOUT_FLOAT,
        finalists=SHORT,
    )
    made: list[int] = []

    def interrupted(*given: Any, **more: Any) -> float:
        made.append(1)
        if len(made) == 60:
            raise KeyboardInterrupt
        return steps(*given, **more)

    monkeypatch.setattr(Descent, "step", interrupted)
    monkeypatch.setattr("moco.recovery.checkpoint.EVERY_SECONDS", 0.0)
    assert moco("search", file, "--out", run).exit_code == 1
    assert list((run / "finalists").glob("*.checkpoint.safetensors"))
    monkeypatch.setattr(Descent, "step", steps)
    assert moco("search", file, "--out", run, "--resume").exit_code in {0, 3}
    found = read(run / "result.json")["finalists"]
    rounds = [one["round"] for one in found]
    assert rounds in ([0, 0, 1], [0, 1])  # whether a second network is worth a first round hangs on how fast each is
    assert not list((run / "finalists").glob("*.checkpoint.safetensors"))
    assert len(list((run / "finalists").iterdir())) == len(found)


@pytest.mark.slow
def test_a_training_that_diverges_fails_and_the_others_go_on(tmp_path: Path) -> None:
    run = tmp_path / "run"
    training = {**SHORT, "training": {"learning_rate": 90.0, "clip": None}}
    file = write(
        tmp_path / "tiny.yaml",
        budget={"trials": 5, "processor_seconds": 120},
        space=WITHOUT_FLOAT,
        finalists=training,
    )
    assert moco("search", file, "--out", run).exit_code in {0, 3}
    trials = read(run / "trials.json")
    failed = [trial for trial in trials if trial["origin"] == "finalist" and trial["state"] == "failed"]
    assert failed
    assert "lower finalists.training.learning_rate, or check the images" in failed[0]["reason"]
    assert read(run / "result.json")["best"]["origin"] != "finalist"
