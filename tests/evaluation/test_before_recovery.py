"""The accuracy that a recovery begins with: the same policy's file without it, scored on the same images (S2.15)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from moco.compression.policy_settings import NEUTRAL
from moco.errors import MeasurementError
from moco.evaluation.builder import Builder
from moco.evaluation.evaluator import BEFORE_STAGE, Evaluator
from moco.interfaces import Artifact, Session
from moco.policy import Policy
from moco.trial import BEFORE_RECOVERY
from tests.evaluation.builders import builder_of
from tests.evaluation.test_evaluator import BOTH, CALIBRATION, COMPRESSOR, PLAN, PRUNED, QUANTIZED, SEARCH, Watching
from tests.hardware.scripted import ScriptedTarget

ASKED = replace(PLAN, before_recovery=True)
UNTIMED = replace(PLAN, timing={})


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    return builder_of(COMPRESSOR, CALIBRATION, True, tmp_path / "files")


@pytest.mark.parametrize("policy", [PRUNED, BOTH])
def test_before_is_what_the_file_without_recovery_gives_and_after_is_as_ever(
    policy: Policy, builder: Builder, tmp_path: Path
) -> None:
    bare = builder_of(COMPRESSOR, CALIBRATION, False, tmp_path / "bare")
    without = Evaluator(bare, ScriptedTarget(), SEARCH, UNTIMED).evaluate(policy)
    usual = Evaluator(builder, ScriptedTarget(), SEARCH, PLAN).evaluate(policy)

    found = Evaluator(builder, ScriptedTarget(), SEARCH, ASKED).evaluate(policy)

    expected = {name: without.metrics[name].value for name in ("top1_error", "top5_error")}
    assert found.details[BEFORE_RECOVERY] == expected
    assert (found.artifact_sha256, dict(found.metrics)) == (usual.artifact_sha256, dict(usual.metrics))
    assert without.artifact_sha256 != usual.artifact_sha256
    assert found.seconds[BEFORE_STAGE] > 0


@pytest.mark.parametrize("policy", [NEUTRAL, QUANTIZED])
def test_where_nothing_is_recovered_nothing_was_before(policy: Policy, builder: Builder) -> None:
    found = Evaluator(builder, ScriptedTarget(), SEARCH, ASKED).evaluate(policy)

    assert BEFORE_RECOVERY not in found.details
    assert BEFORE_STAGE not in found.seconds


def test_nobody_pays_for_it_who_has_not_asked(builder: Builder) -> None:
    target = Watching()
    found = Evaluator(builder, target, SEARCH, UNTIMED).evaluate(PRUNED)

    assert BEFORE_RECOVERY not in found.details
    assert len(target.loaded) == 2  # the reference, and the candidate


def test_no_file_stays_but_the_references(builder: Builder) -> None:
    evaluator = Evaluator(builder, ScriptedTarget(), SEARCH, ASKED)
    for policy in (PRUNED, BOTH):
        evaluator.evaluate(policy)

    assert list(builder.folder.iterdir()) == [evaluator.reference.artifact.path]


class Refusing(ScriptedTarget):
    """Does not run one file."""

    refused = ""

    def load(self, artifact: Artifact) -> Session:  # type: ignore[override]
        if artifact.sha256 == self.refused:
            raise MeasurementError("no kernel for it")
        return super().load(artifact)


def test_a_file_that_does_not_run_before_recovery_says_nothing_of_the_candidate(builder: Builder) -> None:
    target = Refusing()
    evaluator = Evaluator(builder, target, SEARCH, ASKED)
    target.refused = builder.without_recovery().build(PRUNED)[0].sha256

    found = evaluator.evaluate(PRUNED)

    assert BEFORE_RECOVERY not in found.details
    assert found.metrics["top1_error"].sem is not None
