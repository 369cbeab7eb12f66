"""`moco compare` on a tiny experiment: one preparation, one folder, Ctrl-C, what goes on, and what is refused."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import optuna
import pytest

from moco.evaluation.evaluator import Evaluator
from moco.interfaces import SearcherCapabilities
from moco.registry import BUILT_IN
from moco.searchers.random import RandomSearcher
from tests.app.tiny import moco, one_line, read
from tests.app.tiny import write as write_tiny

COMMAND = Path(sys.executable).with_name("moco")
SECTION = {"seeds": 2, "searchers": ["random", {"name": "nsga2", "label": "small", "population": 2}]}
TRIALS = 4
UNTIMED = {
    "objective": {"protocol": "accuracy-guaranteed", "floor": "-10 pp", "weights": {"size_mb": 1, "latency_ms": None}}
}


@pytest.fixture(scope="session")
def compared_yaml(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Path:
    return write_tiny(
        tmp_path_factory.mktemp("compared") / "tiny.yaml",
        model={"weights": str(weights)},
        compare=SECTION,
        budget={"trials": TRIALS},
        searcher={"name": "random", "start": "reference"},
        tracking={"mlflow": True},
    )


@pytest.fixture(scope="session")
def compared(compared_yaml: Path) -> Path:
    """The folder of a finished comparison; for reading only."""
    out = compared_yaml.parent / "run"
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("MOCO_HOME", str(out.parent))
        result = moco("compare", compared_yaml, "--out", out)
    assert result.exit_code == 0, result.output
    (out.parent / "stdout.txt").write_text(result.stdout, encoding="utf-8")
    return out


@pytest.mark.slow
def test_the_section_is_compared_and_all_of_it_is_in_the_folder(compared: Path) -> None:
    content = read(compared / "compare.json")
    assert content["complete"] is True
    assert [(run["searcher"], run["seed"], run["trials"]) for run in content["runs"]] == [
        ("random", 0, TRIALS), ("small", 0, TRIALS), ("random", 1, TRIALS), ("small", 1, TRIALS),
    ]  # fmt: skip
    assert content["searchers"]["small"] == {
        "searcher": "nsga2",
        "options": {"population": 2, "crossover": 0.9, "swapping": 0.5, "mutation": None},
    }
    assert (content["network"], content["primary"], content["start"]) == ("digits_resnet", "score", "reference")
    assert content["reference_point"] == {"losses": {"top1_error": 1.0, "cost": 1.0}, "of": "the problem"}
    for name in ("compare.html", "manifest.json", "experiment.yaml", "study.db", "runs/small/seed1/trials.csv"):
        assert (compared / name).is_file()
    assert not (compared / ".files").exists()


@pytest.mark.slow
def test_evaluations_are_shared_and_charged_as_first_made(compared: Path) -> None:
    """Each run begins with the reference: the first one makes the evaluation, the others have it from the store."""
    content = read(compared / "compare.json")
    assert [run["stored"] >= 1 for run in content["runs"]] == [False, True, True, True]
    made = [read(compared / "runs" / run["searcher"] / f"seed{run['seed']}" / "trials.json") for run in content["runs"]]
    first, *others = (trials[0]["evaluation"] for trials in made)
    evaluating = {stage: s for stage, s in first["seconds"].items() if stage not in {"search", "record"}}
    for other in others:
        assert other["details"]["first_made_s"] == evaluating
        assert set(other["seconds"]) == {"search", "record"}
        assert other["metrics"].keys() == first["metrics"].keys()
        for name, value in first["metrics"].items():  # brought to this search's reference, so but for the last digit
            assert other["metrics"][name] == [x if x is None else pytest.approx(x, rel=1e-12) for x in value]
    for run in content["runs"]:
        assert run["charged_s"] > sum(evaluating.values())


def test_each_run_is_a_study_of_its_own(compared: Path) -> None:
    studies = optuna.get_all_study_summaries(f"sqlite:///{compared / 'study.db'}")
    assert {(study.study_name, study.n_trials) for study in studies} == {
        (f"tiny {label} seed {seed}", TRIALS) for label in ("random", "small") for seed in (0, 1)
    }


def test_mlflow_has_a_parent_and_a_nested_run_each(compared: Path) -> None:
    with sqlite3.connect(compared.parent / "mlflow.db") as database:
        names = {name for (name,) in database.execute("SELECT name FROM runs")}
        histories = database.execute("SELECT COUNT(*) FROM metrics WHERE key = 'hypervolume' AND step > 0").fetchone()
    assert names == {"tiny", *(f"{label}, seed {seed}" for label in ("random", "small") for seed in (0, 1))}
    assert histories == (4 * TRIALS,)


def test_the_console_says_what_the_seeds_can_show_and_how_it_ended(compared: Path) -> None:
    text = (compared.parent / "stdout.txt").read_text(encoding="utf-8")
    assert "2 seeds of 2 strategies can never show a difference at 5 %: at least 6 seeds are needed" in text
    assert "small, seed 1: finished, 4 trials" in text
    assert "one cannot tell which strategy is better" in text
    assert f"report: {compared / 'compare.html'}" in text.replace("\n", "")


@pytest.mark.slow
def test_a_finished_comparison_is_not_run_again(
    compared: Path, compared_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = shutil.copytree(compared, tmp_path / "run")
    monkeypatch.setattr(Evaluator, "__call__", lambda *_: pytest.fail("evaluated"))
    before = read(run / "compare.json")
    assert "--resume" in one_line(moco("compare", compared_yaml, "--out", run), 2)
    assert moco("compare", compared_yaml, "--out", run, "--resume").exit_code == 0
    assert read(run / "compare.json")["runs"] == before["runs"]


def test_the_page_is_written_anew_from_the_numbers(compared: Path, tmp_path: Path) -> None:
    run = shutil.copytree(compared, tmp_path / "run")
    (run / "compare.html").unlink()
    done = moco("report", run)
    assert done.exit_code == 0
    assert "one cannot tell which strategy is better" in done.stdout
    assert (run / "compare.html").read_text(encoding="utf-8") == (compared / "compare.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", ["search", "compare"])
def test_a_folder_of_the_other_kind_is_refused(
    command: str, compared: Path, compared_yaml: Path, finished: Path, finished_yaml: Path, tmp_path: Path
) -> None:
    held, yaml = (compared, compared_yaml) if command == "search" else (finished, finished_yaml)
    run = shutil.copytree(held, tmp_path / "run")
    options = ["--searchers", "random,tpe"] if command == "compare" else []
    line = one_line(moco(command, yaml, "--out", run, "--resume", *options), 2)
    assert "belongs to another experiment" in line


def interrupt_in(monkeypatch: pytest.MonkeyPatch, evaluation: int, times: int) -> None:
    """Press Ctrl-C while that evaluation is made."""
    evaluate, calls = Evaluator.__call__, []

    def pressed(self: Evaluator, policy: Any) -> Any:
        calls.append(policy)
        if len(calls) == evaluation:
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGINT)
        return evaluate(self, policy)

    monkeypatch.setattr(Evaluator, "__call__", pressed)


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_keeps_what_is_finished_and_the_rest_goes_on(
    times: int, compared_yaml: Path, compared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        interrupt_in(patch, TRIALS + 2, times)
        done = moco("compare", compared_yaml, "--out", run)
    assert done.exit_code == (0 if times == 1 else 1)
    content = read(run / "compare.json")
    states = [(entry["searcher"], entry["state"]) for entry in content["runs"]]
    assert states == [("random", "finished"), ("small", "unfinished")][: 3 - times]
    assert content["complete"] is False
    assert (run / "compare.html").is_file()
    assert any("runs are not finished and left out" in text for text in content["warnings"])
    assert moco("compare", compared_yaml, "--out", run, "--resume").exit_code == 0
    found, whole = read(run / "compare.json"), read(compared / "compare.json")
    assert found["complete"] is True
    for entry in whole["runs"]:
        name = Path("runs") / entry["searcher"] / f"seed{entry['seed']}" / "trials.json"
        assert [trial["point"] for trial in read(run / name)] == [trial["point"] for trial in read(compared / name)]


@pytest.mark.slow
def test_strategies_seeds_and_trials_may_be_added(compared: Path, compared_yaml: Path, tmp_path: Path) -> None:
    run = shutil.copytree(compared, tmp_path / "run")
    done = moco(
        "compare", compared_yaml, "--out", run, "--resume", "--searchers", "random,small,uniform", "--seeds", 3,
        "--set", f"budget.trials={TRIALS + 1}",
    )  # fmt: skip
    assert done.exit_code == 0
    content, before = read(run / "compare.json"), read(compared / "compare.json")
    assert [run["trials"] for run in content["runs"]] == [TRIALS + 1] * 9
    old = read(compared / "runs" / "small" / "seed1" / "trials.json")
    assert read(run / "runs" / "small" / "seed1" / "trials.json")[:TRIALS] == old
    assert before["seeds"] == [0, 1]
    assert content["seeds"] == [0, 1, 2]
    assert content["tests"]["score_at_equal_trials"]["friedman"]["seeds"] == 3


@pytest.mark.slow
def test_a_comparison_that_is_killed_goes_on_from_its_ledgers(
    compared_yaml: Path, compared: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = subprocess.Popen([COMMAND, "compare", compared_yaml, "--out", run], stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None and _recorded(run) < TRIALS + 1:
        time.sleep(0.02)
    process.kill()
    process.communicate()
    kept = _recorded(run)
    assert TRIALS < kept < 4 * TRIALS
    assert moco("compare", compared_yaml, "--out", run, "--resume").exit_code == 0
    assert _recorded(run) == 4 * TRIALS
    name = Path("runs") / "small" / "seed0" / "trials.json"
    assert [trial["point"] for trial in read(run / name)] == [trial["point"] for trial in read(compared / name)]


def _recorded(run: Path) -> int:
    """Trials in all ledgers."""
    if not (run / "study.db").exists():
        return 0
    try:
        with sqlite3.connect(f"file:{run / 'study.db'}?mode=ro", uri=True) as database:
            return int(database.execute("SELECT COUNT(*) FROM trials").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


@pytest.mark.parametrize(
    ("sections", "arguments", "message"),
    [
        ({}, ["--searchers", "random,tep"], r"--searchers: unknown searcher 'tep'; did you mean 'tpe'?"),
        ({}, ["--searchers", "random"], "--searchers: expected at least two to compare, got 1"),
        ({}, [], "compare.searchers: expected at least two to compare, got 0"),
        ({"compare": {"searchers": ["random", {"name": "nsga2", "poplation": 3}]}}, [], "did you mean 'population'?"),
        ({"compare": {"searchers": ["random", "random"]}}, [], "'random' stands there twice"),
        ({"compare": {"searcher": ["random"]}}, [], "compare.searcher: unknown key; did you mean 'searchers'?"),
        ({"compare": {"seeds": 0}}, ["--searchers", "random,tpe"], "compare.seeds: expected"),
        ({"compare": {"searchers": [{"label": "a"}]}}, [], "compare.searchers[0].name: is missing"),
    ],
)
def test_what_is_refused(
    sections: dict[str, Any], arguments: list[str], message: str, experiment: Any, tmp_path: Path
) -> None:
    line = one_line(moco("compare", experiment(**sections), "--out", tmp_path / "run", *arguments), 2)
    assert message in line
    assert not (tmp_path / "run").exists()


class Slow(RandomSearcher):
    """Made for one trial."""

    capabilities = SearcherCapabilities(max_trials=1)


@pytest.mark.slow
def test_each_strategy_is_told_of_before_it_runs(
    experiment: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too many trials for one that is not the first, and options that have no effect, by the label."""
    monkeypatch.setitem(BUILT_IN["searcher"], "slow", f"{__name__}:Slow")
    walker = {"name": "ddpg", "label": "walker", "state": "s3", "bounds": "fill"}
    searchers = ["random", "slow", {"name": "slow", "label": "twin"}, walker]
    path = experiment(compare={"searchers": searchers}, budget={"trials": 2}, searcher={"start": "reference"})
    done = moco("compare", path, "--seeds", 1, "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    slow, state, bounds = read(tmp_path / "run" / "compare.json")["warnings"]
    assert slow == "budget.trials: 2 is more than the 1 that 'slow' is made for; it becomes slow"
    assert state.startswith("walker.state: 's3' shows no sensitivities")
    assert bounds.startswith("walker.bounds: 'fill' has no effect: no bound is '<='")
    before_the_first_run, _, _ = " ".join(done.stdout.split()).partition("(run 1 of 4)")
    assert [before_the_first_run.count(f"warning: {warning}") for warning in (slow, state, bounds)] == [1, 1, 1]


def test_a_strategy_that_does_not_fit_is_refused_before_the_reference_is_built(
    experiment: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Evaluator, "__init__", lambda *_: pytest.fail("the reference was built"))
    options = ("--searchers", "random,cmaes", "--out", tmp_path / "run")
    line = one_line(moco("compare", experiment(), *options), 2)
    assert "'cmaes' does not fit this problem: it takes no categorical parameters" in line


@pytest.mark.slow
def test_a_comparison_section_is_nothing_to_a_search(compared_yaml: Path, compared: Path, tmp_path: Path) -> None:
    """It may be changed before a search is resumed, and an experiment that has one is searched as one without."""
    run = tmp_path / "run"
    assert moco("search", compared_yaml, "--out", run, "--set", "budget.trials=1").exit_code == 0
    done = moco("search", compared_yaml, "--out", run, "--resume", "--set", "compare=null", "--set", "budget.trials=2")
    assert done.exit_code == 0
