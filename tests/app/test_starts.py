"""Where a search of a network starts: policies, the sensitivity analysis, the store; counted or given; resumed."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from moco.evaluation.evaluator import Evaluator
from moco.objectives.front import FrontObjective, FrontOptions
from moco.policy import Policy
from moco.problem import Problem
from moco.run.starts import stored_starts
from moco.trial import Evaluation, MetricValue
from tests.app.tiny import moco, one_line, read
from tests.compression.space.test_codec import space_of


@pytest.fixture
def search(experiment: Any, tmp_path: Path) -> Any:
    """Runs a tiny search with some sections changed and gives its result.json."""

    def run(out: str = "run", *options: str, **sections: Any) -> dict[str, Any]:
        sections.setdefault("objective", {"floor": "-90 pp"})
        done = moco("search", experiment(**sections), "--out", tmp_path / out, *options)
        assert done.exit_code == 0, done.output
        found: dict[str, Any] = read(tmp_path / out / "result.json")
        return {**found, "output": done.stdout}

    return run


def told(run: Path) -> list[tuple[Any, ...]]:
    return [(trial["number"], trial["policy"], trial["origin"]) for trial in read(run / "trials.json")]


@pytest.mark.slow
def test_policies_of_a_file_of_a_folder_and_of_a_run(search: Any, tmp_path: Path) -> None:
    # size alone, not time, so that the front is the same on every machine
    search("run", budget={"trials": 8}, objective={"floor": "-90 pp", "weights": {"size_mb": 1}})
    earlier = tmp_path / "run"
    shutil.copyfile(earlier / "best" / "policy.json", tmp_path / "mine.json")
    front = [entry["trial"] for entry in read(earlier / "result.json")["front"]]
    start = [{"policies": ["mine.json", str(earlier / "best")]}, {"policies": str(earlier), "counted": False}]
    result = search("next", searcher={"start": start}, budget={"trials": 3})
    best = read(earlier / "best" / "policy.json")["groups"]
    trials = read(tmp_path / "next" / "trials.json")
    names = [entry["name"] for entry in result["starts"]]
    assert names[0] == "policy mine"
    assert len(names) > 1
    assert set(names[1:]) <= {f"policy run/front/{trial}" for trial in front}, "the best one is there already"
    given = [entry for entry in result["starts"] if not entry["counted"]]
    assert result["given"] == len(given) == len(names) - 1
    assert result["trials"] == 3 + len(given)
    assert [trial["origin"] for trial in trials] == [*names[1:], names[0], "search", "search"]
    assert trials[len(given)]["policy"] == best
    assert {trial["policy"] is not None for trial in trials} == {True}
    report = (tmp_path / "next" / "report.html").read_text(encoding="utf-8")
    assert f"{len(given)} given" in report
    assert "1 counted in the budget: policy mine" in report


@pytest.mark.slow
def test_a_policy_of_another_space_is_taken_to_the_nearest(search: Any, tmp_path: Path) -> None:
    groups = {"layer1.0.conv1": {"filter_pruning": {"keep": 4, "of": 32}}}
    policy = {"format": 1, "network": "digits_resnet", "groups": groups}
    (tmp_path / "fine.json").write_text(json.dumps(policy), encoding="utf-8")
    result = search(searcher={"start": {"policies": "fine.json"}}, budget={"trials": 1})
    assert [entry["name"] for entry in result["starts"]] == ["policy fine (nearest)"]
    assert any("'fine' is no policy of this space" in warning for warning in result["warnings"])


@pytest.mark.slow
def test_earlier_evaluations_of_another_protocol_and_searcher(
    search: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    galen = {"protocol": "galen", "floor": None, "weights": None, "target": 0.9, "bounded": False}
    search("first", store=True, searcher={"name": "nsga2"}, budget={"trials": 9}, objective=galen)
    evaluate, made = Evaluator.evaluate, []

    def watched(self: Evaluator, policy: Any) -> Any:
        made.append(policy)
        return evaluate(self, policy)

    monkeypatch.setattr(Evaluator, "evaluate", watched)
    free = search(
        "free", store=True, searcher={"start": [{"store": 4, "counted": False}]}, budget={"trials": 2},
        objective={"floor": "-90 pp", "weights": {"size_mb": 1, "latency_ms": 1}},
    )  # fmt: skip
    assert [trial["origin"] for trial in read(tmp_path / "free" / "trials.json")] == [
        "stored 1", "stored 2", "stored 3", "stored 4", "search", "search",
    ]  # fmt: skip
    assert (free["trials"], free["given"], len(made)) == (6, 4, 2)
    assert [entry["name"] for entry in free["baselines"]] == ["stored 1"], "the best one stands for all"
    charged = search(
        "charged", store=True, searcher={"start": ["reference", "store"]}, budget={"trials": 5},
        objective={"floor": "-90 pp", "weights": {"size_mb": 1, "latency_ms": 1}},
    )  # fmt: skip
    assert (charged["trials"], charged["given"]) == (5, 0)
    assert [entry["counted"] for entry in charged["starts"]] == [True] * len(charged["starts"])
    assert charged["starts"][-1]["trial"] is None, "the budget ended before it"


def test_a_store_that_holds_nothing_is_told(search: Any) -> None:
    result = search(store=True, searcher={"start": "store"}, budget={"trials": 1})
    assert result["starts"] == []
    assert any("the store holds no further evaluation" in warning for warning in result["warnings"])


@pytest.mark.slow
def test_a_resumed_search_has_the_starts_that_it_began_with(search: Any, tmp_path: Path, moco_home: Path) -> None:
    search("first", store=True, budget={"trials": 6})
    searcher = {"start": [{"store": 3, "counted": False}, {"policies": "best.json"}]}
    shutil.copyfile(tmp_path / "first" / "best" / "policy.json", tmp_path / "best.json")
    with sqlite3.connect(moco_home / "evaluations.db") as store, sqlite3.connect(tmp_path / "other.db") as other:
        store.backup(other)
    search("whole", budget={"trials": 4}, store="other.db", searcher=searcher)
    search("run", budget={"trials": 1}, store=True, searcher=searcher)
    (tmp_path / "best.json").unlink()  # what it began with is in the run folder
    result = search("run", "--resume", budget={"trials": 4}, store=True, searcher=searcher)
    assert told(tmp_path / "run") == told(tmp_path / "whole")
    assert result["starts"] == read(tmp_path / "whole" / "result.json")["starts"]
    assert (result["trials"], result["given"]) == (7, 3)


@pytest.mark.slow
def test_the_sensitivity_analysis_gives_policies_from_light_to_heavy(
    search: Any, experiment: Any, tmp_path: Path
) -> None:
    done = moco("sensitivity", experiment(), "--out", tmp_path / "study", "--images", "16")
    assert done.exit_code == 0, done.output
    space = {"sensitivity": str(tmp_path / "study" / "sensitivity.json")}
    start = {"sensitivity": [0.3, 0.003]}
    result = search(space=space, searcher={"start": start}, budget={"trials": 2})
    assert [entry["name"] for entry in result["starts"]] == ["sensitivity 0.003", "sensitivity 0.3"]
    light, heavy = (trial["evaluation"]["metrics"]["bops"][0] for trial in read(tmp_path / "run" / "trials.json"))
    assert heavy < light <= result["reference"]["bops"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("searcher.start=[ladder, 3]", r"^searcher\.start: expected none, reference, ladder"),
        ("searcher.start=[]", r"^searcher\.start: expected at least one start"),
        ("searcher.start=[none, ladder]", r"^searcher\.start: 'none' stands alone"),
        ("searcher.start={polices: a.json}", r"^searcher\.start\.polices: unknown key; did you mean 'policies'"),
        ("searcher.start=[ladder, {polices: a.json}]", r"^searcher\.start: unknown key 'polices'; did you mean"),
        ("searcher.start={policies: a.json, store: 3}", r"^searcher\.start: expected one of policies, store, sens"),
        ("searcher.start={counted: false}", r"^searcher\.start: expected one of .*, got none"),
        ("searcher.start={store: 0}", r"^searcher\.start\.store: expected greater than or equal to 1, got 0"),
        ("searcher.start={store: 3}", r"^searcher\.start: 'store' needs the evaluation store"),
        ("searcher.start=sensitivity", r"^searcher\.start: 'sensitivity' needs space\.sensitivity"),
        ("searcher.start={policies: none.json}", r"^searcher\.start\.policies: .*none\.json: expected a policy\.json"),
    ],
)
def test_what_is_refused(experiment: Any, tmp_path: Path, change: str, message: str) -> None:
    line = one_line(moco("search", experiment(), "--out", tmp_path / "run", "--set", change), 2)
    assert re.search(message, line), line


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ({"groups": {"layer9": {"precision": "int8"}}}, "the network has no layer 'layer9'"),
        ({"groups": {"conv1": {"filter_pruning": {"keep": 3, "of": 99}}}}, "was it made for another network"),
        ({"groups": {"conv1": {"precison": "int8"}}}, "unknown setting 'precison'; did you mean 'precision'"),
        ({"network": "x", "groups": {}}, "of the network 'x', this one is 'digits_resnet'"),
        ({"ranking": "taylor", "groups": {}}, "ranked by 'taylor', here they are by 'l1'"),
    ],
)
def test_a_policy_of_another_network_is_refused_before_the_reference_is_built(
    experiment: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: Any, message: str
) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("the reference was built")

    monkeypatch.setattr(Evaluator, "__init__", never)
    path = tmp_path / "other.json"
    path.write_text(json.dumps({"format": 1, **file}), encoding="utf-8")
    yaml = experiment(searcher={"start": {"policies": "other.json"}})
    line = one_line(moco("search", yaml, "--out", tmp_path / "run"), 1)
    assert str(path) in line
    assert message in line


# ---- which of the earlier evaluations are taken

SPACE = space_of(precisions=("float32", "int8"))
KEEPS = [name for name in SPACE.distributions if name.endswith(".keep")]


def policy(keep: float) -> Policy:
    return SPACE.canonical({**SPACE.neutral, KEEPS[0]: keep})


def evaluation(error: float, size: float) -> Evaluation:
    return Evaluation({"top1_error": MetricValue(error), "size_mb": MetricValue(size)})


def problem(**constraints: str) -> Problem:
    options = FrontOptions({"top1_error": "minimize", "size_mb": "minimize"}, constraints)
    return FrontObjective(options).problem(SPACE, evaluation(0.1, 10.0).metrics)


LINE = [(policy(keep), evaluation(0.5 - 0.4 * keep, 10 * keep)) for keep in (1.0, 0.875, 0.75, 0.625, 0.5, 0.375)]
BEATEN = (SPACE.canonical({**SPACE.neutral, KEEPS[1]: 0.5}), evaluation(0.45, 9.0))


def taken(found: Any, **arguments: Any) -> list[Policy]:
    return [SPACE.canonical(start.point) for start in stored_starts(arguments.pop("of", problem()), found, **arguments)]


def test_the_best_comes_first_then_the_front_then_what_is_beaten() -> None:
    chosen = taken([BEATEN, *LINE], most=20)
    assert chosen[0] == policy(0.375), "least on average relative to the reference point"
    assert set(chosen[:-1]) == {found for found, _ in LINE}
    assert chosen[-1] == BEATEN[0]


def test_a_long_front_is_thinned_and_keeps_its_ends() -> None:
    chosen = taken([BEATEN, *LINE], most=4)
    assert len(chosen) == 4
    assert {policy(0.375), policy(1.0), policy(0.5)} <= set(chosen)
    assert BEATEN[0] not in chosen


def test_feasible_ones_go_first_under_this_problem() -> None:
    bounded = problem(top1_accuracy=">= 78 %")  # keeps of at least 0.7
    chosen = taken([BEATEN, *LINE], of=bounded, most=5)
    assert set(chosen[:3]) == {policy(keep) for keep in (1.0, 0.875, 0.75)}
    assert chosen[3:] == [policy(0.625), policy(0.5)], "then those that miss least"


def test_where_nothing_is_feasible_what_misses_least_goes_first() -> None:
    chosen = taken(LINE, of=problem(top1_accuracy=">= 99 %"), most=3)
    assert chosen == [policy(1.0), policy(0.875), policy(0.75)]


def test_what_other_starts_have_what_is_of_another_space_and_what_lacks_a_metric_is_left_out() -> None:
    foreign = Policy.of({"layer1.0.conv1": {"quantization": {"weight_bits": 3, "activation_bits": 5}}})
    lacking = (policy(0.3), Evaluation({"top1_error": MetricValue(0.2)}))
    chosen = taken([(foreign, evaluation(0.01, 0.1)), lacking, *LINE], most=20, taken={policy(1.0)})
    assert set(chosen) == {found for found, _ in LINE[1:]}


def test_names_and_whether_they_are_given() -> None:
    starts = stored_starts(problem(), LINE, most=2, given=True)
    assert [(start.name, start.given) for start in starts] == [("stored 1", True), ("stored 2", True)]
