"""`moco.compare` on any callable: what is shared, what is charged, what fails, what is continued."""

from __future__ import annotations

import json
import math
import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

import moco
from moco.comparison.curves import charged_s, is_stored
from moco.comparison.match import Run, RunState
from moco.errors import ConfigError, PolicyRejectedError, RunFolderError
from moco.interfaces import SearcherCapabilities
from moco.registry import BUILT_IN
from moco.searchers.random import RandomSearcher
from moco.study import Start

SPACE = {"keep": FloatDistribution(0.1, 1.0), "bits": IntDistribution(2, 8)}
GRID = {"keep": FloatDistribution(0.25, 1.0, step=0.25), "bits": IntDistribution(2, 8)}


def problem(**changes: Any) -> moco.Problem:
    given: dict[str, Any] = {
        "space": SPACE,
        "objectives": {"error": "minimize", "cost": "minimize"},
        "constraints": {"error": "<= 0.15"},
        "reference_point": {"error": 1.0, "cost": 1.0},
    }
    return moco.Problem(**{**given, **changes})


def evaluate(point: Any) -> dict[str, float]:
    size = point["keep"] * point["bits"] / 8
    return {"error": 0.2 * (1 - size) ** 2, "cost": size}


def told(result: Any) -> list[tuple[str, int, RunState, int]]:
    return [(run.label, run.seed, run.state, len(run.trials)) for run in result.runs]


def points(run: Run) -> list[Any]:
    return [trial.point for trial in run.trials]


def test_each_strategy_runs_with_each_seed_as_it_would_alone() -> None:
    result = moco.compare(problem(), evaluate, searchers=["random", "nsga2"], seeds=[3, 1], trials=15)
    finished = RunState.FINISHED
    assert told(result) == [(label, seed, finished, 15) for seed in (3, 1) for label in ("random", "nsga2")]
    alone = moco.search(problem(), evaluate, searcher="nsga2", trials=15, seed=1)
    assert points(result.runs[3]) == [trial.point for trial in alone.trials]


def test_a_policy_is_evaluated_once_for_all_and_charged_to_each() -> None:
    seen: list[Any] = []

    def watched(point: Any) -> dict[str, float]:
        seen.append(dict(point))
        return evaluate(point)

    result = moco.compare(
        problem(space=GRID),
        watched,
        searchers=["random", "nsga2"],
        seeds=3,
        trials=12,
        start="ladder",
        evaluation_s=7.0,
    )
    assert len(seen) == len({json.dumps(point, sort_keys=True) for point in seen})
    first, second = result.runs[:2]
    starts = [trial for trial in second.trials if trial.origin != "search"]
    assert len(starts) > 3
    assert all(is_stored(trial) for trial in starts)
    for run in (first, second):
        assert all(charged_s(trial) >= 7.0 for trial in run.trials if trial.distinct)
        assert sum(map(charged_s, run.trials)) == pytest.approx(7.0 * sum(t.distinct for t in run.trials), abs=0.5)


def test_the_budget_of_seconds_is_a_charged_one() -> None:
    """Stored evaluations take no time, but the second strategy must not get more trials for it."""
    options: dict[str, Any] = {"seeds": 1, "trials": 50, "seconds": 20.0, "evaluation_s": 5.0, "start": "ladder"}
    result = moco.compare(problem(), evaluate, searchers=["random", "uniform", "nsga2"], **options)
    assert told(result) == [(label, 0, RunState.FINISHED, 4) for label in ("random", "uniform", "nsga2")]
    (warning,) = result.content["warnings"]
    assert warning.startswith(
        "budget.seconds ended 3 of 3 runs, the shortest after 4 trials; 3 of them within the start"
    )


def test_an_exhausted_space_ends_a_run() -> None:
    tiny = problem(space={"keep": CategoricalDistribution([0.5, 1.0]), "bits": IntDistribution(7, 8)})
    result = moco.compare(tiny, evaluate, searchers=["random", "uniform"], seeds=1, trials=500)
    assert [run.state for run in result.runs] == [RunState.FINISHED] * 2
    assert all(4 <= len(run.trials) < 500 for run in result.runs)
    assert result.verdict("random", "uniform") == "cannot tell"


