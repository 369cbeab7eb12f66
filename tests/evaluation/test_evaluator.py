"""One candidate from policy to numbers: one file, scored, timed and shipped."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from moco.compression.channels.groups import ChannelGraph
from moco.compression.compressor import Compressor
from moco.compression.policy_settings import NEUTRAL
from moco.errors import CompressionError, MeasurementError, PolicyRejectedError
from moco.evaluation.builder import Builder
from moco.evaluation.evaluator import EvaluationPlan, Evaluator, Images
from moco.evaluation.store import EvaluationStore
from moco.export.calibration import open_session, outputs
from moco.hardware.onnxruntime import ONNXRuntimeTarget
from moco.interfaces import Artifact, Session
from moco.measurement import Measurement, TimingPlan
from moco.policy import Policy
from moco.readings import READINGS
from moco.trial import FIRST_MADE, Evaluation
from tests.compression.toys import Baked, Reshaped, images, made, tiny
from tests.evaluation.builders import builder_of
from tests.export.graphs import expected, run
from tests.hardware.scripted import ScriptedTarget
from tests.policies import policy_of
from tests.processors import exact_integers

CALIBRATION = images(24, 1, 8, seed=5).numpy()
SEARCH = Images(images(60, 1, 8, seed=6).numpy(), np.arange(60) % 10)
QUICK = TimingPlan(seconds=0.005, slot_ms=0.5, min_slots=8, warmup_calls=1)
PLAN = EvaluationPlan(timing={"latency_ms": QUICK, "throughput_ips": replace(QUICK, batch=4)})
WIDTHS = {"layer1.0.conv1": (3, 8), "layer2.0.conv2": (9, 16)}
INT8 = dict.fromkeys(["conv1", "layer1.0.conv1", "layer1.0.conv2", "linear"], "int8")
PRUNED, QUANTIZED, BOTH = policy_of(WIDTHS, {}), policy_of({}, INT8), policy_of(WIDTHS, INT8)
ALL = [NEUTRAL, PRUNED, QUANTIZED, BOTH]
COMPRESSOR = Compressor.of(tiny(), images(2, 1, 8))


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Builder:
    return builder_of(COMPRESSOR, CALIBRATION, True, tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="module")
def evaluator(builder: Builder) -> Evaluator:
    return Evaluator(builder, ScriptedTarget(), SEARCH, PLAN)


class Watching(ONNXRuntimeTarget):
    """ONNX Runtime that notes which file was scored and which were timed."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.timed: list[list[str]] = []

    def load(self, artifact: Artifact) -> Session:  # type: ignore[override]
        self.loaded.append(hashlib.sha256(artifact.path.read_bytes()).hexdigest())
        return super().load(artifact)

    def measure(self, sessions: list[Session], plan: TimingPlan) -> Measurement:  # type: ignore[override]
        self.timed.append([session.artifact.sha256 for session in sessions])
        return super().measure(sessions, plan)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("policy", ALL)
def test_the_same_policy_gives_the_same_bytes_from_any_builder(
    policy: Policy, builder: Builder, tmp_path: Path
) -> None:
    other = builder_of(Compressor.of(tiny(), images(2, 1, 8)), CALIBRATION, True, tmp_path)
    artifacts = [b.build(policy)[0] for b in (builder, builder, other)]

    assert len({artifact.sha256 for artifact in artifacts}) == 1
    assert artifacts[2].path.read_bytes() == artifacts[0].path.read_bytes()
    assert artifacts[0].size_bytes == artifacts[0].path.stat().st_size
    assert hashlib.sha256(artifacts[0].path.read_bytes()).hexdigest() == artifacts[0].sha256


def test_different_policies_give_different_files(builder: Builder) -> None:
    assert len({builder.build(policy)[0].sha256 for policy in ALL}) == len(ALL)


@pytest.mark.parametrize("policy", [NEUTRAL, PRUNED])
def test_the_file_gives_what_the_compressed_network_gives(policy: Policy, builder: Builder) -> None:
    artifact, thin = builder.build(policy)
    np.testing.assert_allclose(
        run(onnx.load(artifact.path), SEARCH.images), expected(thin, SEARCH.images), rtol=1e-3, atol=1e-4
    )


