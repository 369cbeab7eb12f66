"""In which bits a finalist will be written."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from moco.experiment.build import build_job
from moco.experiment.loading import experiment_of
from moco.finalists.trained_weights import TrainedWeights
from moco.run.finalist_files import FinalistFiles
from moco.run.job import prepare
from moco.trial import Suggestion, Trial, TrialState
from tests.app.tiny import settings

QUANTIZATION = {"precision": ["mixed"], "weight_bits": [4, 8], "activation_bits": [8, 8]}


@pytest.mark.slow
def test_first_come_files_that_lose_nothing_as_a_rule_and_only_these_are_counted_on(tmp_path: Path) -> None:
    job = build_job(experiment_of(settings(space={"quantization": QUANTIZATION})), tmp_path / "run")
    with closing(prepare(job, tmp_path / "files")) as prepared:
        space = prepared.problem.space
        point = space.uniform(0.0)
        policy = space.canonical(point)
        evaluation = prepared.evaluator.evaluate(policy)
        trial = Trial(0, Suggestion(0, point), TrialState.COMPLETE, point, policy, evaluation)
        files = FinalistFiles(prepared, TrainedWeights(tmp_path / "weights"))
        found, counted_on = files.allocations(trial), files.counted_on(trial)

    fewest = [allocation.fewest_bits for allocation in found]
    assert fewest == [5, 4, 6]
    assert len(counted_on) == 2
    sizes = [one.evaluation.metrics["size_mb"].value for one in counted_on if one.evaluation is not None]
    assert sizes
    assert max(sizes) < evaluation.metrics["size_mb"].value