def test_more_seeds_find_that_a_ladder_is_worse_than_searching() -> None:
    """Where the two parameters must go opposite ways, uniform policies cannot follow."""

    def crossed(point: Any) -> dict[str, float]:
        return {"error": abs(point["keep"] - 0.95) + abs(point["bits"] - 2) / 8, "cost": point["keep"]}

    free = problem(constraints={})
    result = moco.compare(free, crossed, searchers=["nsga2", "uniform"], seeds=8, trials=25)
    assert result.verdict("nsga2", "uniform") == "better"
    assert result.verdict("uniform", "nsga2") == "worse"
    assert "nsga2 is better than uniform" in result.text
    assert result.content["primary"] == "hypervolume"


def test_a_strategy_against_itself_is_the_same_and_evaluates_nothing_twice() -> None:
    """The sharing must not leak into the searches: each run is as it would be alone."""
    twin = {"name": "nsga2", "label": "twin"}
    result = moco.compare(problem(), evaluate, searchers=["nsga2", twin], seeds=7, trials=12, evaluation_s=1.0)
    for one, other in zip(result.runs[::2], result.runs[1::2], strict=True):
        assert points(one) == points(other)
        assert all(is_stored(trial) for trial in other.trials if trial.distinct)
    (pair,) = result.content["tests"]["score_at_equal_trials"]["pairs"]
    assert (pair["ties"], pair["p"], pair["a12"], pair["verdict"]) == (7, 1.0, 0.5, "cannot tell")


def test_few_seeds_say_that_more_are_needed() -> None:
    result = moco.compare(problem(), evaluate, searchers=["random", "uniform"], seeds=3, trials=5)
    assert "one cannot tell" in result.text
    assert "3 seeds of 2 strategies can never show a difference, at least 6 are needed" in result.text


class Broken(RandomSearcher):
    """Raises at its fourth ask, for seed 1 alone."""

    def __init__(self, problem: Any, options: Any, seed: int) -> None:
        super().__init__(problem, options, seed)
        self._seed = seed
        self._heard = 0

    def ask(self) -> Any:
        if self._seed == 1 and self._heard >= 3:
            raise RuntimeError("no convergence")
        return super().ask()

    def tell(self, trial: Any) -> None:
        self._heard += 1
        super().tell(trial)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The searcher under its name, where the registry's names are looked up."""
    monkeypatch.setitem(BUILT_IN["searcher"], "broken", f"{__name__}:Broken")


@pytest.mark.usefixtures("broken")
def test_a_strategy_that_raises_is_noted_and_the_others_go_on() -> None:
    result = moco.compare(problem(), evaluate, searchers=["broken", "random"], seeds=3, trials=6)
    states = {(run.label, run.seed): run.state for run in result.runs}
    assert states.pop(("broken", 1)) is RunState.FAILED
    assert set(states.values()) == {RunState.FINISHED}
    failed = next(run for run in result.runs if run.state is RunState.FAILED)
    assert len(failed.trials) == 3
    assert failed.reason is not None
    assert re.fullmatch(r"the searcher \S+\.Broken failed to ask: RuntimeError: no convergence", failed.reason)
    assert f"broken, seed 1: the run failed: {failed.reason}" in result.content["warnings"]
    assert result.content["complete"] is False
    assert [pair["seeds"] for pair in result.content["tests"]["score_at_equal_trials"]["pairs"]] == [2]