def test_a_neutral_policy_gives_the_reference_file_and_network(evaluator: Evaluator) -> None:
    evaluation = evaluator.evaluate(NEUTRAL)
    artifact, network = evaluator.builder.build(NEUTRAL)

    assert evaluation.artifact_sha256 == evaluator.reference.artifact.sha256 == artifact.sha256
    for name, tensor in COMPRESSOR.network.state_dict().items():
        assert torch.equal(network.state_dict()[name], tensor)
    assert {n: m.value for n, m in evaluation.metrics.items()} == {
        n: m.value for n, m in evaluator.reference.evaluation.metrics.items()
    }


@pytest.mark.parametrize("policy", [PRUNED, BOTH])
def test_the_file_that_is_scored_is_the_file_that_is_timed_and_reported(policy: Policy, builder: Builder) -> None:
    target = Watching()
    evaluator = Evaluator(builder, target, SEARCH, PLAN)
    evaluation = evaluator.evaluate(policy)
    reference = evaluator.reference.artifact.sha256

    assert target.loaded == [reference, evaluation.artifact_sha256]
    assert target.timed[-2:] == [[reference, evaluation.artifact_sha256]] * 2
    assert target.timed[:2] == [[reference, reference]] * 2


def test_accuracy_is_that_of_the_file_on_the_target(evaluator: Evaluator) -> None:
    evaluation = evaluator.evaluate(BOTH)
    artifact, _ = evaluator.builder.build(BOTH)
    right = evaluator.target.load(artifact).run(SEARCH.images).argmax(1) == SEARCH.labels

    assert evaluation.metrics["top1_error"].value == pytest.approx(1 - right.mean())
    assert evaluation.metrics["top1_error"].sem is not None


def test_timed_metrics_are_the_paired_ratio_times_the_references_constant(evaluator: Evaluator) -> None:
    evaluation, reference = evaluator.evaluate(BOTH), evaluator.reference.evaluation
    size = evaluation.metrics["size_mb"].value / reference.metrics["size_mb"].value  # the scripted time of a file
    ratio, low, high = evaluation.details["latency_ms.ratio"]

    assert size < 1
    assert ratio == pytest.approx(size, rel=1e-3)
    assert low <= ratio <= high
    assert evaluation.metrics["latency_ms"].value == pytest.approx(reference.metrics["latency_ms"].value * ratio)
    assert evaluation.metrics["throughput_ips"].value == pytest.approx(
        reference.metrics["throughput_ips"].value / evaluation.details["throughput_ips.ratio"][0]
    )
    assert len(evaluation.samples["latency_ms.reference_ms"]) == len(evaluation.samples["latency_ms.candidate_ms"]) >= 8


@pytest.mark.parametrize(("name", "value"), [("latency_ms", 5.0), ("throughput_ips", 20.0)])
def test_a_timed_metric_by_hand(name: str, value: float) -> None:
    ratio = Measurement(TimingPlan(), ((2.0,) * 20, (1.0,) * 20)).ratio()
    metric = READINGS[name].metric(10.0, ratio)

    assert metric.value == value
    assert metric.sem == pytest.approx(value * ratio.sem / 0.5)


def test_the_references_constants_may_come_from_an_earlier_session(builder: Builder) -> None:
    plan = replace(PLAN, constants={"latency_ms": 7.0, "throughput_ips": 100.0})
    evaluator = Evaluator(builder, ScriptedTarget(), SEARCH, plan)
    evaluation = evaluator.evaluate(PRUNED)

    assert evaluator.reference.evaluation.metrics["latency_ms"].value == 7.0
    assert evaluation.metrics["latency_ms"].value == pytest.approx(7.0 * evaluation.details["latency_ms.ratio"][0])


