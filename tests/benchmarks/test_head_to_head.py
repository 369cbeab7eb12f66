"""The head-to-head page: what is kept of a comparison, who was better, whose rewards spread less."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import FloatDistribution

import moco
from benchmarks import head_to_head
from benchmarks.head_to_head_page import AGENTS, page
from benchmarks.head_to_head_rewards import Compared, better, over_all, steadier, steadier_between
from moco.experiment.loading import load_experiment
from moco.reproduction.finding import Outcome

FILES = sorted((head_to_head.ROOT / "experiments" / "head_to_head").glob("*.yaml"))


def record(scores: dict[str, list[list[float]]], name: str = "made", **more: Any) -> dict[str, Any]:
    """What is kept of a comparison with these scores by strategy and seed; all of them meet the bounds."""
    runs = {label: {str(seed): list(run) for seed, run in enumerate(of)} for label, of in scores.items()}
    met = {label: {seed: [1] * len(run) for seed, run in of.items()} for label, of in runs.items()}
    first = next(iter(scores.values()))
    return {"name": name, "trials": len(first[0]), "scores": runs, "feasible": met, **more}


def test_the_best_is_that_of_trials_that_meet_the_bounds() -> None:
    kept = record({"ppo": [[1.0, 3.0, 2.0]], "uniform": [[9.0, 1.0, 1.0]]})
    kept["feasible"]["ppo"]["0"] = [1, 0, 1]
    kept["feasible"]["uniform"]["0"] = [0, 0, 0]

    found = Compared.of(kept)

    assert found.best == {"ppo": {0: 2.0}, "uniform": {0: -math.inf}}
    assert found.last["ppo"][0] == [3.0, 2.0], "a fifth of three trials would have no spread"


def test_wins_are_counted_seed_by_seed_and_over_problems() -> None:
    ahead = Compared.of(record({"ppo": [[2.0, 1.0]] * 8, "uniform": [[1.0, 1.0]] * 8}))
    behind = Compared.of(record({"ppo": [[1.0, 1.0]] * 2, "uniform": [[1.0, 1.0], [2.0, 1.0]]}, "other"))
    without = Compared.of(record({"ddpg": [[1.0, 1.0]] * 2, "uniform": [[1.0, 1.0]] * 2}, "third"))

    found = better([ahead, behind, without], "ppo", "uniform")

    assert (found.wins, found.ties, found.losses, found.problems) == (8, 1, 1, 2)
    assert found.outcome(found.p) is Outcome.HOLDS
    assert found.outcome(0.06) is Outcome.INCONCLUSIVE, "the only one of many"
    assert found.by_problem[0] == pytest.approx((1 + 0.25) / 2)
    assert found.over_problems is Outcome.INCONCLUSIVE, "one of two problems"
    assert better([behind], "ppo", "uniform").outcome(0.01) is Outcome.INCONCLUSIVE, "two comparisons show nothing"


def test_the_steadier_one_is_that_whose_last_rewards_spread_less() -> None:
    calm, wild = [0.0, 9.0, 1.0, 1.1], [0.0, 0.0, 1.0, 3.0]
    one = Compared.of(record({"ppo": [calm, [0, 0, 2.0, 2.1]], "ddpg": [wild, [0, 0, 2.0, 2.0]]}))

    found = steadier([one], "ppo", "ddpg")

    assert (found.wins, found.losses) == (1, 1)
    assert steadier_between([one], "ppo", "ddpg") == (0, 1), "means 1.05 and 2.05 against 2 and 2"


def test_ranks_are_of_what_all_problems_have() -> None:
    one = Compared.of(record({"published": [[9.0, 1.0]], "ppo": [[2.0, 1.0]], "gp": [[3.0, 1]], "random": [[1.0, 1]]}))
    other = Compared.of(record({"ppo": [[2.0, 1.0]], "gp": [[3.0, 1.0]], "random": [[1.0, 1.0]]}, "other"))

    assert over_all([one, other]).mean_ranks == {"ppo": 2, "gp": 1, "random": 3}


def test_a_comparison_is_kept_trial_by_trial_and_an_incomplete_one_refused(tmp_path: Path) -> None:
    problem = moco.Problem({"x": FloatDistribution(0, 1)}, {"top1_error": "minimize"}, {"top1_error": "<= 0.5"})
    moco.compare(
        problem, lambda at: {"top1_error": float(at["x"])}, searchers=["random", "uniform"], seeds=2, trials=4,
        out=tmp_path / "run",
    )  # fmt: skip
    manifest = {
        "config": {"objective": {"protocol": "front"}, "data": {"source": "digits"}},
        "created": "2026-12-03T00:00:00",
        "versions": {"moco": "0"},
    }
    (tmp_path / "run" / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    told = json.loads((tmp_path / "run" / "compare.json").read_text("utf-8")) | {"protocol": "front", "network": "n"}
    (tmp_path / "run" / "compare.json").write_text(json.dumps(told), encoding="utf-8")

    found = head_to_head.kept(tmp_path / "run")

    assert set(found["scores"]) == {"random", "uniform"}
    assert [len(run) for run in found["scores"]["random"].values()] == [4, 4]
    assert Compared.of(json.loads(json.dumps(found))).name == found["name"]
    (tmp_path / "run" / "compare.json").write_text(json.dumps(told | {"complete": False}), encoding="utf-8")
    with pytest.raises(SystemExit, match="expected a complete comparison"):
        head_to_head.kept(tmp_path / "run")


def test_the_page_in_the_docs_is_that_of_what_is_kept() -> None:
    known = [Compared.of(json.loads(path.read_text("utf-8"))) for path in head_to_head.KEPT.glob("*.json")]

    assert sorted(one.name for one in known) == [path.stem for path in FILES]
    assert head_to_head.PAGE.read_text("utf-8") == page(known)
    assert min(len(one.record["seeds"]) for one in known) >= 5
    lengths = {(one.name, len(run)) for one in known for runs in one.record["scores"].values() for run in runs.values()}
    assert lengths == {(one.name, one.record["trials"]) for one in known}, "equal evaluations"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_problem_compares_agents_models_populations_and_baselines(path: Path) -> None:
    compare = load_experiment(path).compare
    assert compare is not None
    labels = {entry.model_dump(exclude_none=True).get("label") or entry.name for entry in compare.searchers}

    assert labels - {"published"} == {*AGENTS, "gp", "evolution", "greybox", "random", "uniform"} - {"published"}