def test_a_callable_that_fails_for_some_points_and_one_that_always_does() -> None:
    def fickle(point: Any) -> dict[str, float]:
        if point["bits"] == 2:
            raise PolicyRejectedError("two bits are too few")
        if point["bits"] == 3:
            return {"error": math.nan, "cost": 1.0}
        return evaluate(point)

    result = moco.compare(problem(), fickle, searchers=["random", "nsga2"], seeds=2, trials=20)
    assert {run.state for run in result.runs} == {RunState.FINISHED}
    entry = result.content["runs"][0]
    assert entry["rejected"] > 0
    assert entry["failed"] > 0
    assert entry["trials"] == 20
    assert any("trials failed and count in its budget" in text for text in result.content["warnings"])

    def hopeless(_: Any) -> Any:
        raise ValueError("broken")

    nothing = moco.compare(problem(), hopeless, searchers=["random", "nsga2"], seeds=1, trials=20)
    assert {run.state for run in nothing.runs} == {RunState.FAILED}
    assert "nothing to compare" in nothing.text
    assert nothing.content["summary"] == {}


def test_where_nothing_is_feasible_it_says_so() -> None:
    impossible = problem(constraints={"error": "<= -1"})
    result = moco.compare(impossible, evaluate, searchers=["random", "uniform"], seeds=2, trials=4)
    assert result.content["runs"][0]["score"] is None
    assert result.content["summary"]["random"]["first_feasible"] == {"seeds": 0, "trials": None, "seconds": None}
    assert result.verdict("random", "uniform") == "cannot tell"
    assert json.loads(json.dumps(result.content, allow_nan=False)) == result.content


def test_given_starts_count_for_none_and_are_known_to_all() -> None:
    starts = ["reference", Start("known", {"keep": 0.8, "bits": 7}, given=True)]
    result = moco.compare(problem(), evaluate, searchers=["random", "uniform"], seeds=1, trials=5, start=starts)
    for run in result.runs:
        assert [trial.origin for trial in run.trials[:2]] == ["known", "reference"]
        assert len(run.trials) == 6
    assert [(entry["trials"], entry["given"]) for entry in result.content["runs"]] == [(5, 1)] * 2


def test_a_single_objective_has_a_score_alone() -> None:
    single = problem(objectives={"cost": "minimize"}, reference_point=None)
    result = moco.compare(single, evaluate, searchers=["random", "uniform"], seeds=2, trials=6)
    assert result.content["reference_point"] is None
    assert set(result.content["tests"]) == {"score_at_equal_trials", "score_at_equal_seconds"}
    assert result.content["primary"] == "score"


def test_whose_reference_point_it_is() -> None:
    def point(**options: Any) -> Any:
        free = problem(reference_point=options.pop("own", None))
        return moco.compare(free, evaluate, searchers=["random", "uniform"], seeds=1, trials=4, **options).content[
            "reference_point"
        ]

    assert point(own={"error": 2.0, "cost": 3.0}) == {"losses": {"error": 2.0, "cost": 3.0}, "of": "the problem"}
    assert point(reference_point={"error": 1.0, "cost": 1.0})["of"] == "the caller"
    assert point()["of"] == "beyond all feasible trials of this comparison"