def test_counts_are_those_of_the_policy(evaluator: Evaluator) -> None:
    evaluation = evaluator.evaluate(BOTH)
    artifact, thin = evaluator.builder.build(BOTH)

    assert evaluation.metrics["parameters"].value == sum(p.numel() for p in thin.parameters())
    assert evaluation.metrics["macs"].value == Compressor.of(thin, images(2, 1, 8)).counts.macs
    assert evaluation.metrics["size_mb"].value == artifact.path.stat().st_size / 1e6
    assert evaluation.metrics["bops"].value < 1024 * evaluation.metrics["macs"].value


@pytest.mark.parametrize(
    ("policy", "stages"),
    [
        (NEUTRAL, {"compress", "export", "load", "score", "measure"}),
        (PRUNED, {"compress", "recover", "export", "load", "score", "measure"}),
        (QUANTIZED, {"compress", "calibrate", "export", "load", "score", "measure"}),
        (BOTH, {"compress", "recover", "calibrate", "export", "load", "score", "measure"}),
    ],
)
def test_every_stage_is_timed_by_itself(evaluator: Evaluator, policy: Policy, stages: set[str]) -> None:
    seconds = evaluator.evaluate(policy).seconds

    assert set(seconds) - {"tracking"} == stages
    assert min(seconds.values()) > 0


def test_without_recovery_the_statistics_stay(tmp_path: Path, builder: Builder) -> None:
    plain = builder_of(COMPRESSOR, CALIBRATION, False, tmp_path)
    _, without = plain.build(PRUNED)
    _, recovered = builder.build(PRUNED)
    _, thin = plain.build(NEUTRAL)

    expected_thin = COMPRESSOR.compress(PRUNED)
    assert torch.equal(without.layer1[0].bn2.running_mean, expected_thin.layer1[0].bn2.running_mean)
    assert not torch.equal(recovered.layer1[0].bn2.running_mean, expected_thin.layer1[0].bn2.running_mean)
    assert torch.equal(thin.bn1.running_mean, COMPRESSOR.network.bn1.running_mean)


def test_a_plan_without_timing_measures_nothing(builder: Builder) -> None:
    evaluation = Evaluator(builder, ScriptedTarget(), SEARCH, EvaluationPlan()).evaluate(PRUNED)

    assert not {"latency_ms", "throughput_ips"} & set(evaluation.metrics)
    assert evaluation.samples == {}


# ---- rejected


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"layer9.conv1": {"filter_pruning": {"keep": 2, "of": 8}}}, "no channel group 'layer9.conv1'"),
        ({"layer1.0.conv1": {"filter_pruning": {"keep": 2, "of": 64}}}, "was it made for another network"),
        ({"linear": {"filter_pruning": {"keep": 2, "of": 10}}}, "no channel group 'linear'"),
        ({"layer1.0.conv9": {"precision": "int8"}}, "no layer 'layer1.0.conv9'"),
    ],
)
def test_a_policy_that_cannot_be_built_is_rejected(
    evaluator: Evaluator, settings: dict[str, object], reason: str
) -> None:
    with pytest.raises(PolicyRejectedError, match=reason):
        evaluator(Policy.of(settings))


def test_a_file_that_the_target_refuses_is_rejected(builder: Builder) -> None:
    class Picky(ScriptedTarget):
        def load(self, artifact: Artifact) -> Session:  # type: ignore[override]
            if artifact.sha256 != builder.build(NEUTRAL)[0].sha256:
                raise MeasurementError("no such operator here")
            return super().load(artifact)

    with pytest.raises(PolicyRejectedError, match="no such operator here"):
        Evaluator(builder, Picky(), SEARCH, PLAN)(PRUNED)


def test_logits_that_are_not_finite_fail_the_trial(evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch) -> None:
    load = evaluator.target.load

    def broken(artifact: Artifact) -> Session:
        session = load(artifact)
        monkeypatch.setattr(session, "run", lambda batch: np.full((len(batch), 10), np.nan), raising=False)
        return session

    monkeypatch.setattr(evaluator.target, "load", broken)
    with pytest.raises(MeasurementError, match="not finite"):
        evaluator(PRUNED)


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_calibration_images_that_are_not_finite_are_refused(broken: float, tmp_path: Path) -> None:
    calibration = CALIBRATION.copy()
    calibration[3, 0, 2, 2] = broken
    with pytest.raises(CompressionError, match="calibration: expected finite images, got 24 with 1 values"):
        builder_of(COMPRESSOR, calibration, True, tmp_path)