def test_a_folder_holds_all_of_it(tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = moco.compare(problem(), evaluate, searchers=["random", "nsga2"], seeds=2, trials=4, out=out, name="mine")
    assert json.loads((out / "compare.json").read_text()) == result.content
    assert "mine: searchers compared" in (out / "compare.html").read_text()
    studies = optuna.get_all_study_summaries(f"sqlite:///{out / 'study.db'}")
    names = [f"mine {label} seed {seed}" for seed in (0, 1) for label in ("random", "nsga2")]
    assert sorted((study.study_name, study.n_trials) for study in studies) == sorted((name, 4) for name in names)
    rows = json.loads((out / "runs" / "nsga2" / "seed1" / "trials.json").read_text())
    assert [row["point"] for row in rows] == points(result.runs[3])


@pytest.mark.slow
def test_a_comparison_goes_on_where_it_ended(tmp_path: Path) -> None:
    """Broken off within a run; then with one more strategy and seed: what was finished is not run again."""
    count, out = [0], tmp_path / "run"

    def counting(point: Any) -> dict[str, float]:
        count[0] += 1
        if count[0] == 9:
            raise KeyboardInterrupt
        return evaluate(point)

    with pytest.raises(KeyboardInterrupt):
        moco.compare(problem(), counting, searchers=["random", "nsga2"], seeds=1, trials=6, out=out)
    assert json.loads((out / "compare.json").read_text())["complete"] is False
    with pytest.raises(RunFolderError, match="holds results already"):
        moco.compare(problem(), counting, searchers=["random", "nsga2"], seeds=1, trials=6, out=out)

    more = moco.compare(
        problem(), counting, searchers=["random", "nsga2", "uniform"], seeds=2, trials=6, out=out, resume=True
    )
    assert more.content["complete"] is True
    whole = moco.compare(problem(), evaluate, searchers=["random", "nsga2", "uniform"], seeds=2, trials=6)
    assert [points(run) for run in more.runs] == [points(run) for run in whole.runs]
    before = count[0]
    again = moco.compare(
        problem(), counting, searchers=["random", "nsga2", "uniform"], seeds=2, trials=6, out=out, resume=True
    )
    assert count[0] == before
    assert again.content["runs"] == more.content["runs"]


def test_a_resumed_folder_must_be_of_the_same_problem_and_options(tmp_path: Path) -> None:
    out = tmp_path / "run"
    moco.compare(problem(), evaluate, searchers=["random", "nsga2"], seeds=1, trials=3, out=out)
    for changes in (
        {"searchers": ["random", {"name": "nsga2", "population": 4}]},
        {"start": "ladder"},
    ):
        given: dict[str, Any] = {"searchers": ["random", "nsga2"], **changes}
        with pytest.raises(RunFolderError, match="belongs to another search"):
            moco.compare(problem(), evaluate, seeds=1, trials=3, out=out, resume=True, **given)
    with pytest.raises(RunFolderError, match="belongs to another search"):
        moco.compare(
            problem(constraints={}), evaluate, searchers=["random", "nsga2"], seeds=1, trials=3, out=out, resume=True
        )


def test_progress_is_told_run_by_run() -> None:
    heard: list[str] = []
    moco.compare(
        problem(), evaluate, searchers=["random", "uniform"], seeds=2, trials=2,
        on_run=lambda run: heard.append(f"{run.label} {run.seed}"),
    )  # fmt: skip
    assert heard == ["random 0", "uniform 0", "random 1", "uniform 1"]


def test_it_works_in_another_thread() -> None:
    found: list[Any] = []
    thread = threading.Thread(
        target=lambda: found.append(
            moco.compare(problem(), evaluate, searchers=["random", "uniform"], seeds=1, trials=2)
        )
    )
    thread.start()
    thread.join(60)
    assert len(found) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"searchers": ["random", "unifrm"]}, r"unknown searcher 'unifrm'; did you mean 'uniform'"),
        ({"searchers": ["random"]}, "at least two"),
        ({"searchers": ["random", "ddpg"]}, r"^searcher: 'ddpg' does not fit this problem: it walks over layer groups"),
        ({"trials": 0}, "trials: expected at least 1"),
        ({"seeds": 0}, "seeds: expected at least 1"),
        ({"seeds": [1, 1]}, "seeds: expected each once"),
        ({"seeds": [1, -2]}, "seeds: expected whole numbers"),
        ({"seeds": [1.5]}, "seeds: expected whole numbers"),
        ({"seeds": True}, "seeds: expected"),
        ({"start": "ladders"}, "ladder"),
        ({"reference_point": {"error": 1.0}}, "'cost' is missing"),
        ({"reference_point": 5}, r"^reference_point: expected \{objective: value\}, got 5"),
        ({"reference_point": {"error": "1", "cost": 1}}, r"^reference_point\.error: expected a number, got '1'"),
        ({"trials": "3"}, r"^trials: expected at least 1, a whole number, got '3'"),
        ({"trials": 2.5}, r"^trials: expected at least 1, a whole number, got 2\.5"),
        ({"trials": True}, r"^trials: expected at least 1, a whole number, got True"),
        ({"seconds": "x"}, r"^seconds: expected a number above 0, or None for no limit, got 'x'"),
        ({"seconds": 0}, r"^seconds: expected a number above 0, or None for no limit, got 0"),
        ({"seeds": 2.5}, r"^seeds: expected how many, or a list of whole numbers, got 2\.5"),
        ({"seeds": "12"}, r"^seeds: expected how many, or a list of whole numbers, got '12'"),
        ({"seeds": None}, r"^seeds: expected how many, or a list of whole numbers, got None"),
        ({"start": 5}, r"^start: expected 'none', 'reference' or 'ladder', or a list .*, got 5"),
        ({"evaluation_s": "x"}, r"^evaluation_s: expected a number of at least 0, or None, got 'x'"),
        ({"evaluation_s": -1.0}, r"^evaluation_s: expected a number of at least 0, or None, got -1\.0"),
        ({"on_run": 5}, r"^on_run: expected a function of a run, got 5"),
    ],
)
def test_what_is_refused(arguments: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"searchers": ["random", "uniform"], "seeds": 1, "trials": 2, **arguments}
    with pytest.raises(ConfigError, match=message):
        moco.compare(problem(), evaluate, **given)


@pytest.mark.parametrize(("given", "message"), [((None, evaluate), "^problem: "), ((problem(), 5), "^evaluate: ")])
def test_what_is_no_problem_or_no_function_is_refused(given: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        moco.compare(*given, searchers=["random", "uniform"])


def test_numbers_may_be_numpys() -> None:
    given: dict[str, Any] = {"seeds": np.arange(1, 3), "trials": np.int64(2), "seconds": np.float64(60.0)}
    result = moco.compare(problem(), evaluate, searchers=["random", "uniform"], **given)
    assert [(run.label, run.seed) for run in result.runs[::2]] == [("random", 1), ("random", 2)]
    assert result.content["budget"] == {"trials": 2, "seconds": 60.0}
    assert json.loads(json.dumps(result.content)) == result.content
    assert moco.compare(problem(), evaluate, searchers=["random", "uniform"], **{**given, "seeds": np.int32(1)}).runs


class Slow(RandomSearcher):
    """Made for few trials."""

    capabilities = SearcherCapabilities(max_trials=3)


def test_each_strategy_that_is_made_for_fewer_trials_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BUILT_IN["searcher"], "slow", f"{__name__}:Slow")
    monkeypatch.setitem(BUILT_IN["searcher"], "slow too", f"{__name__}:Slow")
    searchers = ["random", "slow", {"name": "slow", "label": "twin"}, {"name": "slow too", "label": "other"}]
    with pytest.warns(UserWarning, match="made for") as told:
        result = moco.compare(problem(), evaluate, searchers=searchers, seeds=1, trials=4)
    texts = [
        f"budget.trials: 4 is more than the 3 that '{n}' is made for; it becomes slow" for n in ("slow", "slow too")
    ]
    assert [str(warning.message) for warning in told] == texts
    assert told[0].filename == __file__
    assert result.content["warnings"] == texts


def test_an_option_without_effect_is_told_by_the_label() -> None:
    mine = {"name": "cmaes", "label": "mine", "repair": "shrink"}
    with pytest.warns(UserWarning, match=r"^mine\.repair: 'shrink' has no effect: no bound") as told:
        result = moco.compare(problem(), evaluate, searchers=["cmaes", mine], seeds=1, trials=3)
    assert len(told) == 1
    assert len(result.content["warnings"]) == 1


def test_a_strategy_that_does_not_fit_is_refused_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RandomSearcher, "capabilities", SearcherCapabilities(multi_objective=False))
    with pytest.raises(ConfigError, match="'random' does not fit this problem: it takes one objective"):
        moco.compare(problem(), lambda _: pytest.fail("evaluated"), searchers=["uniform", "random"], seeds=1, trials=2)