def test_no_calibration_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CompressionError, match="expected finite images, got 0"):
        builder_of(COMPRESSOR, CALIBRATION[:0], True, tmp_path)


# ---- a graph that cannot take other weights


@exact_integers
@pytest.mark.parametrize("precisions", [{}, {"head": "int8", "conv": "int8"}])
@pytest.mark.slow
def test_a_network_that_bakes_its_width_gets_an_export_of_its_own(precisions: dict[str, str], tmp_path: Path) -> None:
    compressor = Compressor.of(made(Baked), images(2, side=8))
    builder = builder_of(compressor, images(16, side=8).numpy(), False, tmp_path)
    artifact, thin = builder.build(policy_of({"conv": (4, 16)}, precisions))
    batch = images(5, side=8, seed=9).numpy()
    wanted, bias = expected(thin, batch), thin.head.bias.detach().numpy()
    wrong = (wanted - bias) * 4 / 16 + bias
    got = run(onnx.load(artifact.path), batch)

    tolerance = 0.05 * float(np.ptp(wanted)) if precisions else 1e-4
    assert float(np.abs(got - wanted).max()) < tolerance < float(np.abs(wrong - wanted).max())


@pytest.mark.parametrize("precisions", [{}, {"head": "int8", "conv": "int8"}])
@pytest.mark.slow
def test_a_template_that_does_not_run_with_another_width_is_exported_anew(
    precisions: dict[str, str], tmp_path: Path
) -> None:
    builder = builder_of(Compressor.of(made(Reshaped), images(2, side=8)), images(16, side=8).numpy(), False, tmp_path)
    policy = policy_of({"conv": (4, 16)}, precisions)
    batch = images(5, side=8, seed=9).numpy()
    with pytest.raises(CompressionError, match="the exported graph does not run"):
        outputs(open_session(builder.template.render(builder.compressor.compress(policy))), batch)

    artifact, thin = builder.build(policy)
    wanted = expected(thin, batch)
    tolerance = 0.1 * float(np.ptp(wanted)) if precisions else 1e-4
    assert float(np.abs(run(onnx.load(artifact.path), batch) - wanted).max()) < tolerance


def test_a_network_with_other_parameters_than_its_policy_leaves_is_refused(
    builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    thin = ChannelGraph.thin

    def with_one_more(graph: ChannelGraph, *given: Any) -> nn.Module:
        network = thin(graph, *given)
        network.stray = nn.Parameter(torch.zeros(1))
        return network

    monkeypatch.setattr(ChannelGraph, "thin", with_one_more)
    with pytest.raises(CompressionError, match=r"the policy leaves .* parameters, the network has"):
        builder.build(PRUNED)


def test_a_template_that_is_right_is_not_exported_again(builder: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise AssertionError("the template should have been used")

    monkeypatch.setattr("moco.evaluation.builder.build_template", forbidden)
    for policy in ALL:
        builder.build(policy)


class Faint(nn.Module):
    """Gives logits far below one, and pools by a sum, which the exporter takes for a mean."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 16, 3), nn.Linear(16, 5)
        self.pool = nn.AvgPool2d(2, 2, divisor_override=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.pool(torch.relu(self.conv(x))).mean((2, 3))) * 1e-3


def test_logits_are_compared_on_their_own_scale(tmp_path: Path) -> None:
    builder = builder_of(Compressor.of(made(Faint), images(2, side=8)), images(4, side=8).numpy(), False, tmp_path)

    with pytest.raises(CompressionError, match="export: the file's logits differ from the network's by"):
        builder.build(NEUTRAL)


# ---- the store


@pytest.fixture
def stored(builder: Builder, tmp_path: Path) -> Callable[[], Evaluator]:
    def opened() -> Evaluator:
        store = EvaluationStore(tmp_path / "store.db", {"network": "tiny"})
        return Evaluator(builder, ScriptedTarget(), SEARCH, PLAN, store)

    return opened


def test_a_stored_evaluation_is_not_made_again(
    stored: Callable[[], Evaluator], builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = stored()(PRUNED)
    again = stored()

    def forbidden(*_: object) -> None:
        raise AssertionError("the store should have been asked")

    monkeypatch.setattr(builder, "build", forbidden)
    second = again(PRUNED)
    assert (again.store.hits, again.store.misses) == (1, 0)  # type: ignore[union-attr]
    assert _values(second) == pytest.approx(_values(first))
    details = dict(second.details)
    assert details.pop(FIRST_MADE) == first.seconds  # what a comparison of searchers charges it with
    assert (second.samples, details, second.artifact_sha256) == (first.samples, first.details, first.artifact_sha256)
    assert second.seconds == {}


def _values(evaluation: Evaluation) -> dict[str, float]:
    return {name: metric.value for name, metric in evaluation.metrics.items()}


def test_a_stored_timing_is_put_on_the_scale_of_this_searchs_reference(stored: Callable[[], Evaluator]) -> None:
    stored()(PRUNED)
    other = stored()
    slow = replace(other.plan, constants={"latency_ms": 50.0, "throughput_ips": 10.0})
    rescaled = Evaluator(other.builder, ScriptedTarget(), SEARCH, slow, other.store)(PRUNED)
    ratio = rescaled.details["latency_ms.ratio"][0]

    assert rescaled.metrics["latency_ms"].value == pytest.approx(50.0 * ratio)
    assert rescaled.metrics["throughput_ips"].value == pytest.approx(10.0 / rescaled.details["throughput_ips.ratio"][0])
    assert rescaled.metrics["size_mb"].sem is None


def test_a_stored_evaluation_serves_a_search_that_measures_less_but_not_one_that_measures_more(
    stored: Callable[[], Evaluator],
) -> None:
    full = stored()
    less = Evaluator(full.builder, ScriptedTarget(), SEARCH, EvaluationPlan(timing={"latency_ms": QUICK}), full.store)
    less(PRUNED)
    full(PRUNED)  # lacks the throughput, so it is evaluated anew
    again = less(PRUNED)
    full(PRUNED)

    assert (full.store.hits, full.store.misses) == (2, 2)  # type: ignore[union-attr]
    assert "throughput_ips" not in again.metrics
    assert set(again.metrics) == set(less.reference.evaluation.metrics)


RATIO = '"latency_ms.ratio": ['


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (RATIO, f"{RATIO}-"),
        (RATIO, f"{RATIO}0.0, "),
        (RATIO, f'{RATIO}"fast", '),
        (RATIO, '"latency_ms.ratio": [[], '),
        (RATIO, '"latency": ['),
        ('"latency_ms": [', '"latency_ms": [0.0, 0.1], "other": ['),
    ],
)
def test_a_row_that_cannot_be_put_on_this_searchs_scale_is_measured_again(
    stored: Callable[[], Evaluator], tmp_path: Path, old: str, new: str
) -> None:
    first = stored()(PRUNED)
    with sqlite3.connect(tmp_path / "store.db") as database:
        ((row,),) = database.execute("SELECT evaluation FROM evaluations").fetchall()
        database.execute("UPDATE evaluations SET evaluation = ?", (row.replace(old, new),))
    again = stored()
    assert again.stored() == []
    assert _values(again(PRUNED)) == pytest.approx(_values(first))
    assert (again.store.hits, again.store.misses) == (0, 1)  # type: ignore[union-attr]
    assert len(again.warnings) == 1
    assert stored()(PRUNED).details[FIRST_MADE] != {}


def test_a_rejected_policy_is_not_stored(stored: Callable[[], Evaluator]) -> None:
    evaluator = stored()
    policy = Policy.of({"absent": {"precision": "int8"}})
    for _ in range(2):
        with pytest.raises(PolicyRejectedError):
            evaluator(policy)
    assert evaluator.store.hits == 0  # type: ignore[union-attr]
